"""JPEG: the header read here, the picture decoded by libjpeg at the smallest scale that is large enough.

The decoder fills a buffer of the size that we give it, and does not check that size. So the header is read as libjpeg
reads it, marker by marker, and refused wherever the two could disagree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from birdlite.errors import PictureError
from birdlite.images import pillow_core
from birdlite.images.frame import Frame, Header, check_size, damaged, exif_orientation, truncated, unpack
from birdlite.namedtuple import NamedTuple

if TYPE_CHECKING:
    from PIL.Image import Image

    from birdlite.images.frame import Data
    from birdlite.images.pillow_core import CoreImage

_SOI, _EOI, _SOS, _APP1 = 0xD8, 0xD9, 0xDA, 0xE1
_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})  # baseline, extended, progressive; the last two arithmetic
_PROGRESSIVE = frozenset({0xC2, 0xCA})
_OTHER_FRAMES = frozenset({0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7})  # lossless, hierarchical, JPEG-LS
_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})  # TEM and the restart markers have no length
# Number of components -> Pillow's mode, the decoder's mode. CMYK is inverted, as Adobe does.
_MODES = {1: ("L", "L"), 3: ("RGB", "RGB"), 4: ("CMYK", "CMYK;I")}
_MAX_MARKERS = 10_000  # a file of empty segments must not take long; cameras write about twenty
_PROBE = bytes(range(1, 129))  # compressed bits that differ, without a marker
_PROBES = 1 << 20  # bytes: the decoder's tables, and small pictures to compare


class _Header(NamedTuple):
    width: int
    height: int
    components: int
    progressive: bool
    orientation: int
    scan: int  # where the first scan's header begins


def header(data: Data, *, least: int | None, max_pixels: int) -> Header:
    """Read the header of a JPEG.

    It will be decoded at 1, 1/2, 1/4 or 1/8 of its size so that no side falls below `least` px; at full size for None.
    Of a file with several pictures (MPO, motion photographs), the first is decoded.

    Raises:
        PictureError: `too_large`, `unsupported` (12 bits, lossless, hierarchical), or `decode`.
    """
    header = _header(data)
    check_size(header.width, header.height, max_pixels)
    scale = 1
    if least:
        scale = next(s for s in (8, 4, 2, 1) if s == 1 or min(header.width, header.height) // s >= least)
    mode = _MODES[header.components][0]
    memory = _memory(data, header, scale)
    return Header(header.width, header.height, mode, memory, lambda: _read(data, header, scale), scale)


def _memory(data: Data, header: _Header, scale: int) -> int:
    """The bytes that decoding takes at its peak: the image, libjpeg's buffers of rows, and its coefficients.

    Of a picture in several scans, progressive or not, libjpeg keeps all coefficients, at full scale.
    """
    pixels = header.width * header.height
    image = (pixels // scale**2 + header.width + header.height + 1) * (1 if header.components == 1 else 4)
    rows = header.width * header.components * 64
    several_scans = header.progressive or data[header.scan + 2] < header.components
    coefficients = 2 * header.components * (header.width + 32) * (header.height + 32) if several_scans else 0
    return image + rows + coefficients + len(data) + _PROBES


def _read(data: Data, header: _Header, scale: int) -> Frame:
    """Decode.

    Raises:
        PictureError: `decode`.
    """
    if not _has_end(data, header.scan):
        raise truncated("JPEG")
    image = _decode(data, header, scale)
    if _may_lack_data(image) and _lacks_data(data, header):
        raise PictureError("decode", "damaged JPEG: part of the picture is missing")
    return Frame(image, header.width, header.height, scale, header.orientation)


def _header(data: Data) -> _Header:
    at = 2
    size: tuple[int, int, int] | None = None
    progressive = False
    orientation = 1
    for _ in range(_MAX_MARKERS):
        marker, at = _next_marker(data, at)
        if marker in _ALONE:
            continue
        if marker in {_SOI, _EOI}:
            raise damaged("JPEG", "no picture in it")
        length = int.from_bytes(data[at : at + 2], "big")
        end = at + length
        if end > len(data):
            raise truncated("JPEG")
        if length < 2:
            raise damaged("JPEG", "a segment without length")
        if marker == _SOS:
            if not size:
                raise damaged("JPEG", "no header before the picture")
            return _Header(*size, progressive, orientation, at)
        if marker in _OTHER_FRAMES:
            raise PictureError("unsupported", "lossless and hierarchical JPEG are not supported")
        if marker in _FRAMES:
            if size:
                raise damaged("JPEG", "two headers")
            size = _size(bytes(data[at:end]))
            progressive = marker in _PROGRESSIVE
        elif marker == _APP1 and data[at + 2 : at + 8] == b"Exif\0\0" and orientation == 1:
            orientation = exif_orientation(data[at + 8 : end])
        at = end
    raise damaged("JPEG", f"over {_MAX_MARKERS:,} segments")


def _next_marker(data: Data, at: int) -> tuple[int, int]:
    """Find the next marker as libjpeg does, skipping anything before it. Returns its code and where it ends."""
    marker = data[at : at + 2]
    if len(marker) == 2 and marker[0] == 0xFF and 0 < marker[1] < 0xFF:
        return marker[1], at + 2
    import re

    found = re.compile(rb"\xff[\x01-\xfe]").search(data, at)
    if not found:
        raise truncated("JPEG")
    return found[0][1], found.end()


def _size(segment: bytes) -> tuple[int, int, int]:
    """Read width, height and number of components from a frame header, which begins with its length."""
    if len(segment) < 8 or len(segment) != 8 + 3 * segment[7]:
        raise damaged("JPEG", "a header of the wrong length")
    height, width = int.from_bytes(segment[3:5], "big"), int.from_bytes(segment[5:7], "big")
    if segment[2] != 8:
        raise PictureError("unsupported", f"JPEG with {segment[2]} bits a sample is not supported")
    if segment[7] not in _MODES:
        raise PictureError("unsupported", f"JPEG with {segment[7]} components is not supported")
    if not height:
        raise PictureError("unsupported", "JPEG that states its height after the picture is not supported")
    return width, height, segment[7]


def _has_end(data: Data, scan: int) -> bool:
    """Look for the end marker after the start of the first scan.

    Without it libjpeg may still fill the picture, for example from the zeros of a download that stopped.
    """
    if data[-2:] == b"\xff\xd9":
        return True
    return (data if isinstance(data, bytes) else bytes(data)).rfind(b"\xff\xd9", scan) >= 0


def _decode(data: Data, header: _Header, scale: int) -> Image | CoreImage:
    mode, raw_mode = _MODES[header.components]
    size = -(-header.width // scale), -(-header.height // scale)  # libjpeg rounds up
    if mode == "RGB" and pillow_core.usable():
        try:
            return pillow_core.decode_jpeg(size, data, raw_mode, "", scale, 0)
        except ValueError as error:
            raise damaged("JPEG", error) from error
    return unpack("JPEG", mode, size, data, "jpeg", raw_mode, "", scale, 0)


def _may_lack_data(image: Image | CoreImage) -> bool:
    """Tell whether the last pixel is grey. libjpeg fills with grey, without an error, if a scan ends too early."""
    pixel = image.getpixel((image.width - 1, image.height - 1))
    return all(v in {127, 128} for v in (pixel if isinstance(pixel, tuple) else (pixel,)))


def _lacks_data(data: Data, header: _Header) -> bool:
    """Tell whether the first scan lacks a part of the picture: then more data at its end changes the picture."""
    import re

    length = int.from_bytes(data[header.scan : header.scan + 2], "big")
    end = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]").search(data, header.scan + length)
    at = end.start() if end else len(data)
    probed = b"".join((data[:at], _PROBE, data[at:]))
    return _decode(data, header, 8).tobytes() != _decode(probed, header, 8).tobytes()
