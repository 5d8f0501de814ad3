"""JPEG: what stands before the first scan, read as libjpeg reads it.

The decoder fills a buffer of the size that we give it, and does not check that size. So the header is read marker by
marker as libjpeg does, and refused wherever the two could disagree. `birdlite.images.jpeg` calls `read`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from birdlite.errors import PictureError
from birdlite.images import orientation
from birdlite.images.frame import damaged, truncated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from birdlite.images.frame import Data

EOI, SOS, DRI = 0xD9, 0xDA, 0xDD
_SOI, _APP1 = 0xD8, 0xE1
_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})  # baseline, extended, progressive; the last two arithmetic
_OTHER_FRAMES = frozenset({0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7})  # lossless, hierarchical, JPEG-LS
_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})  # TEM and the restart markers have no length
_MAX_SEGMENTS = 10_000  # a file of empty segments must not take long; cameras write about twenty


# Plain classes here and in `jpeg_scans`: a cold start pays 0.1 ms for each named tuple.
class Component:
    """One colour of the picture."""

    __slots__ = ("across", "down", "number")

    def __init__(self, number: int, across: int, down: int) -> None:
        self.number = number  # its name in the headers of scans
        self.across = across  # samples for each block of samples that belong together
        self.down = down


class Header:
    """The picture, and how its pixels are coded."""

    __slots__ = ("components", "frame", "height", "interval", "orientation", "scan", "width")

    def __init__(
        self, frame: tuple[int, int, int, tuple[Component, ...]], interval: int, orientation: int, scan: int
    ) -> None:
        """`frame` is the marker of the frame header, the width, the height and the components."""
        self.frame, self.width, self.height, self.components = frame
        self.interval = interval  # blocks of samples between two restart markers; without these 0
        self.orientation = orientation
        self.scan = scan  # where the first scan's header begins

    @property
    def progressive(self) -> bool:
        """Whether each scan brings a few bits of the picture."""
        return self.frame in {0xC2, 0xCA}

    @property
    def arithmetic(self) -> bool:
        """Whether the coding is arithmetic, not Huffman's."""
        return self.frame in {0xC9, 0xCA}


def read(data: Data) -> Header:
    """Read a file up to the header of its first scan.

    Raises:
        PictureError: `unsupported` (12 bits, lossless, hierarchical), or `decode`.
    """
    frame: tuple[int, int, int, tuple[Component, ...]] | None = None
    exif: list[Data] = []
    xmp: Data = b""
    interval = 0
    for marker, at, end in segments(data, 2):
        if marker in {_SOI, EOI}:
            raise damaged("JPEG", "no picture in it")
        if marker == SOS:
            if not frame:
                raise damaged("JPEG", "no header before the picture")
            turn = orientation.of_exif(exif[0] if len(exif) == 1 else b"".join(exif), xmp)
            return Header(frame, interval, turn, at)
        if marker in _OTHER_FRAMES:
            raise PictureError("unsupported", "lossless and hierarchical JPEG are not supported")
        if marker in _FRAMES:
            if frame:
                raise damaged("JPEG", "two headers")
            frame = (marker, *_frame(bytes(data[at:end])))
        elif marker == DRI:
            interval = int.from_bytes(data[at + 2 : end], "big")
        elif marker == _APP1:
            exif_start, xmp_start = at + 2 + len(orientation.EXIF_IN_JPEG), at + 2 + len(orientation.XMP_IN_JPEG)
            if data[at + 2 : exif_start] == orientation.EXIF_IN_JPEG:
                exif.append(data[exif_start:end])  # too long for a segment, it goes on in the next one
            elif data[at + 2 : xmp_start] == orientation.XMP_IN_JPEG:
                xmp = data[xmp_start:end]
    raise truncated("JPEG")


def segments(data: Data, at: int) -> Iterator[tuple[int, int, int]]:
    """Go from marker to marker. Gives each one's code, and where its segment begins and ends.

    A segment begins with its length. libjpeg steps over comments and the like of a length below 2 as if it were 2.

    Raises:
        PictureError: `decode`, at the end of the file, or if there are too many.
    """
    for _ in range(_MAX_SEGMENTS):
        marker, at = _next_marker(data, at)
        if marker in _ALONE:
            continue
        end = at
        if marker not in {_SOI, EOI}:
            end += max(2, int.from_bytes(data[at : at + 2], "big"))
        if end > len(data):
            raise truncated("JPEG")
        yield marker, at, end
        at = end
    raise damaged("JPEG", f"over {_MAX_SEGMENTS:,} segments")


def _next_marker(data: Data, at: int) -> tuple[int, int]:
    """Find the next marker as libjpeg does, skipping anything before it. Returns its code and where it ends."""
    marker = data[at : at + 2]
    if len(marker) == 2 and marker[0] == 0xFF and 0 < marker[1] < 0xFF:
        return marker[1], at + 2
    import re

    found = re.compile(rb"\xff[\x01-\xfe]").search(data, at)
    if not found:
        raise truncated("JPEG")
    return found[0][1], found.end()


def _frame(segment: bytes) -> tuple[int, int, tuple[Component, ...]]:
    """Read width, height and components from a frame header, which begins with its length."""
    if len(segment) < 8 or len(segment) != 8 + 3 * segment[7]:
        raise damaged("JPEG", "a header of the wrong length")
    height, width = int.from_bytes(segment[3:5], "big"), int.from_bytes(segment[5:7], "big")
    if segment[2] != 8:
        raise PictureError("unsupported", f"JPEG with {segment[2]} bits a sample is not supported")
    if segment[7] not in {1, 3, 4}:
        raise PictureError("unsupported", f"JPEG with {segment[7]} components is not supported")
    if not height:
        raise PictureError("unsupported", "JPEG that states its height after the picture is not supported")
    parts = (segment[at : at + 3] for at in range(8, len(segment), 3))
    return width, height, tuple(Component(number, factors >> 4, factors & 15) for number, factors, _ in parts)
