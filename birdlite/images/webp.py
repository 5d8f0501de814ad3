"""WebP, by Pillow's plugin, after a look at the header: the plugin makes room for the whole canvas when it opens."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from PIL.WebPImagePlugin import WebPImageFile

from birdlite.images import exif, plugin
from birdlite.images.formats import Frame, damaged, truncated

if TYPE_CHECKING:
    from birdlite.images.formats import Data


def read(data: Data, *, max_pixels: int) -> Frame:
    """Decode a WebP; of an animation, the first picture.

    Raises:
        PictureError: `too_large` or `decode`.
    """
    if len(data) < 30 or len(data) < 8 + int.from_bytes(data[4:8], "little"):
        raise truncated("WEBP")
    width, height = _size(bytes(data[:30]))
    plugin.check_size(width, height, max_pixels)
    image = plugin.loaded("WEBP", plugin.opened("WEBP", WebPImageFile, data))
    block = image.info.get("exif")
    return Frame(image, width, height, orientation=exif.orientation(block) if block else 1)


def _size(head: bytes) -> tuple[int, int]:
    """Read width and height, px, from the first chunk: extended, lossless or lossy."""
    chunk = head[12:16]
    if chunk == b"VP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if chunk == b"VP8L" and head[20] == 0x2F:
        bits = int.from_bytes(head[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if chunk == b"VP8 " and head[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", head, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise damaged("WEBP", "an unknown first chunk")
