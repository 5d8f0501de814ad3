"""WebP, read by Pillow's plugin after its size was checked here. `birdlite.images.picture` calls `header`."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING

from birdlite.errors import PictureError
from birdlite.images import orientation, plugin
from birdlite.images.frame import Frame, Header, check_size, damaged, truncated

if TYPE_CHECKING:
    from birdlite.images.frame import Data

_A_PIXEL = 16
"""Bytes: two canvases of the decoder, a copy of one, and the image, which are all there at once."""

_MAX_WORK = 230_000_000
"""Pixels, and two for each byte of the file: 10 s of CPU of the slowest kind, lossy noise with alpha."""


class _ShortReads(io.BytesIO):
    """A file of which a read of a few bytes gives only so many that the plugin knows WebP by them.

    Then it goes by what the decoder says of the size, and not by Pillow's limit, which belongs to the program.
    """

    def read(self, size: int | None = -1, /) -> bytes:
        """As `BytesIO.read`, or less."""
        return super().read(16 if size == 30 else size)


def header(data: Data, *, max_pixels: int) -> Header:
    """Read the header; of an animation, the first frame will be decoded, on its transparent canvas.

    Raises:
        PictureError: `too_large`, or `decode`.
    """
    if len(data) < 30 or len(data) < 8 + int.from_bytes(data[4:8], "little"):
        raise truncated("WEBP")
    width, height, alpha = _size(bytes(data[:30]))
    check_size(width, height, max_pixels)
    if width * height + 2 * len(data) > _MAX_WORK:
        raise PictureError("too_large", f"WebP of {width}x{height} px in {len(data):,} bytes takes too long to decode")
    memory = width * height * _A_PIXEL + 3 * len(data)
    return Header(width, height, "RGBA" if alpha else "RGB", memory, lambda: _read(data, width, height))


def _size(head: bytes) -> tuple[int, int, bool]:
    """Read width and height, px, and whether there is alpha, from the first chunk: extended, lossless or lossy."""
    chunk = head[12:16]
    if chunk == b"VP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little"), True
    if chunk == b"VP8L" and head[20] == 0x2F:
        bits = int.from_bytes(head[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF), True
    if chunk == b"VP8 " and head[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", head, 26)
        return width & 0x3FFF, height & 0x3FFF, False
    raise damaged("WEBP", "an unknown first chunk")


def _read(data: Data, width: int, height: int) -> Frame:
    """Decode.

    Raises:
        PictureError: `decode`.
    """
    from PIL.WebPImagePlugin import WebPImageFile

    image = plugin.load("WEBP", WebPImageFile, _ShortReads(data))
    if image.size != (width, height):
        raise damaged("WEBP", "two sizes")
    turn = orientation.of_exif(image.info.get("exif", b""), image.info.get("xmp", b""))
    return Frame(image.copy(), width, height, orientation=turn)  # a copy lets the decoder and its canvases go
