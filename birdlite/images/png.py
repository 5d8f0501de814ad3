"""PNG: the chunks read and checked here, the pixels decoded by Pillow's `zip` decoder.

Chunks without pixels (text, profiles, the further frames of an animation) are skipped.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

from birdlite.errors import PictureError
from birdlite.images import orientation
from birdlite.images.frame import BYTE_MODES, Frame, Header, check_size, damaged, truncated, unpack
from birdlite.namedtuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL.Image import Image

    from birdlite.images.frame import Bytes, Data

# (bits a sample, colour type) -> Pillow's mode, the decoder's mode, bits a pixel. Of 16 bits the decoder keeps the
# upper 8: within one level of dividing by 257.
_MODES = {
    (1, 0): ("1", "1", 1),
    (2, 0): ("L", "L;2", 2),
    (4, 0): ("L", "L;4", 4),
    (8, 0): ("L", "L", 8),
    (16, 0): ("L", "L;16B", 16),
    (8, 2): ("RGB", "RGB", 24),
    (16, 2): ("RGB", "RGB;16B", 48),
    (1, 3): ("P", "P;1", 1),
    (2, 3): ("P", "P;2", 2),
    (4, 3): ("P", "P;4", 4),
    (8, 3): ("P", "P", 8),
    (8, 4): ("LA", "LA", 16),
    (16, 4): ("RGBA", "LA;16B", 32),
    (8, 6): ("RGBA", "RGBA", 32),
    (16, 6): ("RGBA", "RGBA;16B", 64),
}
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))  # Adam7
_KEPT = frozenset({b"PLTE", b"tRNS", b"eXIf"})
_TEXTS = frozenset({b"tEXt", b"zTXt", b"iTXt"})
_MAX_CHUNKS = 1 << 18  # a file of empty chunks must not take long
_MAX_DEEP_KEY = 60_000_000  # px of 16 bits with a transparent colour, which are decoded twice: 0.1 s of CPU a million
_UNPACKING = 5 << 20  # bytes: what a step of `_unpacks_to` gives


class _Header(NamedTuple):
    width: int
    height: int
    depth: int  # bits a sample
    colour: int
    interlaced: bool


def header(data: Data, *, max_pixels: int) -> Header:
    """Read the header of a PNG; of an animation, the default image will be decoded.

    Raises:
        PictureError: `too_large`, `unsupported` (Apple's CgBI), or `decode`.
    """
    ihdr = _header(data)
    check_size(ihdr.width, ihdr.height, max_pixels)
    try:
        mode, _, bits = _MODES[ihdr.depth, ihdr.colour]
    except KeyError:
        raise damaged("PNG", f"colour type {ihdr.colour} with {ihdr.depth} bits a sample") from None
    has_key = any(name == b"tRNS" for name, _, _ in _parts(memoryview(data), b"IDAT", b"IEND")) and ihdr.colour < 4
    deep_key = has_key and ihdr.depth == 16
    if deep_key and ihdr.width * ihdr.height > _MAX_DEEP_KEY:
        said = f"{ihdr.width}x{ihdr.height} px of 16 bits with a transparent colour"
        raise PictureError("too_large", f"{said} is over the limit of {_MAX_DEEP_KEY:,} pixels for such a PNG")
    a_pixel = 1 if mode in BYTE_MODES else 4
    memory = ihdr.width * ihdr.height * (2 * a_pixel + 7 if deep_key else a_pixel) + len(data) * 9 // 8 + _UNPACKING
    memory += ihdr.width * bits  # rows and what they unpack to
    transparent = has_key and not deep_key
    return Header(ihdr.width, ihdr.height, mode, memory, lambda: _read(data, ihdr), transparent=transparent)


def _read(data: Data, header: _Header) -> Frame:
    """Decode.

    Raises:
        PictureError: `decode`.
    """
    kept, pixels = _chunks(data)
    mode, raw_mode, bits = _MODES[header.depth, header.colour]
    image = unpack("PNG", mode, header[:2], pixels, "zip", raw_mode, int(header.interlaced))
    expected = _expected_bytes(header, bits)
    if _may_lack_data(image, header) and not _unpacks_to(pixels, expected):
        raise truncated("PNG")
    _colour(image, header, kept)
    key = kept.get(b"tRNS", b"")
    if header.depth == 16 and len(key) == (2 if header.colour == 0 else 6) and header.colour in {0, 2}:
        _whiten(image, pixels, header, key)
    return Frame(image, header.width, header.height, orientation=orientation.of_png(kept))


def _header(data: Data) -> _Header:
    if len(data) < 33:
        raise truncated("PNG")
    name = bytes(data[12:16])
    if name == b"CgBI":
        raise PictureError("unsupported", "PNG in Apple's CgBI variety is not supported")
    if data[8:12] != b"\0\0\0\x0d" or name != b"IHDR" or zlib.crc32(data[12:29]) != int.from_bytes(data[29:33], "big"):
        raise damaged("PNG", "a damaged header")
    width, height, depth, colour, packing, filters, interlaced = struct.unpack_from(">IIBBBBB", data, 16)
    if packing or filters or interlaced > 1:
        raise damaged("PNG", "a header with unknown methods")
    return _Header(width, height, depth, colour, bool(interlaced))


def _parts(view: memoryview, *last: bytes) -> Iterator[tuple[bytes, int, int]]:
    """The chunks up to the first of these names: name, and where its body begins and ends.

    Raises:
        PictureError: `decode`: no such chunk.
    """
    at = 33
    for _ in range(_MAX_CHUNKS):
        body = at + 8
        end = body + int.from_bytes(view[at : at + 4], "big")
        if body > len(view) or end + 4 > len(view):
            raise truncated("PNG")
        name = bytes(view[at + 4 : body])
        yield name, body, end
        if name in last:
            return
        at = end + 4
    raise damaged("PNG", f"over {_MAX_CHUNKS:,} chunks")


def _chunks(data: Data) -> tuple[dict[bytes, bytes], memoryview | bytearray]:
    """The chunks that describe the pixels, and the compressed pixels; their checksums are checked."""
    view = memoryview(data)
    kept: dict[bytes, bytes] = {}
    pixels: memoryview | bytearray | None = None
    for name, body, end in _parts(view, b"IEND"):
        if name in _TEXTS:  # these do not have to be whole
            keyword = bytes(view[body : min(body + 80, end)]).partition(b"\0")[0]
            if keyword in orientation.PNG_KEYWORDS:
                kept[keyword] = bytes(view[body - 4 : end])
        elif name == b"IDAT" or name in _KEPT:
            if zlib.crc32(view[body - 4 : end]) == int.from_bytes(view[end : end + 4], "big"):
                if name == b"IDAT":
                    if pixels is None:
                        pixels = view[body:end]
                    else:
                        pixels = bytearray(pixels) if isinstance(pixels, memoryview) else pixels
                        pixels += view[body:end]
                elif name == b"eXIf" or pixels is None:  # colours stand before the pixels
                    kept[name] = bytes(view[body:end])
            elif name != b"eXIf":
                raise damaged("PNG", f"checksum of chunk {name.decode()} is wrong")
    if pixels is None:
        raise damaged("PNG", "no picture in it")
    return kept, pixels


def _colour(image: Image, header: _Header, kept: dict[bytes, bytes]) -> None:
    """Set the image's palette and its transparent colour or colours."""
    if header.colour == 3:
        palette = kept.get(b"PLTE", b"")
        if not palette or len(palette) % 3 or len(palette) > 768:
            raise damaged("PNG", "a palette of the wrong length")
        image.putpalette(palette)
    key = kept.get(b"tRNS", b"")
    if header.colour == 3 and key:
        image.info["transparency"] = key[:256]
    elif header.colour == 0 and header.depth <= 8 and len(key) == 2:
        image.info["transparency"] = key[1] * 255 // (2**header.depth - 1)
    elif header.colour == 2 and header.depth == 8 and len(key) == 6:
        image.info["transparency"] = (key[1], key[3], key[5])


def _may_lack_data(image: Image, header: _Header) -> bool:
    """Tell whether the row that is decoded last is empty.

    It is empty if the compressed data end properly but too early, which the decoder takes for the end of the picture.
    For a whole picture with an empty last row, this costs only one more count.
    """
    last = image.height - 1
    if header.interlaced:
        last -= 1 - last % 2  # the seventh pass brings the odd rows
        if last < 0:
            return True
    return image.crop((0, last, image.width, last + 1)).getbbox() is None


def _whiten(image: Image, pixels: Bytes, header: _Header, key: bytes) -> None:
    """Make the pixels of the transparent colour of 16 bits white. The lower 8 bits are decoded only if they matter."""
    matches = _matches(image, key[::2])
    if matches.getbbox() is None:
        return
    mode, raw_mode, _ = _MODES[header.depth, header.colour]
    swapped = raw_mode.replace("16B", "16L") if mode == "RGB" else "L;16"
    lower = unpack("PNG", mode, header[:2], pixels, "zip", swapped, int(header.interlaced))
    from PIL import ImageChops

    matches = ImageChops.multiply(matches, _matches(lower, key[1::2]))
    image.paste((255, 255, 255) if mode == "RGB" else 255, mask=matches)


def _matches(image: Image, key: bytes) -> Image:
    """255 where each band has the value of the key, else 0."""
    from PIL import ImageChops

    bands = (
        image.getchannel(band).point([255 if value == wanted else 0 for value in range(256)])
        for band, wanted in enumerate(key)
    )
    matches = next(bands)
    for band in bands:
        matches = ImageChops.multiply(matches, band)
    return matches


def _unpacks_to(pixels: Bytes, expected: int) -> bool:
    """Whether the pixels unpack to as many bytes. What follows these is not unpacked."""
    unpacker = zlib.decompressobj()
    step = 2048  # bytes: one step unpacks to 2 MB at most
    try:
        for at in range(0, len(pixels), step):
            expected -= len(unpacker.decompress(pixels[at : at + step]))
            if expected <= 0:
                return True
    except zlib.error as error:  # the decoder stops at the last row, before the last checksum
        raise damaged("PNG", error) from error
    return False


def _expected_bytes(header: _Header, bits: int) -> int:
    """The bytes that the pixels unpack to: rows of whole bytes, and one byte for the filter of each row."""
    total = 0
    for x, y, dx, dy in _PASSES if header.interlaced else ((0, 0, 1, 1),):
        columns, rows = -((x - header.width) // dx), -((y - header.height) // dy)
        if columns > 0 and rows > 0:
            total += rows * (1 + (columns * bits + 7) // 8)
    return total
