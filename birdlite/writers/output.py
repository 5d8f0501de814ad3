"""Where results go: standard output, or a file that appears only when it is complete.

`json`, `csv` and `text` go into an `AtomicFile`: a reader sees the old results or all of the new ones. `jsonl` is
written in place, because each line is useful alone, and the lines of an interrupted or failed run stay. A lock keeps a
second run out of it. Pipes and devices such as /dev/null are also written in place: a rename would replace them by a
file. The parts and merged outputs of `batch` are `whole`: they appear complete in any format, and only when the disk
has them, because another machine may take the name as proof. An output in object storage is made on this machine and
put at the end (`storage.upload`).

Errors of the disk or the system become an `OutputError` that names the file. The exception is `BrokenPipeError`: a
reader that has seen enough is not an error.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from typing import TYPE_CHECKING

from birdlite.atomic_file import AtomicFile, quietly
from birdlite.errors import OutputError, StorageError, UsageError
from birdlite.local_file import lock, reason
from birdlite.printable import inert
from birdlite.storage import is_other_url, is_storage

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from birdlite.storage.store import Storage
    from birdlite.storage.upload import Upload
    from birdlite.writers.base import Format


_LONGEST_LINE = 1 << 24  # bytes; far more than a thousand candidates with the longest names

_HEAD = 1024  # bytes that tell whether a file is a picture or not text


class GuardedText:
    """A text stream whose errors name the output, and that keeps a terminal safe. The `TextSink` of an `Output`."""

    def __init__(self, text: TextIO, name: str, format: Format) -> None:  # noqa: A002 - the option's name
        self._text = text
        self._name = name
        self._format = format
        self._on_terminal = text.isatty()
        self.broken = False  # a write has failed, and the next flush would fail again

    @property
    def encoding(self) -> str:
        """The encoding of the stream below."""
        return self._text.encoding

    def write(self, text: str, /) -> int:
        """Write, or raise OutputError or BrokenPipeError."""
        if self._on_terminal:
            text = inert(text, styles=self._format == "text", as_json=self._format in ("json", "jsonl"))
        try:
            return self._text.write(text)
        except OSError as error:
            raise self._refused(error) from error

    def flush(self) -> None:
        """Pass everything to the system, or raise OutputError or BrokenPipeError."""
        try:
            self._text.flush()
        except OSError as error:
            raise self._refused(error) from error

    def isatty(self) -> bool:
        """Whether the stream below is a terminal."""
        return self._on_terminal

    def fileno(self) -> int:
        """The descriptor of the stream below."""
        return self._text.fileno()

    def _refused(self, error: OSError) -> OSError | OutputError:
        self.broken = True
        return error if isinstance(error, BrokenPipeError) else refused(self._name, error)


class Output:
    """An open destination. As a context manager it commits, or discards if the body raised."""

    def __init__(
        self,
        text: TextIO,
        name: str,
        format: Format,  # noqa: A002 - the option's name
        *,
        file: AtomicFile | Upload | None = None,
        close: bool = True,
        lines: bool = False,
    ) -> None:
        """Take over `text`. `file` is what it writes to, if that must be committed.

        `lines`: it writes lines to the regular file `name` itself.
        """
        self.stream = GuardedText(text, name, format)  # where the writer writes
        self.interrupted = False  # the run ended early, but in good order
        self._text = text
        self._name = name
        self._file = file
        self._close = close
        self._lines = lines

    def commit(self) -> None:
        """Pass everything to the system and let the file appear.

        Raises:
            OutputError: this is not possible. What was there before stays, and so do the lines of `jsonl`.
        """
        try:
            self.stream.flush()
            if self._close:
                self._text.close()
            if self.interrupted and self._file is not None and not isinstance(self._file, AtomicFile):
                self._file.keep()  # an object that is not complete does not appear; a file does
            elif self._file is not None:
                self._file.commit()
        except (OSError, OutputError) as error:
            self.discard()
            if isinstance(error, (BrokenPipeError, OutputError)):
                raise
            raise refused(self._name, error) from error

    def discard(self) -> None:
        """Leave what was there before, because the run has failed. The lines of `jsonl` stay too."""
        if self._close:
            quietly(self._text.close)
            if self._lines and self.stream.broken:
                quietly(lambda: _remove_cut_line(self._name))
        elif self.stream.broken:
            _abandon(self._text)
        if self._file is not None:
            quietly(self._file.discard)

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
    cancelled: Callable[[], bool] = bool,
) -> Output:
    """Open `path`, or standard output for None and `-`. With `whole`, JSON lines too appear only when complete.

    `storage` is for a path in object storage. `cancelled` ends the wait for the reader of a named pipe.

    Raises:
        UsageError: `path` is a URL, and none of object storage.
        OutputError: `path` is a folder, a picture or not text, may not be written, or its disk is full; another run is
            writing JSON lines there; no such bucket, no connection to it.
        StorageMissing: there is no client for object storage.
    """
    if path is None or path == "-":
        return _standard_output(format)
    if not path:
        raise OutputError("the results cannot be written to a file without a name")
    refuse_url(path)
    if is_storage(path):
        return _in_storage(path, format, storage, whole=whole)
    try:
        mode = _mode(path)
        if mode is None:
            make_folder(path)
        else:
            refuse_picture(path)
        if (format == "jsonl" and not whole) or (mode is not None and not stat.S_ISREG(mode)):
            lines = mode is None or stat.S_ISREG(mode)
            if lines:
                descriptor = _open_lines(path)
            elif mode is not None and stat.S_ISFIFO(mode):
                from birdlite.writers.named_pipe import open_pipe

                descriptor = open_pipe(path, cancelled)
            else:
                descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
            return Output(_text(descriptor, closefd=True), path, format, lines=lines)
        if mode is not None and not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))  # a rename would not check this
        file = AtomicFile(path, mode=mode, durable=whole)
        return Output(_text(file.descriptor, closefd=False), path, format, file=file)
    except (OSError, ValueError) as error:
        raise refused(path, error) from error


def refuse_url(path: str | None) -> None:
    """Check that results do not go to a URL. Whoever opens the output late calls it before the work too.

    Raises:
        UsageError: `path` is a URL, and none of object storage.
    """
    if path is not None and is_other_url(path):
        raise UsageError(f"{path}: results go into a file or object storage, not to a URL")


def make_folder(path: str) -> None:
    """Make the folder for an output, if it is missing.

    Raises:
        OSError: this is not possible.
    """
    folder = os.path.dirname(path)
    if folder and not os.path.lexists(folder):
        os.makedirs(folder, exist_ok=True)


def refuse_picture(path: str) -> None:
    """Check that results replace no picture, which may be among the targets of a list that is not read yet.

    Results are text. So anything else is kept, such as raw files and videos of any kind, known or not.

    Raises:
        OutputError: there is a picture at `path`, or a file that is not text.
    """
    try:
        if not os.path.isfile(path):
            return
        with open(path, "rb") as file:
            head = file.read(_HEAD)
    except (OSError, ValueError):
        return  # opening it for writing will say what is wrong
    from birdlite.images.formats import is_binary, is_picture

    if is_picture(head):
        raise OutputError(f"{path}: a picture is there, and the results would replace it")
    if is_binary(head) or head.startswith(b"%PDF-"):
        raise OutputError(f"{path}: this file is not text, and the results would replace it; move it away")


def check_output(url: str, storage: Storage | None) -> None:
    """Find out before the work whether an output can be put at `url`, as far as that is possible without writing.

    Raises:
        OutputError: no such bucket, no connection to it, or no object can have this name.
        StorageMissing: there is no client for object storage.
    """
    from birdlite.storage.store import Storage

    try:
        (storage or Storage()).probe(url)
    except StorageError as error:
        raise OutputError(f"{url}: the results cannot be written: {error}", temporary=error.temporary) from error


def _in_storage(url: str, format: Format, storage: Storage | None, *, whole: bool) -> Output:  # noqa: A002
    """Begin a file in the scratch folder. The records of a `whole` output exist elsewhere too."""
    from birdlite.storage.store import Storage
    from birdlite.storage.upload import Upload

    storage = storage or Storage()
    check_output(url, storage)
    try:
        upload = Upload(url, storage, only_copy=not whole, lines=format == "jsonl")
    except (OSError, ValueError) as error:
        raise refused(url, error) from error
    return Output(_text(upload.descriptor, closefd=False), url, format, file=upload)


def _standard_output(format: Format) -> Output:  # noqa: A002
    """Text has the encoding of the terminal; data formats are UTF-8 everywhere."""
    stream: TextIO | None = sys.stdout
    if stream is None:
        raise OutputError("standard output is closed")
    if format != "text":
        reconfigure = getattr(stream, "reconfigure", None)  # a program's own stdout may lack it
        if reconfigure is not None:
            reconfigure(encoding="utf-8", errors="backslashreplace", newline="\n")
    return Output(stream, "standard output", format, close=False)


def _mode(path: str) -> int | None:
    """The mode of what is at `path`; None if there is nothing."""
    if path.endswith("/"):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    try:
        return os.stat(path).st_mode
    except FileNotFoundError:
        return None


def _open_lines(path: str) -> int:
    """Open a regular file, lock it, and clear it only then."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
    lock_output(descriptor, path)
    os.ftruncate(descriptor, 0)
    return descriptor


def lock_output(descriptor: int, path: str) -> None:
    """Keep other runs out of an open output, until it is closed.

    Raises:
        OutputError: another run is writing it; the descriptor is closed.
    """
    if not lock(descriptor):
        os.close(descriptor)
        raise OutputError(f"{path}: another run is writing this output", temporary=True)


def _text(descriptor: int, *, closefd: bool) -> TextIO:
    return open(descriptor, "w", encoding="utf-8", errors="backslashreplace", newline="\n", closefd=closefd)


def _remove_cut_line(path: str) -> None:
    """Remove the end of the last line that a full disk has cut."""
    with open(path, "r+b") as file:
        start = max(0, file.seek(0, os.SEEK_END) - _LONGEST_LINE)
        file.seek(start)
        file.truncate(start + file.read().rfind(b"\n") + 1)


def _abandon(text: TextIO) -> None:
    """Redirect the descriptor to /dev/null: the buffer would fail once more when the interpreter ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    os.dup2(nowhere, text.fileno())
    os.close(nowhere)


def refused(name: str, error: OSError | ValueError) -> OutputError:
    """The error for an output that cannot be written."""
    return OutputError(f"{name}: the results cannot be written: {reason(error)}")
