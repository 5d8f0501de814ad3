"""Where on this machine an output for object storage is made: `--scratch DIR`, else a folder of one's own in TMPDIR.

Who resumes must find what was there, so names follow from the output's URL; and because names can be guessed, a folder
that all may write to is used only through a folder that belongs to this user alone.
"""

from __future__ import annotations

import hashlib
import os
import stat

from birdlite.errors import OutputError


def scratch_folder(given: str | None) -> str:
    """The folder, made if need be.

    Raises:
        OutputError: it cannot be made, or somebody else's is in its place.
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
                raise OutputError(f"{folder}: belongs to somebody else; --scratch names another place") from None
    except (OSError, ValueError) as error:
        reason = (error.strerror or error) if isinstance(error, OSError) else "no file can have this name"
        raise OutputError(f"{folder}: no place to make the output in: {reason}; --scratch names another") from error
    return folder


def name_for(url: str) -> str:
    """The name of a file that belongs to the output at `url` and to no other."""
    digest = hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{digest}-{url.rpartition('/')[2][:100]}"
