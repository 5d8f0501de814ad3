"""An RGB photograph on Pillow's C core alone: decoded, resized, turned and read out, without importing `PIL.Image`.

Importing `PIL.Image` takes 10 ms: classes, and tables of every tag of EXIF and TIFF. An RGB JPEG needs none of them.
Its pixels go through the same C functions that `PIL.Image` would call, so they are the same. The core is not part of
Pillow's public interface. So `usable` tries it once, on one pixel. If anything is not as expected, all pictures go
through `PIL.Image`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from birdlite import log

if TYPE_CHECKING:
    from collections.abc import Mapping

# The members of PIL.Image.Resampling and PIL.Image.Transpose, by their numbers.
BILINEAR = 2
FLIP_LEFT_RIGHT, FLIP_TOP_BOTTOM, ROTATE_90, ROTATE_180, ROTATE_270, TRANSPOSE, TRANSVERSE = range(7)

_usable: bool | None = None  # not tried yet


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


def decode_jpeg(size: tuple[int, int], data: bytes | memoryview, *options: object) -> CoreImage:
    """Decode an RGB JPEG, as `PIL.Image.frombytes` does.

    Raises:
        ValueError: the data is damaged or short.
    """
    from PIL import _imaging

    im = _imaging.fill("RGB", size, 0)
    worker = _imaging.jpeg_decoder("RGB", *options)
    worker.setimage(im, (0, 0, *size))
    consumed, error = worker.decode(data)
    if consumed >= 0:  # it wants more data
        raise ValueError("not enough image data")
    if error:
        raise ValueError("cannot decode image data")
    return CoreImage(im)


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
