"""Where results go: standard output, or a file that appears only when it is complete.

`json`, `csv` and `text` go into a new file beside the old one, which `commit` renames over it: a reader sees the old
results or all of the new ones. `jsonl` is written in place, because its lines are worth something one by one, and what
an interrupted or failed run has written stays. So is whatever is no regular file (a pipe, /dev/null): a rename would
put a file in its place. The parts and merged outputs of `batch` are `whole`: they appear complete in any format, and
not before the disk has them, because another machine may take the name for the proof. An output in object storage is
made in a file on this machine and put there at the end, whatever its format (`storage.upload`).

What the disk or the system refuses is an `OutputError` that names the file, save one: `BrokenPipeError` passes, for a
reader that has seen enough is no fault.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from typing import TYPE_CHECKING

from birdlite.errors import OutputError, StorageError
from birdlite.namedtuple import NamedTuple
from birdlite.storage.address import is_storage

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from birdlite.storage.store import Storage
    from birdlite.storage.upload import Upload
    from birdlite.writers import Format, TextSink


class GuardedText:
    """A text stream whose errors say what was being written. The `TextSink` of an `Output`."""

    def __init__(self, text: TextIO, name: str) -> None:
        self._text = text
        self._name = name
        self.broken = False  # a write has failed, and the next flush would fail again

    @property
    def encoding(self) -> str:
        """As of the stream below."""
        return self._text.encoding

    def write(self, text: str, /) -> int:
        """Write, or raise OutputError or BrokenPipeError."""
        try:
            return self._text.write(text)
        except OSError as error:
            raise self._refused(error) from error

    def flush(self) -> None:
        """Push everything to the system, or raise OutputError or BrokenPipeError."""
        try:
            self._text.flush()
        except OSError as error:
            raise self._refused(error) from error

    def isatty(self) -> bool:
        """As of the stream below."""
        return self._text.isatty()

    def fileno(self) -> int:
        """As of the stream below."""
        return self._text.fileno()

    def _refused(self, error: OSError) -> OSError | OutputError:
        self.broken = True
        return error if isinstance(error, BrokenPipeError) else _refused(self._name, error)


class Rename(NamedTuple):
    """A new file beside the old one, which it is to replace."""

    temporary: str
    real: str
    durable: bool  # the rename must outlast the machine

    def land(self) -> None:
        """Let it appear."""
        os.replace(self.temporary, self.real)
        if self.durable:
            _settle(os.path.dirname(self.real) or ".")

    def hold(self) -> None:
        """The run was interrupted: what is finished appears all the same."""
        self.land()

    def discard(self) -> None:
        """Take it away."""
        os.unlink(self.temporary)


class Output:
    """An open destination. As a context manager it commits, or discards if the body raised."""

    def __init__(
        self,
        text: TextIO,
        name: str,
        *,
        landing: Rename | Upload | None = None,
        close: bool = True,
        durable: bool = False,
    ) -> None:
        """Take charge of `text`; `landing` is how it gets its name at the end; `durable` waits for the disk."""
        self.interrupted = False  # the run ended in good order, but before its targets did
        self._text = text
        self._name = name
        self._landing = landing
        self._close = close
        self._durable = durable
        self._guarded = GuardedText(text, name)

    @property
    def stream(self) -> TextSink:
        """Where the writer writes."""
        return self._guarded

    def commit(self) -> None:
        """Everything is written: push it to the system and let the file appear.

        Raises:
            OutputError: that is not possible; nothing is left but what was there before (and the lines of `jsonl`).
        """
        try:
            self._guarded.flush()
            if self._durable:
                os.fsync(self._text.fileno())
            if self._close:
                self._text.close()
            if self._landing and self.interrupted:
                self._landing.hold()
            elif self._landing:
                self._landing.land()
        except OSError as error:
            self.discard()
            if isinstance(error, BrokenPipeError):
                raise
            raise _refused(self._name, error) from error
        except OutputError:
            self.discard()
            raise

    def discard(self) -> None:
        """Leave what was there before, for the run has failed. The lines of `jsonl` stay too."""
        if self._close:
            _quietly(self._text.close)
        elif self._guarded.broken:
            _abandon(self._text)
        if self._landing:
            _quietly(self._landing.discard)

    def __enter__(self) -> Output:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            self.commit()
        else:
            self.discard()


def open_output(
    path: str | None,
    format: Format,  # noqa: A002 - the option's name
    *,
    whole: bool = False,
    storage: Storage | None = None,
) -> Output:
    """Open `path`, or standard output for None and `-`. With `whole`, JSON lines too appear only when complete.

    `storage` is for a path in object storage.

    Raises:
        OutputError: the folder does not exist, `path` is a folder, may not be written, or its disk is full; no such
            bucket, no connection to it.
        StorageMissing: there is no client for object storage.
    """
    if path is None or path == "-":
        return _standard_output(format)
    if not path:
        raise OutputError("the results cannot be written to a file without a name")
    if is_storage(path):
        return _in_storage(path, format, storage, whole=whole)
    try:
        mode = _mode(path)
        if (format == "jsonl" and not whole) or (mode is not None and not stat.S_ISREG(mode)):
            return Output(_open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)), path)
        if mode is not None and not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))  # the rename would not ask
        return _beside(path, mode, durable=whole)
    except FileNotFoundError as error:
        raise OutputError(f"{path}: the folder for the results does not exist") from error
    except (OSError, ValueError) as error:
        raise _refused(path, error) from error


def check_output(url: str, storage: Storage | None) -> None:
    """Find out before the work is done whether an output can be put at `url`, as far as that can be seen.

    Raises:
        OutputError: no such bucket, no connection to it, or no object can be called so.
        StorageMissing: there is no client for object storage.
    """
    from birdlite.storage.store import Storage

    try:
        (storage or Storage()).probe(url)
    except StorageError as error:
        raise OutputError(f"{url}: the results cannot be written: {error}") from error


def _in_storage(url: str, format: Format, storage: Storage | None, *, whole: bool) -> Output:  # noqa: A002
    """Begin a file in the scratch folder. A `whole` output has its records elsewhere too."""
    from birdlite.storage.scratch import name_for, scratch_folder
    from birdlite.storage.store import Storage
    from birdlite.storage.upload import Upload

    storage = storage or Storage()
    check_output(url, storage)
    folder = scratch_folder(storage.scratch)
    path = os.path.join(folder, f".{os.getpid()}-{os.urandom(4).hex()}-{name_for(url)}")
    try:
        text = _open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
    except (OSError, ValueError) as error:
        raise _refused(path, error) from error
    return Output(text, url, landing=Upload(path, url, storage, precious=not whole, lines=format == "jsonl"))


def _standard_output(format: Format) -> Output:  # noqa: A002
    """Text takes the encoding of the terminal; data formats are UTF-8 everywhere."""
    stream: TextIO | None = sys.stdout
    if stream is None:
        raise OutputError("standard output is closed")
    if format != "text":
        reconfigure = getattr(stream, "reconfigure", None)  # what a program puts in place of stdout may have none
        if reconfigure is not None:
            reconfigure(encoding="utf-8", errors="backslashreplace", newline="\n")
    return Output(stream, "standard output", close=False)


def _mode(path: str) -> int | None:
    """Look up what is at `path`; None if nothing is."""
    if path.endswith("/"):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    try:
        return os.stat(path).st_mode
    except FileNotFoundError:
        return None


def _beside(path: str, mode: int | None, *, durable: bool) -> Output:
    """Begin a new file in the same folder, so that the rename stays within one file system."""
    real = os.path.realpath(path) if os.path.islink(path) else path  # the file that a link means is replaced
    temporary = os.path.join(os.path.dirname(real), f".birdlite-{os.getpid()}-{os.urandom(4).hex()}.part")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    if mode is not None:
        os.fchmod(descriptor, mode & 0o777)
    return Output(_open(descriptor), path, landing=Rename(temporary, real, durable), durable=durable)


def _open(descriptor: int) -> TextIO:
    return open(descriptor, "w", encoding="utf-8", errors="backslashreplace", newline="\n")


def _settle(folder: str) -> None:
    """Make a rename last: until its folder is on the disk too, a lost node can undo it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError:
        return  # a file system that does not do this for folders
    finally:
        os.close(descriptor)


def _quietly(step: Callable[[], None]) -> None:
    """Clean up after a failure that the user is being told of: a second message would only hide the first."""
    try:
        step()
    except OSError:
        return


def _abandon(text: TextIO) -> None:
    """Lead the descriptor to nowhere: what is still buffered would fail once more when the interpreter ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    os.dup2(nowhere, text.fileno())
    os.close(nowhere)


def _refused(name: str, error: OSError | ValueError) -> OutputError:
    reason = (error.strerror or error) if isinstance(error, OSError) else "no file can have this name"
    return OutputError(f"{name}: the results cannot be written: {reason}")
