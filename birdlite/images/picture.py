"""A photograph's bytes into the pixels that an engine takes: RGB, 8 bits, upright, `side` x `side`.

The pipeline calls `decode` from its worker threads, and `preload` while downloads are under way. Calls share nothing,
and Pillow lets other threads run while it decodes and resizes. Importing this module is cheap: the first picture, or
`preload`, imports Pillow. `formats` tells the formats apart; `jpeg`, `png` and `plugin` read them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from birdlite.errors import PictureError, UsageError, installing_package
from birdlite.images import pillow_core
from birdlite.images.frame import BYTE_MODES
from birdlite.images.pillow_core import CoreImage
from birdlite.namedtuple import NamedTuple
from birdlite.settings import DEFAULT_MAX_PIXELS, Resize

if TYPE_CHECKING:
    from PIL.Image import Image

    from birdlite.images.frame import Data, Format, Frame, Header
    from birdlite.images.opened import Opened


_MARGIN = 256 / 224  # `crop`: the short side at this multiple of `side` before its middle is cut out
_LEAST = 2  # JPEG is decoded at no less than this multiple of `side`: measured as good as the full size

_ALPHA_MODES = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})
_PLAIN_MODES = frozenset({"L", "LA", "RGB", "RGBA"})  # which `_plain` does not convert
_WHITENED = {"RGB": 0, "L": 4, "RGBA": 4, "LA": 8}  # bytes a pixel of what `_on_white` makes of a picture
_SQUARES = 24  # bytes a pixel of the resized picture and what is made of it
_SLACK = 2 << 20  # bytes: what allocations are rounded up to, and small tables
_EXACT = 8 << 20  # bytes: NumPy's tables and rows

# What makes a picture of EXIF orientation 1, 2, ... 8 upright.
_TURNS = (
    None,
    pillow_core.FLIP_LEFT_RIGHT,
    pillow_core.ROTATE_180,
    pillow_core.FLIP_TOP_BOTTOM,
    pillow_core.TRANSPOSE,
    pillow_core.ROTATE_270,
    pillow_core.TRANSVERSE,
    pillow_core.ROTATE_90,
)


class Picture(NamedTuple):
    """Pixels for an engine, and what they were made from."""

    pixels: bytes  # uint8 RGB, [side, side, 3]
    width: int  # px, as shown: after the EXIF orientation
    height: int  # px
    format: str  # a `Format`; RGB for an array


def preload() -> None:
    """Import what decoding a JPEG needs. A thread can do this while downloads are under way."""
    from birdlite.images import formats, jpeg  # noqa: F401

    if not pillow_core.usable():
        import PIL.Image  # noqa: F401


class Plan:
    """A picture whose header was read: what decoding it will take, and how to do it."""

    def __init__(self, name: str, header: Header, resize: Resize, side: int) -> None:
        self.format = name
        self.memory = max(header.memory, _later(header, resize, side)) + _SLACK  # bytes; the file's own not included
        self._header = header
        self._resize: Resize = resize
        self._side = side

    def decode(self) -> Picture:
        """Decode, turn upright, put on white where it is transparent, and resize to `side` x `side`.

        Raises:
            PictureError: `unsupported`, `too_large` or `decode`. Damaged files never give half a picture.
        """
        try:
            frame = self._header.read()
            exact = self._resize == "exact"
            pixels = _exact(frame, self._side) if exact else _resized(frame, self._resize, self._side)
        except MemoryError:
            raise PictureError("too_large", "not enough memory to decode it") from None
        turned = frame.orientation >= 5
        width, height = (frame.height, frame.width) if turned else (frame.width, frame.height)
        return Picture(pixels, width, height, self.format)


def plan(data: Data, *, resize: Resize = "crop", side: int = 224, max_pixels: int = DEFAULT_MAX_PIXELS) -> Plan:
    """Read the header of a picture. Whatever the file says of itself is checked now, and nothing is decoded yet.

    A JPEG will be decoded at reduced scale, except by `exact`. Colour profiles are not applied.

    Args:
        data: the whole file.
        resize: see `Resize`.
        side: px.
        max_pixels: width x height of the largest picture that is decoded.

    Raises:
        PictureError: of kind `not_an_image`, `unsupported`, `too_large` or `decode`.
    """
    from birdlite.images import formats

    name = formats.kind(data)
    try:
        header = _header(name, data, None if resize == "exact" else _LEAST * side, max_pixels)
    except MemoryError:
        raise PictureError("too_large", "not enough memory to read its header") from None
    return Plan(name, header, resize, side)


def plan_opened(
    opened: Opened, *, resize: Resize = "crop", side: int = 224, max_pixels: int = DEFAULT_MAX_PIXELS
) -> Plan:
    """As `plan`, for a PIL image of 8-bit samples or an RGB array (`uint8`, HWC)."""
    from birdlite.images import opened as reader

    return Plan(reader.kind(opened), reader.header(opened, max_pixels=max_pixels), resize, side)


def memory_needed(data: Data, *, resize: Resize = "crop", side: int = 224, max_pixels: int = DEFAULT_MAX_PIXELS) -> int:
    """How many bytes decoding this picture will take beyond the file's own; see `plan`, also for the errors."""
    return plan(data, resize=resize, side=side, max_pixels=max_pixels).memory


def decode(data: Data, *, resize: Resize = "crop", side: int = 224, max_pixels: int = DEFAULT_MAX_PIXELS) -> Picture:
    """Decode one picture; see `plan` for the arguments and the errors, and `Plan.decode`."""
    return plan(data, resize=resize, side=side, max_pixels=max_pixels).decode()


def _header(name: Format, data: Data, least: int | None, max_pixels: int) -> Header:
    """Read the header with the one reader that is needed, which is imported now."""
    if name == "JPEG":
        from birdlite.images import jpeg

        return jpeg.header(data, least=least, max_pixels=max_pixels)
    if name == "PNG":
        from birdlite.images import png

        return png.header(data, max_pixels=max_pixels)
    if name == "GIF":
        from birdlite.images import gif

        return gif.header(data, max_pixels=max_pixels)
    if name == "BMP":
        from birdlite.images import bmp

        return bmp.header(data, max_pixels=max_pixels)
    if name == "WEBP":
        from birdlite.images import webp

        return webp.header(data, max_pixels=max_pixels)
    if name == "AVIF" or name == "HEIC":
        from birdlite.images import heif

        return heif.header(name, data, max_pixels=max_pixels)
    from birdlite.images import tiff

    return tiff.header(data, max_pixels=max_pixels)


def _later(header: Header, resize: Resize, side: int) -> int:
    """The bytes that the steps after `Header.read` take at their peak."""
    pixels = -(-header.width // header.scale) * -(-header.height // header.scale)
    held = 1 if header.mode in BYTE_MODES else 4
    plain, converted = header.mode, 0
    if header.transparent or plain not in _PLAIN_MODES:  # `_plain` converts
        plain = "RGBA" if header.transparent or plain in _ALPHA_MODES else "L" if plain == "1" else "RGB"
        converted = 1 if plain == "L" else 4
    if resize == "exact":
        white = _WHITENED[plain]
        flat = 4 if converted or white else 0
        read = 3 if pillow_core.usable() else 6
        return pixels * max(held + converted + white, held + flat + read) + _EXACT
    premultiplied = 4 if plain in {"LA", "RGBA"} else 0  # Pillow resizes colours multiplied with their alpha
    return pixels * (held + converted + premultiplied) + side * header.height * 4 + _SQUARES * side * side


def _resized(frame: Frame, resize: Resize, side: int) -> bytes:
    """Resize with Pillow's bilinear filter, antialiased, and then turn, which is cheap on a small picture.

    Turning first would give the same pixels, because both ways to resize are symmetric.
    """
    image = _plain(frame.image)
    width, height = frame.width / frame.scale, frame.height / frame.scale  # the last pixel may be a fraction of one
    box = (0.0, 0.0, width, height)
    if resize == "crop":
        # The same as resizing by the short side and then cutting out the middle, in one step.
        larger = round(side * _MARGIN) / min(frame.width, frame.height)
        across, down = width * side / round(frame.width * larger), height * side / round(frame.height * larger)
        left, top = (width - across) / 2, (height - down) / 2
        box = (left, top, left + across, top + down)
    elif width < side < height:
        # Pillow 11 filters rows first: a narrow strip of many rows would become a wide one with as many rows.
        image = image.resize((image.width, side), pillow_core.BILINEAR, (0, 0, image.width, height))
        box = (0.0, 0.0, width, float(side))
    square = _on_white(image.resize((side, side), pillow_core.BILINEAR, box))
    turn = _TURNS[frame.orientation - 1]
    return _bytes(square if turn is None else square.transpose(turn))  # type: ignore[arg-type] # Pillow takes the number too


def _bytes(image: Image | CoreImage) -> bytes:
    """The same as `tobytes` of an RGB image. Pillow's own imports `PIL.ImageFile` and `logging`, which takes 5 ms."""
    return CoreImage(image.im).tobytes() if pillow_core.usable() else image.tobytes()


def _exact(frame: Frame, side: int) -> bytes:
    """Turn first, as OpenCV does when it reads a file, then sample; NumPy turns without a copy."""
    try:
        import numpy as np
    except ImportError:
        how = installing_package("numpy")
        raise UsageError(f"--resize exact needs NumPy: {how}; crop and squash do not") from None
    from birdlite.images import bilinear

    pixels = np.frombuffer(_bytes(_on_white(_plain(frame.image))), np.uint8).reshape(frame.height, frame.width, 3)
    if frame.orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    if frame.orientation in {3, 4, 7, 8}:
        pixels = pixels[::-1]
    if frame.orientation in {2, 3, 6, 7}:
        pixels = pixels[:, ::-1]
    return bilinear.resize(pixels, side).tobytes()


def _plain(image: Image | CoreImage) -> Image | CoreImage:
    """Convert an image of 8-bit samples to L, LA, RGB or RGBA, the modes that filters and transparency work on."""
    if isinstance(image, CoreImage):
        return image
    mode = image.mode
    if mode in {"LA", "RGBA"}:
        return image
    if mode in {"La", "RGBa"}:
        return image.convert(mode.upper())
    if "transparency" in image.info or mode == "PA":
        return image.convert("RGBA")
    if mode == "1":
        return image.convert("L")
    return image if mode in {"L", "RGB"} else image.convert("RGB")


def _on_white(image: Image | CoreImage) -> Image | CoreImage:
    """Convert an image from `_plain` to RGB, on white where it is transparent."""
    if isinstance(image, CoreImage):
        return image
    if image.mode == "LA":
        image = image.convert("RGBA")
    if image.mode != "RGBA":
        return image if image.mode == "RGB" else image.convert("RGB")
    import PIL.Image

    white = PIL.Image.new("RGB", image.size, (255, 255, 255))
    white.paste(image, mask=image)
    return white
