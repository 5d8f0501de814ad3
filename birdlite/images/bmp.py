"""BMP, by Pillow's plugin."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from PIL.BmpImagePlugin import BmpImageFile

from birdlite.errors import PictureError
from birdlite.images import plugin
from birdlite.images.formats import Frame, check_size

if TYPE_CHECKING:
    from birdlite.images.formats import Data

_RUN_LENGTHS = frozenset({1, 2})  # RLE8 and RLE4


def read(data: Data, *, max_pixels: int) -> Frame:
    """Decode a BMP.

    Raises:
        PictureError: `too_large`, `unsupported` (run-length coding), or `decode`.
    """
    (header_bytes,) = struct.unpack_from("<I", data, 14)
    if header_bytes >= 40 and len(data) >= 34 and struct.unpack_from("<I", data, 30)[0] in _RUN_LENGTHS:
        # Pillow unpacks it byte by byte in Python: minutes for a small file that says so, and for palettes only.
        raise PictureError("unsupported", "BMP with run-length coding is not supported")
    image = plugin.opened("BMP", BmpImageFile, data)
    check_size(image.width, image.height, max_pixels)
    return Frame(plugin.loaded("BMP", image), image.width, image.height)
