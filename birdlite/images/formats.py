"""Which of the six formats a file is, and what every reader of a format gives back to `birdlite.images.picture`.

A reader is a module with one function, `read(data, ..., max_pixels) -> Frame`. JPEG, PNG and GIF are taken apart here
and only their compressed pixels go to Pillow's decoders: that imports no plugin (11 ms for JPEG, logging and subprocess
among it), can tell a truncated file from a whole one, and gives comments, text chunks and thumbnails no chance to do
harm. TIFF, WebP and BMP go to their one plugin of Pillow. No reader looks at a file's name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from birdlite.errors import PictureError
from birdlite.namedtuple import NamedTuple

if TYPE_CHECKING:
    from PIL.Image import Image

    from birdlite.images.pillow_core import CoreImage

Data: TypeAlias = "bytes | memoryview"
"""A whole file; a memoryview is contiguous and of single bytes."""

Format = Literal["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"]

MAX_SIDE = 1 << 18
"""Longest side in px. Pillow holds a pointer a row, and filters hold a coefficient a pixel: a strip of a million rows
costs memory that its number of pixels does not show. JPEG and GIF end at 65,535, WebP at 16,383."""


class Frame(NamedTuple):
    """A decoded picture as it was stored: not yet turned, resized, or brought to RGB."""

    image: Image | CoreImage  # of any mode; `info["transparency"]` is set where Pillow's plugins would set it
    width: int  # px, as stored, at full scale
    height: int
    scale: int = 1  # the image has 1/scale of the width and height, rounded up
    orientation: int = 1  # EXIF: 1 is upright, 5 to 8 swap width and height


def kind(data: Data) -> Format:
    """Tell the format by the first bytes.

    Raises:
        PictureError: `not_an_image` or `unsupported`, naming what the file is as far as that can be told.
    """
    head = bytes(data[:12])
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head.startswith(b"RIFF") and head.endswith(b"WEBP"):
        return "WEBP"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if head.startswith((b"II*\0", b"MM\0*")) and head[8:10] != b"CR":  # that is Canon's raw format
        return "TIFF"
    if head.startswith(b"BM") and len(data) >= 26 and data[15:18] == b"\0\0\0":  # "BM" may begin a text, this not
        return "BMP"
    from birdlite.images import unsupported

    raise unsupported.name(data)


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Refuse a picture by what its header says, before anything is decoded.

    Raises:
        PictureError: `too_large`, or `decode` when there is not one pixel.
    """
    if width < 1 or height < 1:
        raise PictureError("decode", f"damaged header: {width}x{height} px")
    if width * height > max_pixels:
        raise PictureError("too_large", f"{width}x{height} px is over the limit of {max_pixels:,} pixels")
    if max(width, height) > MAX_SIDE:
        raise PictureError("too_large", f"{width}x{height} px: a side is over the limit of {MAX_SIDE:,} px")


def damaged(name: Format, why: object) -> PictureError:
    """Make the error for a picture that cannot be decoded whole; `why` may be Pillow's exception."""
    text = "".join(c if c.isprintable() else " " for c in str(why))
    return PictureError("decode", f"damaged {name}: {' '.join(text.split())[:160] or type(why).__name__}")


def truncated(name: Format) -> PictureError:
    """Make the error for a picture that ends too early."""
    return PictureError("decode", f"truncated {name}: the file ends before the picture does")


def unpack(name: Format, mode: str, size: tuple[int, int], data: Data, decoder: str, *options: object) -> Image:
    """Decode compressed pixels with one of Pillow's decoders, without a plugin.

    Raises:
        PictureError: `decode` when the data is damaged or short, `unsupported` when Pillow lacks the decoder.
    """
    import PIL.Image

    try:
        return PIL.Image.frombytes(mode, size, data, decoder, *options)
    except ValueError as error:
        raise damaged(name, error) from error
    except OSError as error:
        raise PictureError("unsupported", f"this Pillow cannot read {name}: {error}") from error
