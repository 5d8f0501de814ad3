"""AVIF, read by Pillow's plugin, and HEIC, read by the package `pi-heif` of the extra `heif`.

`birdlite.images.picture` calls `header`. Both libraries turn pictures as their container says (`irot`, `imir`), which
counts, whatever EXIF says: pi-heif turns the pixels itself, and Pillow gives the turn as an EXIF orientation.
"""

from __future__ import annotations

import io
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from birdlite import log
from birdlite.errors import PictureError, installing
from birdlite.images import av1, iso_media, orientation, plugin
from birdlite.images.frame import Frame, Header, check_size, damaged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from birdlite.images.frame import Data, Format

_MAX_ITEMS = 4096  # pictures and tiles: one of 120 Mpx in tiles of 256 px has 1,900
_MAX_WORK = 330_000_000  # of HEIC: pixels, and five for each byte of the file; 10 s of CPU
_A_PIXEL = 12  # bytes: planes of colours; RGB, perhaps twice; the image
_LEAST = 16 << 20  # bytes: of the decoder's threads
_TILES, _SMALL = 6, 1 << 24  # times the picture's pixels that its tiles, those of alpha, and others have; px
_MODES = frozenset({"L", "RGB", "RGBA"})
"""Of pi-heif 1.4: in I;16, which is grey with more than 8 bits, a damaged file writes behind the pixels' memory."""

_DEEP, _ALPHA = 6, 4  # more bytes a pixel of over 8 bits a sample, and of a picture whose alpha is a second one


def header(name: Literal["AVIF", "HEIC"], data: Data, *, max_pixels: int) -> Header:
    """Read the sizes; of a sequence, the first picture will be decoded.

    Raises:
        PictureError: `too_large`, `unsupported` (such as HEIC without the extra), or `decode`.
    """
    if name == "HEIC":
        _require_pi_heif()
    try:
        media = iso_media.read(memoryview(data))
    except (iso_media.BadBoxes, av1.BadAv1) as error:
        raise damaged(name, error) from None
    except av1.TooManyFrames:
        raise PictureError("too_large", f"{name} whose one picture is of very many frames") from None
    if not media.sizes:
        raise damaged(name, "no size of a picture")
    if media.items > _MAX_ITEMS:
        raise PictureError("too_large", f"{name} of over {_MAX_ITEMS:,} pictures and tiles")
    for size in media.sizes:
        check_size(*size, max_pixels)
    _check_coded(name, media)
    width, height = max(media.sizes, key=lambda size: size[0] * size[1])
    if name == "HEIC" and width * height + 5 * len(data) > _MAX_WORK:
        raise PictureError("too_large", f"HEIC of {width}x{height} px in {len(data):,} bytes takes too long to decode")
    a_pixel = _A_PIXEL + (_DEEP if media.deep else 0) + (_ALPHA if media.alpha else 0)
    read = _read_avif if name == "AVIF" else _read_heic
    mode = "RGBA" if media.alpha else "RGB"
    return Header(width, height, mode, width * height * a_pixel + 3 * len(data) + _LEAST, lambda: read(data))


def _check_coded(name: Format, media: iso_media.Media) -> None:
    """Refuse AV1 that is larger than the boxes say: the decoder would reserve memory by it, and then scale it down."""
    most = max(width * height for width, height in media.sizes)
    for width, height in media.coded:
        if width * height > most:
            raise damaged(name, f"a picture of {width}x{height} px that says it is smaller")
    if sum(width * height for width, height in media.coded) > max(_TILES * most, _SMALL):
        raise PictureError("too_large", f"{name} with tiles that are together much larger than the picture")


def _require_pi_heif() -> None:
    try:
        import pi_heif  # noqa: F401
    except ImportError:
        # Only the log names the command, and with it this machine's folders: a service's clients read the failure.
        log.warning_once(f"to read HEIC: {installing('heif')}")
        raise PictureError("unsupported", "HEIC needs the extra heif, which is not installed") from None


def _read_avif(data: Data) -> Frame:
    """Decode.

    Raises:
        PictureError: `decode`, or `unsupported` if Pillow was built without AVIF.
    """
    from PIL import features
    from PIL.AvifImagePlugin import AvifImageFile

    if not features.check("avif"):
        raise PictureError("unsupported", "this Pillow cannot read AVIF")
    image = plugin.load("AVIF", AvifImageFile, io.BytesIO(data))
    turn = orientation.of_exif(image.info.get("exif", b""))
    return Frame(image.copy(), *image.size, orientation=turn)  # a copy lets the decoder and its planes go


def _read_heic(data: Data) -> Frame:
    """Decode.

    Raises:
        PictureError: `decode`, or `unsupported`.
    """
    import pi_heif
    import PIL.Image

    with _damage():
        file = pi_heif.open_heif(data, convert_hdr_to_8bit=True)
        mode = file.mode
    if mode not in _MODES:
        raise PictureError("unsupported", "HEIC in grey with more than 8 bits a sample")
    with _damage():
        image = PIL.Image.frombytes(mode, file.size, file.data, "raw", mode, file.stride)
    return Frame(image, *image.size)


@contextmanager
def _damage() -> Iterator[None]:
    """Whatever pi-heif says of a damaged file: it raises RuntimeError, ValueError, EOFError, OSError and others."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        raise damaged("HEIC", error) from error
