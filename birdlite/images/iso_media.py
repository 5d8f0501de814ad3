"""The sizes of pictures in an ISO base media file (AVIF, HEIC), read for `birdlite.images.heif` before its decoder.

The decoders reserve memory by what such a file says of itself: of its picture, and of the tiles that a picture may be
made of. Boxes lie in boxes; those without sizes are skipped.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from birdlite.namedtuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

# Boxes of boxes, and the bytes before the first one.
_CONTAINERS = {
    b"meta": 4, b"iprp": 0, b"ipco": 0, b"moov": 0, b"trak": 0, b"mdia": 0, b"minf": 0, b"stbl": 0, b"stsd": 8,
}  # fmt: skip
_FRAMES = frozenset({b"av01", b"hvc1", b"hev1"})  # what the pictures of a sequence are
_MAX_DEPTH = 8
_MAX_BOXES = 20_000  # a picture of 48 Mpx in tiles of 512 px has 200


class Media(NamedTuple):
    """What the boxes say."""

    sizes: list[tuple[int, int]]  # width and height of each picture and tile, px
    items: int  # pictures, tiles and blocks of metadata
    alpha: bool  # or depth, which takes as much
    deep: bool  # more than 8 bits a sample


class BadBoxes(Exception):
    """The boxes do not fit into each other, or are too many."""


def read(data: memoryview) -> Media:
    """Read the boxes.

    Raises:
        BadBoxes: see there.
    """
    sizes: list[tuple[int, int]] = []
    items = 0
    alpha = deep = False
    try:
        for name, body in _boxes(data, 0):
            if name == b"ispe":
                sizes.append(struct.unpack_from(">II", body, 4))
            elif name in _FRAMES:
                sizes.append(struct.unpack_from(">HH", body, 24))
            elif name == b"infe":
                items += 1
            elif name == b"auxC":
                alpha = True
            elif name == b"pixi":
                deep = deep or any(bits > 8 for bits in body[5 : 5 + body[4]])
    except (struct.error, IndexError):
        raise BadBoxes("a box that is too short") from None
    return Media(sizes, items, alpha, deep)


def _boxes(data: memoryview, depth: int) -> Iterator[tuple[bytes, memoryview]]:
    at = 0
    for _ in range(_MAX_BOXES):
        if at + 8 > len(data):
            return
        size, name = struct.unpack_from(">I4s", data, at)
        start = at + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, start)
            start += 8
        end = at + size if size else len(data)
        if end < start or end > len(data):
            raise BadBoxes("a box that is longer than the file")
        body = data[start:end]
        yield name, body
        if name == b"iinf":
            yield from _boxes(body[6 if not body[0] else 8 :], depth + 1)
        elif name in _CONTAINERS and depth < _MAX_DEPTH:
            yield from _boxes(body[_CONTAINERS[name] :], depth + 1)
        at = end
    raise BadBoxes(f"over {_MAX_BOXES:,} boxes")
