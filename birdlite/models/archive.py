"""One file out of a .tar.gz in memory. The store calls it for sources that give the model packed."""

from __future__ import annotations

import io

from birdlite.errors import InvalidModel

UNPACKED_MAX_BYTES = 256 * 1024 * 1024  # how far into the unpacked archive we look: bounds a decompression bomb


def member_of(archive: bytes | bytearray, name: str, max_bytes: int) -> bytes:
    """The bytes of the regular file `name` (a leading `./` aside).

    Raises:
        InvalidModel: not a .tar.gz, no such member, or it is larger than `max_bytes`.
    """
    import tarfile
    import zlib

    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
            while (member := tar.next()) is not None:
                if member.name.removeprefix("./") == name and member.isfile():
                    if member.size > max_bytes:
                        raise InvalidModel(f"{name} in the archive has {member.size:,} bytes, expected {max_bytes:,}")
                    file = tar.extractfile(member)
                    return file.read() if file else b""
                if member.offset_data + member.size > UNPACKED_MAX_BYTES:
                    raise InvalidModel(f"the archive unpacks to more than {UNPACKED_MAX_BYTES >> 20} MiB")
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise InvalidModel(f"not a readable .tar.gz: {error}") from None
    raise InvalidModel(f"the archive holds no file {name}")
