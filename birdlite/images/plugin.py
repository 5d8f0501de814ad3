"""The formats that Pillow's plugins read whole: one plugin opened directly, whatever it raises turned into our error.

`PIL.Image.open` would import five plugins and try them in turn.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import PIL.Image

from birdlite.errors import PictureError
from birdlite.images import formats

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL.ImageFile import ImageFile

    from birdlite.images.formats import Data, Format


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Refuse what is over our limit, and over Pillow's (89 Mpx unless the program changed it), where plugins warn.

    Raises:
        PictureError: `too_large`, or `decode` when there is not one pixel.
    """
    formats.check_size(width, height, max_pixels)
    own = PIL.Image.MAX_IMAGE_PIXELS
    if own is not None and width * height > own:
        raise PictureError("too_large", f"{width}x{height} px is over Pillow's own limit of {own:,} pixels")


def opened(name: Format, plugin: Callable[[io.BytesIO], ImageFile], data: Data) -> ImageFile:
    """Read the header.

    Raises:
        PictureError: `decode`, or `unsupported` for a mode that the plugin does not know.
    """
    try:
        return plugin(io.BytesIO(data))
    except MemoryError:
        raise
    except Exception as error:  # damaged files make plugins raise nearly anything, also AttributeError
        if isinstance(error.__cause__, KeyError):  # so they say that a mode is in none of their tables
            raise PictureError("unsupported", f"{name} of this kind is not supported: {error}") from error
        raise formats.damaged(name, error) from error


def loaded(name: Format, image: ImageFile) -> ImageFile:
    """Decode the pixels.

    Raises:
        PictureError: `decode`, also when only a part is there.
    """
    try:
        image.load()
    except MemoryError:
        raise
    except Exception as error:  # as above
        raise formats.damaged(name, error) from error
    return image
