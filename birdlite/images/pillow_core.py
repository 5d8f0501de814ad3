"""An RGB photograph on Pillow's C core alone: decoded, resized, turned and read out, without importing `PIL.Image`.

Importing `PIL.Image` takes 10 ms: classes, and tables of every tag of EXIF and TIFF. An RGB JPEG needs none of them.
Its pixels go through the same C functions that `PIL.Image` would call, so they are the same. The core is not part of
Pillow's public interface. So `usable` tries it once, on one pixel. If anything is not as expected, all pictures go
through `PIL.Image`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from birdlite import log
from birdlite.errors import PictureError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from PIL.Image import Image

# The members of PIL.Image.Resampling and PIL.Image.Transpose, by their numbers.
BILINEAR = 2
FLIP_LEFT_RIGHT, FLIP_TOP_BOTTOM, ROTATE_90, ROTATE_180, ROTATE_270, TRANSPOSE, TRANSVERSE = range(7)

_usable: bool | None = None  # not tried yet


class Decoder(Protocol):
    """One of Pillow's decoders at work on one picture."""

    def setimage(self, im: Any, box: tuple[int, int, int, int]) -> None:
        """Say which picture to fill."""

    def decode(self, data: bytes | memoryview) -> tuple[int, int]:
        """Go on with these bytes. Returns how many were used, or -1 at the end of the picture; and an error, or 0.

        Bytes that were not used must be given again, with more behind them.
        """


class CoreImage:
    """The part of `PIL.Image.Image`, mode RGB, that `birdlite.images.picture` uses."""

    mode = "RGB"
    info: Mapping[str, object] = {}

    def __init__(self, im: Any) -> None:
        """`im` is what `PIL.Image.Image.im` would be."""
        self.im = im
        self.size: tuple[int, int] = im.size
        self.width, self.height = self.size

    def resize(self, size: tuple[int, int], resample: int, box: tuple[float, float, float, float]) -> CoreImage:
        """As `PIL.Image.Image.resize`."""
        return CoreImage(self.im.resize(size, resample, box))

    def transpose(self, method: int) -> CoreImage:
        """As `PIL.Image.Image.transpose`."""
        return CoreImage(self.im.transpose(method))

    def getpixel(self, xy: tuple[int, int]) -> tuple[int, ...]:
        """As `PIL.Image.Image.getpixel`."""
        return tuple(self.im.getpixel(xy))

    def tobytes(self) -> bytes:
        """The pixels, [height, width, 3]."""
        from PIL import _imaging

        encoder = _imaging.raw_encoder(self.mode, self.mode)
        encoder.setimage(self.im, (0, 0, self.width, self.height))
        size = self.width * self.height * 3
        pixels: bytes = encoder.encode(size)[2]
        if len(pixels) != size:
            raise ValueError(f"{len(pixels)} bytes instead of {size}")
        return pixels


def usable() -> bool:
    """Whether Pillow's core does what this module expects. It is tried once per process."""
    global _usable
    if _usable is None:
        try:
            _try_out()
        except (ImportError, AttributeError, TypeError, ValueError) as error:
            log.debug("Pillow's core is not as expected; its Python takes over", reason=str(error))
            _usable = False
        else:
            _usable = True
    return _usable


def jpeg_decoder(mode: str, size: tuple[int, int], *options: object) -> tuple[Image | CoreImage, Decoder]:
    """Make an empty picture, and the decoder that `PIL.Image.frombytes` would use, which fills it.

    Raises:
        PictureError: `unsupported` if this Pillow has no such decoder.
    """
    from PIL import _imaging

    image: Image | CoreImage
    if mode == "RGB" and usable():
        image = CoreImage(_imaging.fill("RGB", size, 0))
    else:
        import PIL.Image

        image = PIL.Image.new(mode, size)
    try:
        decoder: Decoder = _imaging.jpeg_decoder(mode, *options)
    except (AttributeError, TypeError) as error:
        raise PictureError("unsupported", f"this Pillow cannot read JPEG: {error}") from error
    decoder.setimage(image.im, (0, 0, *size))
    return image, decoder


def _try_out() -> None:
    """Decode, resize, turn and read out one black pixel.

    Raises:
        ImportError, AttributeError, TypeError, ValueError: the core is different.
    """
    import PIL
    from PIL import _imaging

    if PIL.__version__ != _imaging.PILLOW_VERSION:  # PIL.Image would refuse it with advice
        raise ImportError("Pillow's parts are of different versions")
    _imaging.jpeg_decoder("RGB", "RGB", "", 1, 0)
    image = CoreImage(_imaging.fill("RGB", (2, 1), 0)).resize((1, 1), BILINEAR, (0.0, 0.0, 2.0, 1.0))
    turned = image.transpose(ROTATE_180)
    if turned.getpixel((0, 0)) != (0, 0, 0) or turned.tobytes() != b"\0\0\0":
        raise ValueError("a black pixel did not stay black")
