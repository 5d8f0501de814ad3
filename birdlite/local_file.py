"""The bytes of a local file, and what is wrong with a path in words. For the pipeline, `targets` and its lists."""

from __future__ import annotations

import errno
import os
import stat

from birdlite.errors import PictureError


def read(path: str, max_bytes: int) -> bytes:
    """Read the whole file. Never waits for a pipe or a device, never reads more than `max_bytes` + 1 bytes.

    Raises:
        PictureError: `too_large`; or, as `why` tells them apart, `not_found`, `blocked`, `unsupported` (a folder, a
            pipe, a device), `decode` (the disk or the network behind it gave an error). The message does not name
            the file: the pipeline does, in the words of the user.
    """
    try:
        # A pipe without a writer would make open() wait for ever; O_NONBLOCK changes nothing for regular files.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            facts = os.fstat(descriptor)
            if not stat.S_ISREG(facts.st_mode):
                raise _refused(facts.st_mode)
            if facts.st_size > max_bytes:
                raise _too_large(max_bytes)
            data = _read_to_end(descriptor, facts.st_size, max_bytes)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        raise why(error) from error
    if len(data) > max_bytes:
        raise _too_large(max_bytes)
    return data


def why(error: OSError | ValueError) -> PictureError:
    """Say which failure an error of the operating system is. The message does not name the file."""
    if isinstance(error, ValueError):  # what Python says of a NUL, and of text that the file system cannot spell
        return PictureError("not_found", "no file can have this name")
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return PictureError("not_found", "no such file")
    if isinstance(error, PermissionError):
        return PictureError("blocked", "permission denied")
    if error.errno == errno.ENAMETOOLONG:
        return PictureError("not_found", "too long for the name of a file")
    if error.errno == errno.ELOOP:
        return PictureError("not_found", "a link that leads back to itself")
    if error.errno == errno.ENXIO:  # open() of a socket
        return PictureError("unsupported", "not a regular file")
    return PictureError("decode", f"cannot be read: {error.strerror or error}")


def _read_to_end(descriptor: int, expected: int, max_bytes: int) -> bytes:
    """At most `max_bytes` + 1 bytes: a file can have grown since it was measured, and those in /proc measure 0."""
    parts: list[bytes] = []
    size = 0
    while size <= max_bytes:
        part = os.read(descriptor, min(max(expected - size, 1 << 16), max_bytes + 1 - size))
        if not part:
            break
        parts.append(part)
        size += len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _refused(mode: int) -> PictureError:
    what = "a folder, not a picture" if stat.S_ISDIR(mode) else "not a regular file"
    return PictureError("unsupported", what)


def _too_large(max_bytes: int) -> PictureError:
    return PictureError("too_large", f"more than {max_bytes} bytes")
