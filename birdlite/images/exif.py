"""TIFF's directories of tags, which EXIF uses too: the orientation of any picture, and the tags of a TIFF.

The readers call it. Pillow's own EXIF reader imports its TIFF plugin (13 ms) and warns on stderr about odd files.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from birdlite.namedtuple import NamedTuple

if TYPE_CHECKING:
    from birdlite.images.frame import Data

ORIENTATION = 274


class Entry(NamedTuple):
    """One tag: the offset of its 12 bytes, and the type and number of its values."""

    at: int
    type: int
    values: int  # how many


def byte_order(data: Data) -> str:
    """The byte order of a TIFF structure, as `struct` spells it."""
    return ">" if data[:1] == b"M" else "<"


def directory(data: Data, order: str) -> dict[int, Entry]:
    """The tags of the first directory. If a tag is there twice, the first counts.

    Raises:
        struct.error: the directory does not lie within the data.
    """
    (at,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, at)
    entries: dict[int, Entry] = {}
    for position in range(at + 2, at + 2 + 12 * count, 12):
        tag, type_, values, _ = struct.unpack_from(f"{order}HHII", data, position)
        entries.setdefault(tag, Entry(position, type_, values))
    return entries


def orientation(exif: Data) -> int:
    """The EXIF orientation, 1 to 8. If EXIF is damaged or does not say, it is 1: the picture itself is still whole."""
    if exif[:6] == b"Exif\0\0":  # JPEG has this prefix, WebP may have it
        exif = exif[6:]
    order = byte_order(exif)
    try:
        entry = directory(exif, order)[ORIENTATION]
    except (struct.error, KeyError):
        return 1
    (value,) = struct.unpack_from(f"{order}H", exif, entry.at + 8)
    return value if entry.type == 3 and 1 <= value <= 8 else 1  # type 3: unsigned, 16 bits
