"""The tags of a TIFF's first page, read for `birdlite.images.tiff`; and a bare TIFF of chosen tags, for Pillow.

A BigTIFF, whose offsets have 64 bits, is read too.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from birdlite.images.frame import damaged, truncated
from birdlite.namedtuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from birdlite.images.frame import Data

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 16: 8}  # bytes of a value, by type
_CODES = {1: "B", 3: "H", 4: "I", 16: "Q"}  # whole numbers
_LONG = 4
_MOST_TAGS = 4096  # of a BigTIFF, which can claim more; a TIFF cannot have 65,536


class _Entry(NamedTuple):
    type: int
    values: int  # how many
    place: int  # where they are, or where it says where they are


class Tags:
    """The first directory. Every tag that is read is checked to lie within the file."""

    def __init__(self, data: Data) -> None:
        self.data = data
        self.order = ">" if data[:1] == b"M" else "<"
        self._big = 43 in data[2:4]
        try:
            self._entries = self._directory()
        except (struct.error, OverflowError):  # an offset of 64 bits
            raise truncated("TIFF") from None

    def _directory(self) -> dict[int, _Entry]:
        """The entries. If a tag is there twice, the first counts.

        Raises:
            struct.error: the directory does not lie within the file.
        """
        data, order = self.data, self.order
        (at,) = struct.unpack_from(f"{order}{'Q' if self._big else 'I'}", data, 8 if self._big else 4)
        (count,) = struct.unpack_from(f"{order}{'Q' if self._big else 'H'}", data, at)
        first, size = (at + 8, 20) if self._big else (at + 2, 12)
        if count > _MOST_TAGS:
            raise damaged("TIFF", f"over {_MOST_TAGS:,} tags")
        entries: dict[int, _Entry] = {}
        for position in range(first, first + size * count, size):
            tag, type_, values = struct.unpack_from(f"{order}HH{'Q' if self._big else 'I'}", data, position)
            struct.unpack_from("4x", data, position + size - 4)  # it is there to its end
            entries.setdefault(tag, _Entry(type_, values, position + (12 if self._big else 8)))
        return entries

    def __contains__(self, tag: int) -> bool:
        return tag in self._entries

    def values(self, tag: int, most: int = 64) -> tuple[int, ...]:
        """Read a tag of whole numbers, of which only so many are wanted; empty if the tag is absent."""
        entry = self._entries.get(tag)
        if entry is None:
            return ()
        if entry.type not in _CODES:
            raise damaged("TIFF", f"tag {tag} is of type {entry.type}")
        at = self._place(tag, entry)
        return struct.unpack_from(f"{self.order}{min(entry.values, most)}{_CODES[entry.type]}", self.data, at)

    def value(self, tag: int, default: int = 0) -> int:
        """Read a tag of one whole number."""
        values = self.values(tag) or (default,)
        if len(values) != 1:
            raise damaged("TIFF", f"tag {tag} has {len(values)} values")
        return values[0]

    def raw(self, tag: int) -> tuple[int, int, bytes] | None:
        """The type of a tag, the number of its values, and their bytes; None if it is absent or of an unknown type."""
        entry = self._entries.get(tag)
        if entry is None or entry.type not in _SIZES or not entry.values:
            return None
        at = self._place(tag, entry)
        return entry.type, entry.values, bytes(self.data[at : at + entry.values * _SIZES[entry.type]])

    def _place(self, tag: int, entry: _Entry) -> int:
        """The offset of a tag's values."""
        size, at = entry.values * _SIZES[entry.type], entry.place
        if size > (8 if self._big else 4):
            (at,) = struct.unpack_from(f"{self.order}{'Q' if self._big else 'I'}", self.data, at)
        if at + size > len(self.data):
            raise damaged("TIFF", f"tag {tag} lies outside the file")
        return at


def bare(tags: Tags, numbers: Mapping[int, tuple[int, ...]], others: tuple[int, ...], pixels: Data) -> bytes:
    """Write a TIFF of these tags only: the pixels stay where they are, the tags follow behind them.

    Args:
        tags: of the file.
        numbers: tags with new values.
        others: tags that are copied as they are.
        pixels: the file whose pixels are copied; empty for a file of tags alone.
    """
    order = tags.order
    entries = {tag: (_LONG, len(v), struct.pack(f"{order}{len(v)}I", *v)) for tag, v in numbers.items()}
    for tag in others:
        raw = tags.raw(tag)
        if raw:
            entries[tag] = raw
    if sum(len(body) for _, _, body in entries.values()) > len(tags.data) + sum(4 * len(v) for v in numbers.values()):
        raise damaged("TIFF", "its tags are larger than the file")
    at = max(len(pixels), 8)
    values: list[bytes] = []
    table: list[bytes] = []
    for tag, (type_, count, body) in sorted(entries.items()):
        place = body.ljust(4, b"\0")
        if len(body) > 4:
            place = struct.pack(f"{order}I", at)
            values.append(body)
            at += len(body)
        table.append(struct.pack(f"{order}HHI", tag, type_, count) + place)
    start = struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, at)
    end = struct.pack(f"{order}H", len(table)), *table, bytes(4)
    return b"".join((start, memoryview(pixels)[8:], *values, *end))
