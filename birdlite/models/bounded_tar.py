"""A size-limited reader for untrusted .tar.gz files.

A megabyte of gzip can unpack to a gigabyte, and `tarfile` reads a member's long name or its list of holes whole. So
`Packed` limits every read. The store reads one file of an archive with `member_of`; `convert.hub` unpacks a folder.
"""

from __future__ import annotations

import gzip
import io
from typing import IO, TYPE_CHECKING, Any, cast

from birdlite.errors import InvalidModel

if TYPE_CHECKING:
    import tarfile

UNPACKED_MAX_BYTES = 256 * 1024 * 1024  # how far `member_of` looks into the unpacked archive
HEADERS_MAX_BYTES = 1 << 16
"""Of one member's headers: 100 times what a long path takes."""

GZIP = b"\x1f\x8b"  # magic number


class Packed:
    """The bytes of an archive without its compression, for `tarfile`. Reads beyond a member's headers need `allow`."""

    def __init__(self, archive: bytes | bytearray, limit: int) -> None:
        """`limit` is how far into the unpacked archive one may look, in bytes."""
        file = io.BytesIO(archive)
        self._bytes: IO[bytes] = cast("IO[bytes]", gzip.GzipFile(fileobj=file)) if archive.startswith(GZIP) else file
        self._limit = limit
        self.allow(HEADERS_MAX_BYTES)

    def allow(self, size: int) -> None:
        """Allow reading `size` bytes from here on."""
        self._allowed = size

    def tell(self) -> int:
        """The position in the archive without compression."""
        return self._bytes.tell()

    def seek(self, place: int) -> int:
        """Go to a position.

        Raises:
            InvalidModel: it is beyond the limit.
        """
        if place > self._limit:
            raise self._too_large()
        return self._bytes.seek(place)

    def read(self, size: int) -> bytes:
        """Read up to `size` bytes; fewer at the end.

        Raises:
            InvalidModel: they are more than was allowed, or beyond the limit.
        """
        if not 0 <= size <= self._allowed:
            raise InvalidModel("not a readable .tar.gz: the headers of a member are too large")
        self._allowed -= size
        data = self._bytes.read(size)
        if self._bytes.tell() > self._limit:
            raise self._too_large()
        return data

    def _too_large(self) -> InvalidModel:
        return InvalidModel(f"the archive unpacks to more than {self._limit >> 20} MiB")


def member_of(archive: bytes | bytearray, name: str, max_bytes: int) -> bytes:
    """The bytes of the regular file `name` (a leading `./` aside).

    Raises:
        InvalidModel: not a .tar.gz, no such member, or it is larger than `max_bytes`.
    """
    import tarfile
    import zlib

    try:
        packed = Packed(archive, UNPACKED_MAX_BYTES)
        with tarfile.open(fileobj=cast("Any", packed), mode="r:") as tar:
            while (member := tar.next()) is not None:
                if member.size < 0:
                    raise InvalidModel(f"the archive has a member of {member.size} bytes")
                if member.name.removeprefix("./") == name and member.isreg() and not member.issparse():
                    return _content(packed, member, name, max_bytes)
                packed.allow(HEADERS_MAX_BYTES)
    except (tarfile.TarError, EOFError, OSError, zlib.error, ValueError) as error:
        raise InvalidModel(f"not a readable .tar.gz: {error}") from None
    raise InvalidModel(f"the archive has no file {name}")


def _content(packed: Packed, member: tarfile.TarInfo, name: str, max_bytes: int) -> bytes:
    if member.size > max_bytes:
        raise InvalidModel(f"{name} in the archive has {member.size:,} bytes, expected {max_bytes:,}")
    packed.allow(member.size)
    packed.seek(member.offset_data)
    content = packed.read(member.size)
    if len(content) != member.size:
        raise InvalidModel(f"not a readable .tar.gz: {name} is cut off")
    return content
