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
_NOTHING = 14  # more than the position of any bit


class Piece:
    """A piece of the compressed pixels."""

    __slots__ = ("end", "last", "start")

    def __init__(self, start: int, end: int, *, last: bool) -> None:
        self.start = start
        self.end = end
        self.last = last  # of the picture


def pieces(data: bytes, header: Header, *, strict: bool) -> Iterator[Piece]:
    """Give one piece after the other. With `strict` the last one must have an end marker behind it, if any.

    Raises:
        PictureError: `too_large` for too many scans, or `decode` if pieces are missing.
    """
    # Of each colour and frequency, the lowest bit that is there yet.
    lacking = [dict.fromkeys(range(64), _NOTHING) for _ in header.components]
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
        if interval:
            _refuse_more_restarts(data, start)
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


def _read_scan(segment: bytes, header: Header, lacking: list[dict[int, int]]) -> list[Component]:
    """Read a scan's header, and take what it brings from what is lacking. Returns the components that it is about.

    Raises:
        PictureError: `decode`, also if a scan before it is missing.
    """
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
        else:
            _refine(lacking[n], range(first, last + 1), bits >> 4, bits & 15)
    return [header.components[n] for n in chosen]


def _refine(lacking: dict[int, int], frequencies: range, before: int, now: int) -> None:
    """Note the bits that a scan of a progressive picture brings: all down to `now`, or one more after `before`."""
    for frequency in frequencies:
        there = lacking.get(frequency, 0)
        if before and (there, now) != (before, before - 1) and there:
            raise damaged("JPEG", "a scan is missing")
        if now:
            lacking[frequency] = min(there, now)
        else:
            lacking.pop(frequency, None)


def _refuse_more_restarts(data: bytes, start: int) -> None:
    """Check that no restart marker stands in the last part of a scan: then a part is missing, or there twice."""
    import re

    found = re.compile(rb"\xff[\x01-\xfe]").search(data, start)
    if found and found[0] in _RESTARTS:
        raise damaged("JPEG", "the parts of the picture do not fit together")


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
