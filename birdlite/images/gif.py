"""GIF: the blocks read here, the first frame decoded by Pillow's `gif` decoder.

Pillow's own plugin goes by Pillow's limit of pixels, which belongs to the program, and warns. What follows the first
frame is never looked at. `birdlite.images.picture` calls `header`.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from birdlite.images.frame import Frame, Header, check_size, damaged, truncated, unpack
from birdlite.namedtuple import NamedTuple

if TYPE_CHECKING:
    from birdlite.images.frame import Data

_EXTENSION, _CONTROL, _PICTURE = 0x21, 0xF9, 0x2C  # the first bytes of blocks, and the second of an extension
_MAX_BLOCKS = 1 << 18  # a file of empty blocks must not take long
_WHITE = b"\xff\xff\xff"
_GREYS = bytes(shade for shade in range(256) for _ in range(3))


class _First(NamedTuple):
    """The first frame."""

    screen: tuple[int, int]  # width and height, px
    place: tuple[int, int]  # left and top
    size: tuple[int, int]
    interlaced: bool
    palette: bytes  # RGB; empty for shades of grey
    clear: int | None  # the index of the transparent colour
    start: int  # where the width of the codes stands, before the blocks of data

    @property
    def canvas(self) -> tuple[int, int]:
        """The screen, or more if the frame reaches beyond it."""
        (width, height), (left, top), (columns, rows) = self.screen, self.place, self.size
        return max(width, left + columns), max(height, top + rows)


def header(data: Data, *, max_pixels: int) -> Header:
    """Read the blocks before the pixels.

    Raises:
        PictureError: `too_large`, or `decode`.
    """
    try:
        first = _first(data)
    except (struct.error, IndexError):  # a field lies behind the end of the file
        raise truncated("GIF") from None
    check_size(*first.canvas, max_pixels)
    check_size(*first.size, max_pixels)
    pixels = first.size[0] * first.size[1]
    if first.canvas == first.size:
        mode, memory = "P" if first.palette or first.clear is not None else "L", pixels
    else:
        mode, memory = "RGB", pixels * 5 + first.canvas[0] * first.canvas[1] * 4
    return Header(*first.canvas, mode, memory + len(data), lambda: _read(data, first))


def _first(data: Data) -> _First:
    """Find the first frame.

    Raises:
        struct.error, IndexError: the file ends before that.
    """
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    at = 13
    palette, at = _palette(data, at, flags)
    clear: int | None = None
    for _ in range(_MAX_BLOCKS):
        block = data[at]
        if block == _EXTENSION:
            if data[at + 1] == _CONTROL and data[at + 2] >= 4:
                clear = data[at + 6] if data[at + 3] & 1 else None
            at = _after_blocks(data, at + 2)
        elif block == _PICTURE:
            left, top, columns, rows, flags = struct.unpack_from("<4HB", data, at + 1)
            own, start = _palette(data, at + 10, flags)
            interlaced = bool(flags & 0x40)
            palette = own or palette
            if clear is None and _GREYS.startswith(palette):
                palette = b""
            return _First((width, height), (left, top), (columns, rows), interlaced, palette, clear, start)
        elif block:
            raise damaged("GIF", "an unknown block before the picture, or no picture")
        else:  # some files have zeros between blocks
            at += 1
    raise damaged("GIF", f"over {_MAX_BLOCKS:,} blocks")


def _palette(data: Data, at: int, flags: int) -> tuple[bytes, int]:
    """The palette that stands here, if the flags say so, and where it ends."""
    end = at + (6 << (flags & 7) if flags & 0x80 else 0)
    return bytes(data[at:end]), end


def _after_blocks(data: Data, at: int) -> int:
    """Where a chain of blocks of data ends: behind the first empty one.

    Raises:
        IndexError: the file ends before that.
    """
    for _ in range(_MAX_BLOCKS):
        size = data[at]
        at += 1 + size
        if not size:
            return at
    raise damaged("GIF", f"over {_MAX_BLOCKS:,} blocks")


def _read(data: Data, first: _First) -> Frame:
    """Decode the frame. What is transparent, or not covered by the frame, becomes white.

    Raises:
        PictureError: `decode`.
    """
    import PIL.Image

    try:
        code_bits, end = data[first.start], _after_blocks(data, first.start + 1)
    except IndexError:
        raise truncated("GIF") from None
    blocks = memoryview(data)[first.start + 1 : end]
    palette = first.palette or (b"" if first.clear is None else _GREYS)
    image = unpack("GIF", "P" if palette else "L", first.size, blocks, "gif", code_bits, int(first.interlaced))
    if palette:
        if first.clear is not None and 3 * first.clear < len(palette):
            palette = palette[: 3 * first.clear] + _WHITE + palette[3 * first.clear + 3 :]
        image.putpalette(palette)
    if first.canvas != first.size:
        picture = image.convert("RGB")
        image = PIL.Image.new("RGB", first.canvas, (255, 255, 255))
        image.paste(picture, first.place)
    return Frame(image, *first.canvas)
