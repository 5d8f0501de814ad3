"""A picture through its one plugin of Pillow: for the readers of WebP, TIFF and AVIF.

`PIL.Image.open` would import five plugins, try them in turn, and go by Pillow's own limit of pixels: a global of the
program, which is not ours to change. The readers check sizes before a plugin reserves memory by them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from birdlite.errors import PictureError
from birdlite.images.frame import damaged

if TYPE_CHECKING:
    import io
    from collections.abc import Callable

    from PIL.ImageFile import ImageFile

    from birdlite.images.frame import Format


def open_header(name: Format, plugin: Callable[[io.BytesIO], ImageFile], file: io.BytesIO) -> ImageFile:
    """Read the header.

    Raises:
        PictureError: `decode`, or `unsupported` for a mode that the plugin does not know.
    """
    try:
        return plugin(file)
    except MemoryError:
        raise
    except Exception as error:  # damaged files make plugins raise nearly anything, also AttributeError
        if isinstance(error.__cause__, KeyError):  # this is how plugins say that they do not know a mode
            raise PictureError("unsupported", f"{name} of this kind is not supported: {error}") from error
        raise damaged(name, error) from error


def load(name: Format, plugin: Callable[[io.BytesIO], ImageFile], file: io.BytesIO) -> ImageFile:
    """Decode the pixels.

    Raises:
        PictureError: `decode`, also if only a part is there.
    """
    image = open_header(name, plugin, file)
    try:
        image.load()
    except MemoryError:
        raise
    except Exception as error:  # as above
        raise damaged(name, error) from error
    file.close()  # the plugin may keep the file, which is needed no more
    return image
