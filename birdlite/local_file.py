"""The bytes of a local file; its lock; and an error of the operating system in words, for messages about a path."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from birdlite.errors import PictureError

if TYPE_CHECKING:
    from birdlite.results import FailureKind

Opener: TypeAlias = "Callable[[str, int], int]"
"""Opens a path with flags, as `os.open` does."""

# Errors that a user can do something about, with the kind of failure that they are for a picture.
_WORDS: dict[int, tuple[FailureKind, str]] = {
    errno.ENOENT: ("not_found", "no such file"),
    errno.ENOTDIR: ("not_found", "a part of the path is not a folder"),
    errno.ENAMETOOLONG: ("not_found", "the name is too long"),
    errno.ELOOP: ("not_found", "a symbolic link that leads back to itself"),
    errno.EACCES: ("blocked", "permission denied"),
    errno.EPERM: ("blocked", "permission denied"),
    errno.EISDIR: ("unsupported", "it is a folder"),
    errno.ENXIO: ("unsupported", "not a regular file"),  # open() of a socket; `read_bounded`
}
_NO_NAME = "no file can have this name"  # Python's ValueError: a NUL, or text that the file system cannot encode


def read(path: str, max_bytes: int, hold: Callable[[int], object] | None = None, opener: Opener | None = None) -> bytes:
    """Read a whole picture file. Never waits for a pipe or a device, never reads more than `max_bytes` + 1 bytes.

    `hold` is called with the file's size before it is read, and may wait or refuse. `opener` opens it, else `os.open`.

    Raises:
        PictureError: `too_large`, or what `picture_error` says. The message does not name the file: the pipeline does,
            as the user wrote it.
    """
    try:
        data = read_bounded(path, max_bytes, hold, opener)
    except IsADirectoryError as error:
        raise PictureError("unsupported", "a folder, not a picture") from error
    except (OSError, ValueError) as error:
        raise picture_error(error) from error
    if data is None:
        raise PictureError("too_large", f"more than {max_bytes} bytes")
    return data


def read_bounded(
    path: str, max_bytes: int, hold: Callable[[int], object] | None = None, opener: Opener | None = None
) -> bytes | None:
    """Read a whole regular file: a picture, a model or its labels. None if it has more than `max_bytes`.

    Never waits for a pipe or a device, never reads more than `max_bytes` + 1 bytes.

    Raises:
        OSError: it cannot be read, or is not a regular file; `reason` has the words.
        ValueError: no file can have this name.
    """
    # Without O_NONBLOCK, open() would wait for ever on a pipe without a writer. It changes nothing for files.
    descriptor = (opener or os.open)(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        size = check_regular(descriptor, path)
        if size > max_bytes:
            return None
        if hold is not None:
            hold(size)
        data = _read_to_end(descriptor, size, max_bytes)
    finally:
        os.close(descriptor)
    return None if len(data) > max_bytes else data


def check_regular(descriptor: int, path: str) -> int:
    """The size of an open file.

    Raises:
        OSError: it is a folder, a pipe, a socket or a device.
    """
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode):
        code = errno.EISDIR if stat.S_ISDIR(facts.st_mode) else errno.ENXIO
        raise OSError(code, os.strerror(code), path)
    return facts.st_size


def lock(descriptor: int) -> bool:
    """Lock an open file for this process until it is closed; the kernel releases it however the process ends.

    Returns:
        False if another process has it. True also on a system or a file system without locks.
    """
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        return True
    return True


def reason(error: OSError | ValueError) -> str:
    """An error about a path in words, without the path: `permission denied`."""
    if isinstance(error, ValueError):
        return _NO_NAME
    if error.errno in _WORDS:
        return _WORDS[error.errno][1]
    return error.strerror or str(error)


def picture_error(error: OSError | ValueError) -> PictureError:
    """The failure of a picture whose file gives this error: `not_found`, `blocked`, `unsupported`, else `decode`."""
    if isinstance(error, ValueError):
        return PictureError("not_found", _NO_NAME)
    if error.errno in _WORDS:
        return PictureError(*_WORDS[error.errno])
    return PictureError("decode", f"cannot be read: {reason(error)}")


def _read_to_end(descriptor: int, expected: int, max_bytes: int) -> bytes:
    """At most `max_bytes` + 1 bytes. A file can have grown since its size was read, and files in /proc have size 0."""
    parts: list[bytes] = []
    size = 0
    while size <= max_bytes:
        part = os.read(descriptor, min(max(expected - size, 1 << 16), max_bytes + 1 - size))
        if not part:
            break
        parts.append(part)
        size += len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
