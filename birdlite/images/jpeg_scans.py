"""JPEG: where the compressed pixels stand, in pieces without a marker, for `birdlite.images.jpeg` to decode.

A piece is a scan, or the part of a scan between two restart markers. Restart markers are counted, and must come in
order. The scans must bring every bit of every colour: a file that lacks its last scans is not a whole picture, although
libjpeg shows it. The scan that completes the picture is the last one. What stands behind it does not count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from birdlite.errors import PictureError
from birdlite.images.frame import damaged, truncated
from birdlite.images.jpeg_header import DRI, EOI, SOS, segments
from birdlite.namedtuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from birdlite.images.jpeg_header import Component, Header

_FEW_SCANS, _MAX_SCANS = 16, 100  # encoders write about ten
_MAX_BLOCKS = 1 << 26  # of 8x8 samples, in more than a few scans: each takes 70 ns
_MAX_PIECES = 1 << 20  # of a scan
_GIVEN_PIECES = 1 << 14  # of a scan: if there are more, several make one

_END, _SCAN = b"\xff\xd9", b"\xff\xda"
_RESTARTS = tuple(bytes((0xFF, 0xD0 + n)) for n in range(8))
_MARKER = rb"\xff[\x01-\xcf\xd8-\xfe]"  # none of the restart markers


class Piece(NamedTuple):
    """A piece of the compressed pixels."""

    start: int
    end: int
    last: bool  # of the picture


def pieces(data: bytes, header: Header, *, strict: bool) -> Iterator[Piece]:
    """Give one piece after the other. With `strict` the last one must have an end marker behind it, if any.

    Raises:
        PictureError: `too_large` for too many scans, or `decode` if pieces are missing.
    """
    lacking = [set(range(64)) for _ in header.components]  # of each colour, the frequencies that are not complete yet
    at, interval = header.scan, header.interval
    work = 0
    for n in range(_MAX_SCANS):
        start = at + int.from_bytes(data[at : at + 2], "big")
        chosen = _read_scan(data[at:start], header, lacking)
        groups = _groups(header, chosen)
        work += groups * (sum(c.across * c.down for c in chosen) if len(chosen) > 1 else 1)
        if n >= _FEW_SCANS and work > _MAX_BLOCKS:
            raise PictureError("too_large", f"a JPEG of this size with over {_FEW_SCANS} scans is not decoded")
        for end in _restarts(data, start, groups, interval):
            yield Piece(start, end, last=False)
            start = end + 2
        if not any(lacking):
            one_scan = not header.progressive and len(chosen) == len(lacking)
            end = _end(data, start, strict=strict and one_scan)
            if n + data.count(_SCAN, end, max(data.find(_END, end), 0)) >= _MAX_SCANS:
                break
            yield Piece(start, end, last=True)
            return
        end = _next_marker(data, start)
        if end < 0:
            raise truncated("JPEG")
        yield Piece(start, end, last=False)
        at, interval = _next_scan(data, end, interval)
    raise PictureError("too_large", f"a JPEG with over {_MAX_SCANS} scans is not decoded")


def incomplete(data: bytes, start: int) -> PictureError:
    """Make the error for a picture that lacks a part: without an end marker the file ends too early."""
    if data.find(_END, start) < 0:
        return truncated("JPEG")
    return damaged("JPEG", "part of the picture is missing")


def _read_scan(segment: bytes, header: Header, lacking: list[set[int]]) -> list[Component]:
    """Read a scan's header, and take what it brings from what is lacking. Returns the components that it is about."""
    count = segment[2] if len(segment) > 2 else 0
    if not count or len(segment) != 6 + 2 * count:
        raise damaged("JPEG", "the header of a scan of the wrong length")
    chosen: list[int] = []
    for number in segment[3 : 3 + 2 * count : 2]:
        same = (n for n, c in enumerate(header.components) if c.number == number and n not in chosen)
        chosen.append(next(same, -1))
    if -1 in chosen:
        raise damaged("JPEG", "a scan of an unknown colour")
    first, last, bits = segment[-3:]
    for n in chosen:
        if not header.progressive:
            lacking[n].clear()
        elif not bits & 15:  # the lowest bit comes with it
            lacking[n].difference_update(range(first, last + 1))
    return [header.components[n] for n in chosen]


def _groups(header: Header, chosen: list[Component]) -> int:
    """How many groups of blocks the scan has. Of a single colour, each block is a group."""
    across, down = (chosen[0].across, chosen[0].down) if len(chosen) == 1 else (1, 1)
    most_across = max(c.across for c in header.components) or 1
    most_down = max(c.down for c in header.components) or 1
    columns, rows = -(-header.width * across // (8 * most_across)), -(-header.height * down // (8 * most_down))
    return columns * rows


def _restarts(data: bytes, start: int, groups: int, interval: int) -> Iterator[int]:
    """Find all restart markers that a scan must have."""
    count = -(-groups // interval) - 1 if interval else 0
    if count > _MAX_PIECES:
        raise PictureError("too_large", f"JPEG with {count:,} restart markers in a scan")
    step = 1 + count // _GIVEN_PIECES
    for n in range(count):
        end = data.find(_RESTARTS[n % 8], start)
        if end < 0:
            raise incomplete(data, start)
        if n % step == 0:
            yield end
        start = end + 2


def _end(data: bytes, start: int, *, strict: bool) -> int:
    """The end of the last piece: with `strict` the next end marker, else any marker; or the end of the file.

    An end marker is found in no time. If others stand before it, libjpeg will not want all of the piece.
    """
    end = data.find(_END, start) if strict else _next_marker(data, start)
    return end if end >= 0 else len(data)


def _next_marker(data: bytes, start: int) -> int:
    import re

    found = re.compile(_MARKER).search(data, start)
    return found.start() if found else -1


def _next_scan(data: bytes, at: int, interval: int) -> tuple[int, int]:
    """Find the header of the next scan, and the interval of restart markers for it."""
    for marker, start, end in segments(data, at):
        if marker == SOS:
            return start, interval
        if marker == EOI:
            break
        if marker == DRI:
            interval = int.from_bytes(data[start + 2 : end], "big")
    raise incomplete(data, at)
