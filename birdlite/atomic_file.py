"""Files that appear complete or not at all: written under another name beside their place, then renamed to it.

Outputs, uploads and the model cache use it. `sweep` and `leftovers` find what a killed process left.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

SUFFIX = ".partial"  # of everything that is not finished

_KEPT_NAME = 50  # characters of the final name in the unfinished one; a name has at most 255 bytes


class AtomicFile:
    """A new file that gets its name when it is complete. As a context manager it commits, or discards after an error.

    If the path is a symbolic link, the file behind it is replaced, or the link itself without `follow`.
    """

    def __init__(self, path: str, *, mode: int | None = None, durable: bool = True, follow: bool = True) -> None:
        """Begin a file for `path`, with the permissions `mode`, or those that the umask leaves.

        `durable` waits until the disk has the file and its name, so that even a power cut cannot undo the commit.

        Raises:
            OSError: the folder is missing or may not be written.
        """
        self.path = os.path.realpath(path) if follow and os.path.islink(path) else path
        self.unfinished = unfinished_name(self.path)
        self.descriptor = os.open(self.unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        self._durable = durable
        self._open = True
        if mode is not None:
            os.fchmod(self.descriptor, mode & 0o777)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write all of `data`.

        Raises:
            OSError: the disk refuses.
        """
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self.descriptor, rest) :]

    def commit(self) -> None:
        """Give the file its name.

        Raises:
            OSError: the disk refuses; the new file is removed, and an old one stays.
        """
        try:
            if self._durable:
                os.fsync(self.descriptor)
            self._close()
            os.replace(self.unfinished, self.path)
            if self._durable:
                _sync_folder(os.path.dirname(self.path) or ".")
        except OSError:
            self.discard()
            raise

    def discard(self) -> None:
        """Remove the unfinished file, if it was not committed. Raises nothing."""
        quietly(self._close)
        quietly(lambda: os.unlink(self.unfinished))

    def _close(self) -> None:
        if self._open:
            self._open = False
            os.close(self.descriptor)

    def __enter__(self) -> AtomicFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            self.commit()
        else:
            self.discard()


def quietly(step: Callable[[], None]) -> None:
    """Take a step that may fail, such as cleaning up after an error."""
    try:
        step()
    except OSError:
        return


def write(path: str, data: bytes | bytearray | memoryview, *, follow: bool = True) -> None:
    """Write a file that survives a power cut, or no file. `follow` as for `AtomicFile`.

    Raises:
        OSError: it cannot be written; an old file stays.
    """
    with AtomicFile(path, follow=follow) as file:
        file.write(data)


def unfinished_name(path: str) -> str:
    """A new name beside `path`. Folder listings of birdlite skip it."""
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{name[:_KEPT_NAME]}.{os.getpid()}-{os.urandom(4).hex()}{SUFFIX}")


def sweep(folder: str) -> None:
    """Remove all unfinished files in a folder. The caller makes sure that no other process is writing there.

    Raises:
        OSError: the folder cannot be read, or a file cannot be removed.
    """
    for name in os.listdir(folder):
        if name.endswith(SUFFIX):
            os.unlink(os.path.join(folder, name))


def leftovers(path: str) -> Iterator[str]:
    """Unfinished files and folders for `path`, left by processes of this machine that no longer run.

    Raises:
        OSError: the folder cannot be read.
    """
    folder, name = os.path.split(path)
    prefix = f".{name[:_KEPT_NAME]}."
    for entry in os.listdir(folder or ".") if os.path.isdir(folder or ".") else ():
        if entry.startswith(prefix) and entry.endswith(SUFFIX):
            process = entry[len(prefix) :].partition("-")[0]
            if process.isdecimal() and not _runs(int(process)):
                yield os.path.join(folder, entry)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError as error:
        return not isinstance(error, ProcessLookupError)  # else it is a process of another user
    return True


def _sync_folder(folder: str) -> None:
    """Make a rename survive a power cut: this needs the folder on the disk too."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    quietly(lambda: os.fsync(descriptor))  # a file system may lack this for folders
    os.close(descriptor)
