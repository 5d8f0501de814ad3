"""BMP: the header read here, the pixels unpacked by Pillow's `raw` decoder, run-length coding unpacked here.

Pillow's own plugin unpacks runs byte by byte, which takes minutes for a small file.
`birdlite.images.picture` calls `header`.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from birdlite.errors import PictureError
from birdlite.images.frame import Frame, Header, check_size, damaged, truncated, unpack
from birdlite.namedtuple import NamedTuple

if TYPE_CHECKING:
    from PIL.Image import Image

    from birdlite.images.frame import Data

_PLAIN, _RLE8, _RLE4, _FIELDS, _ALPHA_FIELDS = 0, 1, 2, 3, 6  # ways to store pixels
_OS2 = 64  # bytes of its second header, in which 3 and 4 stand for other ways
_INDEXED = frozenset({1, 2, 4, 8})  # bits of a pixel that is an index into the palette
_MAX_RUNS = 1 << 23  # bytes of run-length coding: each two or three of them cost a microsecond

# Bits a pixel and the masks of red, green, blue and alpha -> mode, the decoder's mode.
_MASKS = {
    (16, 0x7C00, 0x3E0, 0x1F): ("RGB", "BGR;15"),
    (16, 0xF800, 0x7E0, 0x1F): ("RGB", "BGR;16"),
    (24, 0xFF0000, 0xFF00, 0xFF): ("RGB", "BGR"),
    (32, 0xFF0000, 0xFF00, 0xFF): ("RGB", "BGRX"),
    (32, 0xFF, 0xFF00, 0xFF0000): ("RGB", "RGBX"),
    (32, 0xFF000000, 0xFF0000, 0xFF00): ("RGB", "XBGR"),
    (32, 0xFF000000, 0xFF00, 0xFF): ("RGB", "BGXR"),
    (32, 0xFF, 0xFF00, 0xFF0000, 0xFF000000): ("RGBA", "RGBA"),
    (32, 0xFF0000, 0xFF00, 0xFF, 0xFF000000): ("RGBA", "BGRA"),
    (32, 0xFF000000, 0xFF0000, 0xFF00, 0xFF): ("RGBA", "ABGR"),
    (32, 0xFF000000, 0xFF00, 0xFF, 0xFF0000): ("RGBA", "BGAR"),
    (32, 0, 0, 0): ("RGBA", "BGRA"),
}
_USUAL = {16: (0x7C00, 0x3E0, 0x1F), 24: (0xFF0000, 0xFF00, 0xFF), 32: (0xFF0000, 0xFF00, 0xFF)}


class _Bitmap(NamedTuple):
    width: int
    height: int
    bits: int
    way: int  # how the pixels are stored
    upwards: bool  # the last row comes first
    masks: tuple[int, ...]  # of red, green, blue and perhaps alpha
    palette: bytes  # RGB; empty if the pixels are colours
    start: int  # where the pixels begin

    @property
    def row_bytes(self) -> int:
        return (self.width * self.bits + 31) // 32 * 4

    @property
    def grey(self) -> bool:
        """Whether each index is its own shade."""
        return self.bits == 8 and self.palette == bytes(v for v in range(256) for _ in range(3))


def header(data: Data, *, max_pixels: int) -> Header:
    """Read the header.

    Raises:
        PictureError: `too_large`, `unsupported` (such as JPEG in BMP), or `decode`.
    """
    try:
        bitmap = _bitmap(data)
    except struct.error:
        raise truncated("BMP") from None
    check_size(bitmap.width, bitmap.height, max_pixels)
    pixels = bitmap.width * bitmap.height
    if bitmap.palette:
        _check_indexed(bitmap, len(data))
        mode, a_pixel = "L" if bitmap.grey else "P", 1 if bitmap.way == _PLAIN else 2
        memory = pixels * a_pixel + (0 if bitmap.way == _PLAIN else len(data))
        return Header(bitmap.width, bitmap.height, mode, memory, lambda: _indexed(data, bitmap))
    known = _MASKS.get((bitmap.bits, *bitmap.masks))
    if not known:
        masks = ", ".join(f"{mask:x}" for mask in bitmap.masks)
        raise PictureError("unsupported", f"BMP with {bitmap.bits} bits a pixel and masks {masks} is not supported")
    if bitmap.start + bitmap.row_bytes * bitmap.height > len(data):
        raise truncated("BMP")
    mode, raw_mode = known
    return Header(bitmap.width, bitmap.height, mode, pixels * 4, lambda: _colours(data, bitmap, mode, raw_mode))


def _bitmap(data: Data) -> _Bitmap:
    start, size = struct.unpack_from("<II", data, 10)
    masks: tuple[int, ...] = ()
    way = colours = 0
    if size == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
    elif 16 <= size <= 255:
        width, height, _, bits = struct.unpack_from("<iiHH", data, 18)
        if size >= 40:
            way, _, _, _, colours = struct.unpack_from("<5I", data, 30)
    else:
        raise PictureError("unsupported", f"BMP with a header of {size} bytes is not supported")
    palette_at = 14 + size
    if (way in {_FIELDS, _ALPHA_FIELDS} and size != _OS2) and bits in _USUAL:
        with_alpha = way == _ALPHA_FIELDS or size >= 56
        masks = struct.unpack_from("<4I" if with_alpha else "<3I", data, 54)
        if masks[3:] == (0,):
            masks = masks[:3]
    elif way == _PLAIN and bits in _USUAL:
        masks = _USUAL[bits]
    elif (way, bits) not in {*((_PLAIN, b) for b in _INDEXED), (_RLE8, 8), (_RLE4, 4)}:
        raise PictureError("unsupported", f"BMP of this kind (compression {way}, {bits} bits) is not supported")
    palette = b""
    if not masks:
        entry = 3 if size == 12 else 4
        start += entry * (colours or 1 << bits) if start == palette_at else 0  # some writers forget the palette
        palette = _palette(data, palette_at, start, entry, colours or 1 << bits)
    return _Bitmap(width, abs(height), bits, way, height > 0, masks, palette, start)


def _palette(data: Data, at: int, end: int, entry: int, colours: int) -> bytes:
    """Read the palette, which ends before the pixels, as RGB."""
    stored = bytes(data[at : min(at + entry * min(colours, 256), max(end, at))])
    stored = stored[: len(stored) // entry * entry]
    if not stored:
        raise damaged("BMP", "no palette")
    palette = bytearray(len(stored) // entry * 3)
    for band in range(3):
        palette[2 - band :: 3] = stored[band::entry]
    return bytes(palette)


def _check_indexed(bitmap: _Bitmap, length: int) -> None:
    if bitmap.way == _PLAIN and bitmap.start + bitmap.row_bytes * bitmap.height > length:
        raise truncated("BMP")
    if bitmap.way != _PLAIN and length - bitmap.start > _MAX_RUNS:
        raise PictureError("too_large", f"BMP with over {_MAX_RUNS:,} bytes of run-length coding")


def _colours(data: Data, bitmap: _Bitmap, mode: str, raw_mode: str) -> Frame:
    return Frame(_rows(data, bitmap, mode, raw_mode), bitmap.width, bitmap.height)


def _rows(data: Data, bitmap: _Bitmap, mode: str, raw_mode: str) -> Image:
    rows = memoryview(data)[bitmap.start : bitmap.start + bitmap.row_bytes * bitmap.height]
    size = (bitmap.width, bitmap.height)
    return unpack("BMP", mode, size, rows, "raw", raw_mode, bitmap.row_bytes, -1 if bitmap.upwards else 1)


def _indexed(data: Data, bitmap: _Bitmap) -> Frame:
    mode = "L" if bitmap.grey else "P"
    if bitmap.way == _PLAIN:
        image = _rows(data, bitmap, mode, mode if bitmap.bits == 8 else f"P;{bitmap.bits}")
    else:
        indexes = _unpacked_runs(data, bitmap)
        size = (bitmap.width, bitmap.height)
        image = unpack("BMP", mode, size, indexes, "raw", mode, 0, -1 if bitmap.upwards else 1)
    if mode == "P":
        image.putpalette(bitmap.palette)
    return Frame(image, bitmap.width, bitmap.height)


def _unpacked_runs(data: Data, bitmap: _Bitmap) -> bytearray:
    """Unpack run-length coding to one byte a pixel, the last row first. Pixels that are skipped have index 0.

    Raises:
        PictureError: `decode`: rows are missing.
    """
    runs = bytes(data[bitmap.start :])
    width, total = bitmap.width, bitmap.width * bitmap.height
    small = bitmap.way == _RLE4
    pixels = bytearray(total)
    at = row = x = 0  # of `runs`; where the row begins in `pixels`, and the pixel in it
    end = len(runs) - 1
    while row < total:
        if at >= end:
            raise truncated("BMP")
        count, value = runs[at], runs[at + 1]
        at += 2
        if count:
            kept = min(count, width - x)
            if small:
                pair = bytes((value >> 4, value & 15))
                pixels[row + x : row + x + kept] = (pair * (kept // 2 + 1))[:kept]
            else:
                pixels[row + x : row + x + kept] = runs[at - 1 : at] * kept
            x += kept
        elif value == 0:  # the row ends
            row, x = row + width, 0
        elif value == 1:  # the picture ends
            break
        elif value == 2:  # go right and up
            if at >= end:
                raise truncated("BMP")
            x, row = min(x + runs[at], width), row + runs[at + 1] * width
            at += 2
        else:  # pixels as they are, an even number of bytes
            size = (value + 1) // 2 if small else value
            stored = runs[at : at + size]
            if len(stored) < size:
                raise truncated("BMP")
            if small:
                stored = bytes(half for byte in stored for half in (byte >> 4, byte & 15))
            kept = min(value, width - x)
            pixels[row + x : row + x + kept] = stored[:kept]
            x += kept
            at += size + size % 2
    if row < total - width or (row == total - width and not x):
        raise damaged("BMP", "rows are missing")
    return pixels
