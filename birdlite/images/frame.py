"""What every reader of a format gives to `birdlite.images.picture`; the errors that readers share.

A reader is a module with a function `header(data, ..., max_pixels) -> Header`, which decodes nothing yet. JPEG and PNG
are taken apart by our own readers, and only their compressed pixels go to Pillow's decoders. This imports no plugin,
which saves 11 ms for JPEG. It can also tell a truncated file from a whole one, and ignores comments, text chunks and
thumbnails. GIF and BMP are read in the same way. TIFF, WebP and AVIF go to their one plugin of Pillow (see `plugin`).
No reader looks at a file's name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from birdlite.errors import PictureError, one_line
from birdlite.namedtuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL.Image import Image

    from birdlite.images.pillow_core import CoreImage

Data: TypeAlias = "bytes | memoryview"
"""A whole file; a memoryview is contiguous and of single bytes."""

Bytes: TypeAlias = "bytes | bytearray | memoryview"

Format = Literal["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIC"]

BYTE_MODES = frozenset({"1", "L", "P"})
"""Pillow's modes of one byte a pixel in memory; the others take four."""

MAX_SIDE = 1 << 18
"""Longest side in px. Pillow holds a pointer for each row, and filters hold a coefficient for each pixel of a side.
So a strip of a million rows takes more memory than its few pixels. JPEG and GIF end at 65,535, WebP at 16,383."""


class Frame(NamedTuple):
    """A decoded picture as it was stored: not yet turned, resized, or converted to RGB."""

    image: Image | CoreImage  # of any mode; `info["transparency"]` is set where Pillow's plugins would set it
    width: int  # px, as stored, at full scale
    height: int
    scale: int = 1  # the image has 1/scale of the width and height, rounded up
    orientation: int = 1  # EXIF: 1 is upright, 5 to 8 swap width and height


class Header(NamedTuple):
    """What a file says of its picture. Nothing is decoded before `read` is called, and nothing is too large then."""

    width: int  # px, as stored, at full scale
    height: int
    mode: str  # Pillow's mode of the image that `read` gives
    memory: int  # bytes that `read` takes at its peak, its image included, the file's own bytes not
    read: Callable[[], Frame]
    scale: int = 1  # the image has 1/scale of the width and height, rounded up
    transparent: bool = False  # the image's `info["transparency"]` will be set


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Refuse a picture by the size in its header, before anything is decoded.

    Raises:
        PictureError: `too_large`, or `decode` if the picture has no pixels.
    """
    if width < 1 or height < 1:
        raise PictureError("decode", f"damaged header: {width}x{height} px")
    if width * height > max_pixels:
        raise PictureError("too_large", f"{width}x{height} px is over the limit of {max_pixels:,} pixels")
    if max(width, height) > MAX_SIDE:
        raise PictureError("too_large", f"{width}x{height} px: a side is over the limit of {MAX_SIDE:,} px")


def damaged(name: Format, why: object) -> PictureError:
    """Make the error for a picture that cannot be decoded completely; `why` may be Pillow's exception."""
    return PictureError("decode", f"damaged {name}: {one_line(why)}")


def truncated(name: Format) -> PictureError:
    """Make the error for a file that ends too early."""
    return PictureError("decode", f"truncated {name}: the file ends before the picture does")


def unpack(name: Format, mode: str, size: tuple[int, int], data: Bytes, decoder: str, *options: object) -> Image:
    """Decode compressed pixels with one of Pillow's decoders, without a plugin.

    Raises:
        PictureError: `decode` if the data is damaged or short, `unsupported` if Pillow lacks the decoder.
    """
    import PIL.Image

    try:
        return PIL.Image.frombytes(mode, size, data, decoder, *options)
    except ValueError as error:
        raise damaged(name, error) from error
    except OSError as error:
        raise PictureError("unsupported", f"this Pillow cannot read {name}: {error}") from error
