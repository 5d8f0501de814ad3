"""The sizes of pictures in an ISO base media file (AVIF, HEIC), read for `birdlite.images.heif` before its decoder.

The decoders reserve memory by what such a file says of itself: of its picture, and of the tiles that a picture may be
made of. Boxes lie in boxes; those without sizes are skipped. What the boxes say of AV1 is compared with what the AV1
says of itself, which may be more; `coded` gives the bytes of each picture for this.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from birdlite.images import av1
from birdlite.namedtuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

# Boxes of boxes, and the bytes before the first one.
_CONTAINERS = {
    b"meta": 4, b"iprp": 0, b"ipco": 0, b"moov": 0, b"trak": 0, b"mdia": 0, b"minf": 0, b"stbl": 0, b"stsd": 8,
}  # fmt: skip
_FRAMES = frozenset({b"av01", b"hvc1", b"hev1"})  # what the pictures of a sequence are
_SHARED = 4  # how many times the file its pictures may be together
_MAX_DEPTH = 8
_MAX_BOXES = 20_000  # a picture of 48 Mpx in tiles of 512 px has 200


class Media(NamedTuple):
    """What the boxes say."""

    sizes: list[tuple[int, int]]  # width and height of each picture and tile, px
    items: int  # pictures, tiles and blocks of metadata
    alpha: bool  # or depth, which takes as much
    deep: bool  # more than 8 bits a sample
    coded: list[tuple[int, int]]  # width and height of each picture and tile in AV1, as its own header has it


class BadBoxes(Exception):
    """The boxes do not fit into each other, or are too many."""


class _Places:
    """Where the pictures in AV1 are: items of one picture each, and tracks."""

    def __init__(self) -> None:
        self.items: set[int] = set()
        self.locations: list[memoryview] = []
        self.stored: list[memoryview] = []  # bytes that items may be in, instead of the file's
        self.tracks: list[dict[bytes, memoryview]] = []  # the boxes of each

    def see(self, name: bytes, body: memoryview) -> None:
        """Keep what a box says of places."""
        if name == b"infe":
            wide = body[0] > 2
            if bytes(body[10:14] if wide else body[8:12]) == b"av01":
                self.items.add(struct.unpack_from(">I" if wide else ">H", body, 4)[0])
        elif name == b"iloc":
            self.locations.append(body)
        elif name == b"idat":
            self.stored.append(body)
        elif name == b"trak":
            self.tracks.append({})
        elif self.tracks and name in {b"av01", b"stsz", b"stco", b"co64"}:
            self.tracks[-1][name] = body

    def pictures(self, data: memoryview) -> Iterator[memoryview]:
        """The bytes of each item, and of the first picture of each track."""
        for location in self.locations:
            yield from _items(location, data, self.items, self.stored)
        for track in self.tracks:
            if b"av01" in track:
                yield _first_sample(track, data)


def _items(body: memoryview, data: memoryview, wanted: set[int], stored: list[memoryview]) -> Iterator[memoryview]:
    """The bytes of items, by a box `iloc`."""
    version, sizes, more = body[0], body[4], body[5]
    id_bytes = 4 if version > 1 else 2
    at, extents, held = 6, 0, 0

    def number(size: int) -> int:
        nonlocal at
        if at + size > len(body):
            raise BadBoxes("a box that is too short")
        at += size
        return int.from_bytes(body[at - size : at], "big")

    for _ in range(number(id_bytes)):
        item = number(id_bytes)
        way = number(2) & 15 if version else 0
        number(2)  # which file
        base = number(more >> 4)
        whole = data if way == 0 else stored[0] if way == 1 and len(stored) == 1 else data[:0]
        parts, total = [], 0
        count = number(2)
        extents += count
        if extents > _MAX_BOXES:  # they may take no bytes
            raise BadBoxes(f"pictures in over {_MAX_BOXES:,} pieces")
        for _ in range(count):
            number(more & 15 if version else 0)
            start = base + number(sizes >> 4)
            length = number(sizes & 15) or len(whole) - start
            total += length
            if start + length > len(whole) or length < 1 or total > len(data):
                if item in wanted:
                    raise BadBoxes("a picture that is not in the file")
            elif item in wanted:
                parts.append(whole[start : start + length])
        if item in wanted:
            held += total
            if held > _SHARED * len(data):
                raise BadBoxes("pictures of the same bytes")
            yield parts[0] if len(parts) == 1 else memoryview(b"".join(parts))


def _first_sample(track: dict[bytes, memoryview], data: memoryview) -> memoryview:
    """The bytes of the first picture of a track."""
    if b"stsz" not in track or not track.keys() & {b"stco", b"co64"}:
        raise BadBoxes("a track without places")
    size, _ = struct.unpack_from(">II", track[b"stsz"], 4)
    size = size or struct.unpack_from(">I", track[b"stsz"], 12)[0]
    wide = b"co64" in track
    (start,) = struct.unpack_from(">Q" if wide else ">I", track[b"co64" if wide else b"stco"], 8)
    if start + size > len(data):
        raise BadBoxes("a picture that is not in the file")
    return data[start : start + size]


def read(data: memoryview) -> Media:
    """Read the boxes.

    Raises:
        BadBoxes, av1.BadAv1, av1.TooManyFrames: see there.
    """
    places = _Places()
    sizes: list[tuple[int, int]] = []
    items = 0
    alpha = deep = False
    try:
        for name, body in _boxes(data, 0):
            places.see(name, body)
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
        coded = [av1.size(picture) for picture in places.pictures(data)]
    except (struct.error, IndexError):
        raise BadBoxes("a box that is too short") from None
    return Media(sizes, items, alpha, deep, coded)


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
