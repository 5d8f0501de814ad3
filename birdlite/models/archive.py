"""One file out of a .tar.gz in memory. The store calls it for sources that give the model packed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from birdlite.errors import InvalidModel

if TYPE_CHECKING:
    import tarfile

    from birdlite.models.bounded_tar import Packed

UNPACKED_MAX_BYTES = 256 * 1024 * 1024  # how far into the unpacked archive we look: bounds a decompression bomb


def member_of(archive: bytes | bytearray, name: str, max_bytes: int) -> bytes:
    """The bytes of the regular file `name` (a leading `./` aside).

    Raises:
        InvalidModel: not a .tar.gz, no such member, or it is larger than `max_bytes`.
    """
    import tarfile
    import zlib

    from birdlite.models.bounded_tar import HEADERS_MAX_BYTES, Packed

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
    raise InvalidModel(f"the archive holds no file {name}")


def _content(packed: Packed, member: tarfile.TarInfo, name: str, max_bytes: int) -> bytes:
    if member.size > max_bytes:
        raise InvalidModel(f"{name} in the archive has {member.size:,} bytes, expected {max_bytes:,}")
    packed.allow(member.size)
    packed.seek(member.offset_data)
    content = packed.read(member.size)
    if len(content) != member.size:
        raise InvalidModel(f"not a readable .tar.gz: {name} is cut off")
    return content
