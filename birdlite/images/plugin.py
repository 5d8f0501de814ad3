"""GIF, BMP and WebP, each read by its own plugin of Pillow. TIFF uses the same two steps, `opened` and `loaded`.

`PIL.Image.open` would import five plugins and try them in turn. Whatever a plugin raises becomes our error. Sizes are
read from the file and checked before a plugin sees it, where the plugin would reserve memory by them.
"""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Literal

import PIL.Image

from birdlite.errors import PictureError
from birdlite.images import exif, frame
from birdlite.images.frame import Frame, damaged, truncated

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL.ImageFile import ImageFile

    from birdlite.images.frame import Data, Format

_RUN_LENGTHS = frozenset({1, 2})  # BMP's RLE8 and RLE4
_EXTENSION, _PICTURE = 0x21, 0x2C  # the first bytes of GIF's blocks
_MAX_BLOCKS = 1 << 18  # of a GIF: a file of empty blocks must not take long


class _Bytes(io.BytesIO):
    """A file in memory that notes when a plugin wants more than there is."""

    ended = False

    def read(self, size: int | None = -1, /) -> bytes:
        """As `BytesIO.read`."""
        data = super().read(size)
        self.ended = self.ended or not data
        return data


def read(name: Literal["GIF", "BMP", "WEBP"], data: Data, *, max_pixels: int) -> Frame:
    """Decode a picture; of an animation, the first frame.

    Raises:
        PictureError: `too_large`, `unsupported`, or `decode`.
    """
    if name == "GIF":
        return _gif(data, max_pixels)
    if name == "BMP":
        return _bmp(data, max_pixels)
    return _webp(data, max_pixels)


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Refuse what is over our limit, and over Pillow's (89 Mpx unless the program changed it), where plugins warn.

    Raises:
        PictureError: `too_large`, or `decode` if the picture has no pixels.
    """
    frame.check_size(width, height, max_pixels)
    own = PIL.Image.MAX_IMAGE_PIXELS
    if own is not None and width * height > own:
        raise PictureError("too_large", f"{width}x{height} px is over Pillow's own limit of {own:,} pixels")


def opened(name: Format, plugin: Callable[[io.BytesIO], ImageFile], data: Data) -> ImageFile:
    """Read the header.

    Raises:
        PictureError: `decode`, or `unsupported` for a mode that the plugin does not know.
    """
    try:
        return plugin(_Bytes(data))
    except MemoryError:
        raise
    except Exception as error:  # damaged files make plugins raise nearly anything, also AttributeError
        if isinstance(error.__cause__, KeyError):  # this is how plugins say that they do not know a mode
            raise PictureError("unsupported", f"{name} of this kind is not supported: {error}") from error
        raise damaged(name, error) from error


def loaded(name: Format, image: ImageFile) -> ImageFile:
    """Decode the pixels, even if the program has set Pillow's LOAD_TRUNCATED_IMAGES.

    Raises:
        PictureError: `decode`, also if only a part is there.
    """
    file = image.fp
    try:
        image.load()
    except MemoryError:
        raise
    except Exception as error:  # as above
        if isinstance(file, _Bytes) and file.ended:
            raise truncated(name) from error
        raise damaged(name, error) from error
    if isinstance(file, _Bytes) and file.ended:
        raise truncated(name)
    return image


def _bmp(data: Data, max_pixels: int) -> Frame:
    from PIL.BmpImagePlugin import BmpImageFile

    (header_bytes,) = struct.unpack_from("<I", data, 14)
    if header_bytes >= 40 and len(data) >= 34 and struct.unpack_from("<I", data, 30)[0] in _RUN_LENGTHS:
        # Pillow unpacks it byte by byte in Python, which takes minutes for a small file; only old palettes use it.
        raise PictureError("unsupported", "BMP with run-length coding is not supported")
    image = opened("BMP", BmpImageFile, data)
    frame.check_size(image.width, image.height, max_pixels)
    return Frame(loaded("BMP", image), image.width, image.height)


def _webp(data: Data, max_pixels: int) -> Frame:
    """Check the size first: the plugin reserves memory for the whole canvas when it opens."""
    from PIL.WebPImagePlugin import WebPImageFile

    if len(data) < 30 or len(data) < 8 + int.from_bytes(data[4:8], "little"):
        raise truncated("WEBP")
    width, height = _webp_size(bytes(data[:30]))
    check_size(width, height, max_pixels)
    image = loaded("WEBP", opened("WEBP", WebPImageFile, data))
    block = image.info.get("exif")
    return Frame(image, width, height, orientation=exif.orientation(block) if block else 1)


def _webp_size(head: bytes) -> tuple[int, int]:
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


def _gif(data: Data, max_pixels: int) -> Frame:
    """Give the first frame, on a transparent canvas if it does not fill the screen. It may reach beyond the screen."""
    from PIL.GifImagePlugin import GifImageFile

    try:
        width, height, left, top, columns, rows = _gif_sizes(data)
    except (struct.error, IndexError):  # a field lies behind the end of the file
        raise truncated("GIF") from None
    width, height = max(width, left + columns), max(height, top + rows)
    check_size(width, height, max_pixels)
    check_size(columns, rows, max_pixels)
    file = opened("GIF", GifImageFile, data)
    if file.size != (width, height):
        raise damaged("GIF", "blocks of the wrong length")
    image: PIL.Image.Image = loaded("GIF", file)
    if (columns, rows) != image.size:
        picture = image.crop((left, top, left + columns, top + rows)).convert("RGBA")
        image = PIL.Image.new("RGBA", image.size)
        image.paste(picture, (left, top))
    return Frame(image, width, height)


def _gif_sizes(data: Data) -> tuple[int, ...]:
    """Read the screen's width and height; and the first frame's left, top, width and height.

    Raises:
        struct.error, IndexError: the file ends before that.
    """
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    at = 13 + (6 << (flags & 7) if flags & 0x80 else 0)  # behind the palette
    in_extension = False  # an extension is blocks of data, of which the last is empty
    for _ in range(_MAX_BLOCKS):
        block = data[at]
        if in_extension:
            at += 1 + block
            in_extension = block > 0
        elif block == _EXTENSION:
            at += 2
            in_extension = True
        elif block == _PICTURE:
            return width, height, *struct.unpack_from("<4H", data, at + 1)
        else:
            raise damaged("GIF", "an unknown block before the picture, or no picture")
    raise damaged("GIF", f"over {_MAX_BLOCKS:,} blocks")
