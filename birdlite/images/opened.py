"""A picture that a Python program has opened or decoded: a PIL image or an RGB array, for `picture.plan_opened`.

It gives what a file would give that holds these pixels. An image that Pillow has opened and not yet decoded is decoded
when its turn comes, at full size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, Union

from birdlite.errors import PictureError, one_line
from birdlite.images import orientation
from birdlite.images.frame import BYTE_MODES, Frame, Header, check_size

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

Opened: TypeAlias = Union["Image", "np.ndarray"]


def kind(opened: Opened) -> str:
    """The format that the image was opened from, or RGB."""
    return getattr(opened, "format", None) or "RGB"


def header(opened: Opened, *, max_pixels: int) -> Header:
    """Check the size. Nothing is decoded yet.

    Raises:
        PictureError: `too_large`, or `decode` if it has no pixels.
    """
    import PIL.Image

    if isinstance(opened, PIL.Image.Image):
        image = opened
    else:
        height, width = opened.shape[:2]
        check_size(width, height, max_pixels)
        image = PIL.Image.fromarray(opened)  # without a copy, if the array is contiguous
    check_size(image.width, image.height, max_pixels)
    pixel = 1 if image.mode in BYTE_MODES else 4  # bytes
    transparent = "transparency" in image.info
    memory = 2 * pixel * image.width * image.height
    return Header(image.width, image.height, image.mode, memory, lambda: _read(image), transparent=transparent)


def _read(image: Image) -> Frame:
    try:
        image.load()
    except MemoryError:
        raise
    except Exception as error:  # damaged files make plugins raise nearly anything
        raise PictureError("decode", f"damaged {kind(image)}: {one_line(error)}") from error
    exif, xmp = (value if isinstance(value, bytes) else b"" for value in map(image.info.get, ("exif", "xmp")))
    return Frame(image, image.width, image.height, orientation=orientation.of_exif(exif, xmp))
