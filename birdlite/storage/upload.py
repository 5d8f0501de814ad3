"""An output for object storage: made in a scratch folder on this machine, and put when it is complete.

The folder is `--scratch DIR`, or a folder of the user's own in TMPDIR. `writers.output` makes an `Upload`, and
`batch.part` keeps its journal in the same folder. If an output cannot be put and no other copy of its results exists,
the file is kept and the user is told where. A part has another copy in its journal, a merge in its parts.
"""

from __future__ import annotations

import hashlib
import os
import stat
from typing import TYPE_CHECKING

from birdlite import log
from birdlite.atomic_file import AtomicFile
from birdlite.errors import OutputError, StorageError
from birdlite.local_file import reason

if TYPE_CHECKING:
    from birdlite.storage.store import Storage


class Upload:
    """A file in the scratch folder that will become the object at `url`."""

    def __init__(self, url: str, storage: Storage, *, only_copy: bool, lines: bool) -> None:
        """Begin the file.

        `only_copy` says that its results exist nowhere else; `lines`, that half of the file is useful too.

        Raises:
            OutputError: the scratch folder cannot be used.
            OSError: the file cannot be made.
        """
        self._url = url
        self._storage = storage
        self._only_copy = only_copy
        self._lines = lines
        name = f"{os.getpid()}-{os.urandom(4).hex()}-{scratch_name(url)}"
        self._file = AtomicFile(os.path.join(scratch_folder(storage.scratch), name), durable=False)
        self.descriptor = self._file.descriptor  # where to write

    def commit(self) -> None:
        """Put the file.

        Raises:
            OutputError: it cannot be put; if it is the only copy, it is kept.
        """
        try:
            self._storage.put(self._file.unfinished, self._url)
        except StorageError as error:
            kept = f"; they are kept in {self._keep()}" if self._only_copy else ""
            raise OutputError(
                f"{self._url}: the results cannot be written: {error}{kept}", temporary=error.temporary
            ) from error
        self._file.discard()

    def keep(self) -> None:
        """Keep the file here after an interruption, because it is not complete."""
        log.warning(f"{self._url}: not put there, because it is not complete; the results so far are in {self._keep()}")

    def discard(self) -> None:
        """Remove the file after a failed run, or keep it if its lines are the only copy."""
        unfinished = self._file.unfinished
        if self._only_copy and self._lines and os.path.exists(unfinished) and os.path.getsize(unfinished):
            self.keep()
        else:
            self._file.discard()

    def _keep(self) -> str:
        self._file.commit()
        return self._file.path


def scratch_folder(given: str | None) -> str:
    """The scratch folder, made if it does not exist. `given` is the user's choice.

    A run that resumes must find the files of an earlier one, so their names follow from the output's URL. Such names
    can be guessed. So in TMPDIR, where every user may write, only a folder that belongs to this user alone is used.

    Raises:
        OutputError: it cannot be made, or belongs to another user.
    """
    folder = given or os.path.join(os.environ.get("TMPDIR") or "/tmp", f"birdlite-{os.getuid()}")  # noqa: S108
    try:
        if given is not None:
            os.makedirs(given, exist_ok=True)
            return given
        try:
            os.mkdir(folder, 0o700)
        except FileExistsError:
            facts = os.lstat(folder)
            if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid() or facts.st_mode & 0o022:
                raise OutputError(
                    f"{folder}: not a folder that only you may write to; choose another with --scratch"
                ) from None
    except (OSError, ValueError) as error:
        raise OutputError(f"{folder}: no scratch folder: {reason(error)}; choose another with --scratch") from error
    return folder


def scratch_name(url: str) -> str:
    """A file name for the output at `url`, the same in every run and different for every URL, without its secrets."""
    from birdlite.redaction import redacted

    url = redacted(url)
    digest = hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{digest}-{url.rpartition('/')[2][:100]}"
