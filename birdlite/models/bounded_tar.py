"""A .tar.gz from a stranger as a file that `tarfile` may read: no more of it at once, and no further, than is allowed.

A megabyte of gzip unpacks to a gigabyte, and `tarfile` reads a member's long name, or its list of holes, whole and one
inside the other. So what it reads is rationed. `models.archive` and `convert.saved_model.archive` read members so.
"""

from __future__ import annotations

import gzip
import io
from typing import IO, cast

from birdlite.errors import InvalidModel

HEADERS_MAX_BYTES = 1 << 16
"""Of one member's headers: 100 times what a long path takes."""

GZIP = b"\x1f\x8b"  # magic number


class Packed:
    """The bytes of an archive without its compression. Headers may be read; more must be allowed before."""

    def __init__(self, archive: bytes | bytearray, limit: int) -> None:
        """`limit` is how far into the unpacked archive one may look, in bytes."""
        file = io.BytesIO(archive)
        self._bytes: IO[bytes] = cast("IO[bytes]", gzip.GzipFile(fileobj=file)) if archive.startswith(GZIP) else file
        self._limit = limit
        self.allow(HEADERS_MAX_BYTES)

    def allow(self, size: int) -> None:
        """Let so many bytes be read from here on."""
        self._allowed = size

    def tell(self) -> int:
        """Where the next byte is, in the archive without compression."""
        return self._bytes.tell()

    def seek(self, place: int) -> int:
        """Go there.

        Raises:
            InvalidModel: it is beyond the limit.
        """
        if place > self._limit:
            raise self._too_large()
        return self._bytes.seek(place)

    def read(self, size: int) -> bytes:
        """Read up to so many bytes; fewer at the end.

        Raises:
            InvalidModel: they are more than was allowed, or beyond the limit.
        """
        if not 0 <= size <= self._allowed:
            raise InvalidModel("not a readable .tar.gz: a member has headers without measure")
        self._allowed -= size
        data = self._bytes.read(size)
        if self._bytes.tell() > self._limit:
            raise self._too_large()
        return data

    def _too_large(self) -> InvalidModel:
        return InvalidModel(f"the archive unpacks to more than {self._limit >> 20} MiB")
