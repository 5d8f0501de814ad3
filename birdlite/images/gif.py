"""GIF: the blocks up to the first picture read here, its pixels decoded by Pillow's `gif` decoder."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from birdlite.images.formats import Frame, check_size, damaged, truncated, unpack
from birdlite.namedtuple import NamedTuple

if TYPE_CHECKING:
    from birdlite.images.formats import Data

_EXTENSION, _GRAPHIC_CONTROL, _PICTURE, _END = 0x21, 0xF9, 0x2C, 0x3B
_HAS_PALETTE, _INTERLACED, _HAS_TRANSPARENCY = 0x80, 0x40, 0x01
_MAX_BLOCKS = 1 << 18  # a file of nothing but empty blocks keeps nobody busy


class _First(NamedTuple):
    """Where the first picture stands on the screen, and where its data stands in the file."""

    x: int
    y: int
    width: int
    height: int
    interlaced: bool
    palette: bytes  # RGB; empty where the numbers are shades of grey
    transparent: int | None
    code_size: int  # bits
    at: int


def read(data: Data, *, max_pixels: int) -> Frame:
    """Decode the first picture of a GIF, on a canvas of the whole screen where it does not fill that.

    Raises:
        PictureError: `too_large` or `decode`.
    """
    try:
        width, height, first = _first(data)
    except (struct.error, IndexError):  # of every field that lies behind the end
        raise truncated("GIF") from None
    width, height = max(width, first.x + first.width), max(height, first.y + first.height)  # browsers let it overhang
    check_size(width, height, max_pixels)
    check_size(first.width, first.height, max_pixels)
    view = memoryview(data)[first.at :]
    mode, size = "P" if first.palette else "L", (first.width, first.height)
    image = unpack("GIF", mode, size, view, "gif", first.code_size, int(first.interlaced), -1)
    if first.palette:
        image.putpalette(first.palette)
    if first.transparent is not None:
        image.info["transparency"] = first.transparent
    if size != (width, height):
        import PIL.Image

        canvas = PIL.Image.new("RGBA", (width, height))
        canvas.paste(image.convert("RGBA"), (first.x, first.y))
        image = canvas
    return Frame(image, width, height)


def _first(data: Data) -> tuple[int, int, _First]:
    """Read the size of the screen and all blocks up to the first picture's data.

    Raises:
        struct.error, IndexError: the file ends before that.
    """
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    palette, at = _palette(data, 13, flags)
    transparent = None
    in_extension = False  # among its sub-blocks, which an empty one ends
    for _ in range(_MAX_BLOCKS):
        block = data[at]
        if in_extension:
            at += 1 + block
            in_extension = block > 0
        elif block == _EXTENSION:
            if data[at + 1] == _GRAPHIC_CONTROL and data[at + 2] >= 4:
                transparent = data[at + 6] if data[at + 3] & _HAS_TRANSPARENCY else None
            at += 2
            in_extension = True
        elif block == _PICTURE:
            x, y, columns, rows, flags = struct.unpack_from("<4HB", data, at + 1)
            own, at = _palette(data, at + 10, flags)
            interlaced = bool(flags & _INTERLACED)
            first = _First(x, y, columns, rows, interlaced, own or palette, transparent, data[at], at + 1)
            return width, height, first
        else:
            raise damaged("GIF", "no picture in it" if block == _END else "an unknown block before the picture")
    raise damaged("GIF", f"over {_MAX_BLOCKS:,} blocks")


def _palette(data: Data, at: int, flags: int) -> tuple[bytes, int]:
    """Read the palette that the flags announce; it and where it ends."""
    if not flags & _HAS_PALETTE:
        return b"", at
    end = at + (6 << (flags & 7))
    return bytes(data[at:end]), end
