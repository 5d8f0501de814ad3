"""Pictures made for the tests: plain fields of known colours, photographs of nothing, files Pillow cannot write."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

Pixels = NDArray[np.uint8]
Colours = tuple[tuple[int, ...], ...]

# Top left, top right, bottom left, bottom right.
COLOURS: Colours = ((200, 40, 30), (30, 160, 60), (40, 60, 190), (230, 220, 90))
GREYS: Colours = ((20, 20, 20), (100, 100, 100), (180, 180, 180), (255, 255, 255))
BITS: Colours = ((0, 0, 0), (255, 255, 255), (255, 255, 255), (0, 0, 0))
# With an opacity each, and how they look on white: c * a + 255 * (1 - a).
SEE_THROUGH: Colours = ((200, 40, 30, 255), (30, 160, 60, 0), (40, 60, 190, 51), (230, 220, 90, 204))
ON_WHITE: Colours = ((200, 40, 30), (255, 255, 255), (212, 216, 242), (235, 227, 123))
SEE_THROUGH_GREYS: Colours = ((20, 255), (100, 0), (180, 51), (255, 204))
GREYS_ON_WHITE: Colours = ((20, 20, 20), (255, 255, 255), (240, 240, 240), (255, 255, 255))


def fields(colours: Colours, width: int = 400, height: int = 300) -> Pixels:
    """Four plain fields: whatever resizes them leaves their middles alone."""
    corners = np.array(colours, np.uint8).reshape(2, 2, -1)
    return corners.repeat(height // 2, 0).repeat(width // 2, 1)


def photograph(width: int, height: int) -> Image.Image:
    """Something smooth with a little noise, alike in no two corners."""
    y, x = np.mgrid[:height, :width].astype(np.float64)
    waves = np.stack([np.sin(x / 37 + y / 53), np.cos(x / 41 - y / 97), np.sin(y / 29) * np.cos(x / 83)], -1)
    noise = np.random.default_rng(1).normal(0, 4, waves.shape)
    return Image.fromarray((127 + 80 * waves + 40 * (x / width)[..., None] + noise).clip(0, 255).astype(np.uint8))


def saved(image: Image.Image | NDArray[Any], file_format: str, **options: Any) -> bytes:
    """Write a picture as Pillow writes it."""
    file = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(file, file_format, **options)
    return file.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    """Make one chunk of a PNG."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(
    width: int, height: int, bits: int, colour: int, unpacked: bytes, *more: bytes, interlaced: bool = False
) -> bytes:
    """Write a PNG from rows that begin with their filter byte, with more chunks before them."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlaced))
    pixels = chunk(b"IDAT", zlib.compress(unpacked, 1))
    return b"".join((b"\x89PNG\r\n\x1a\n", header, *more, pixels, chunk(b"IEND", b"")))


def interlaced_rows(pixels: Pixels) -> bytes:
    """Lay RGB pixels out in the seven passes of Adam7, each row behind filter byte 0."""
    starts = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    passes = (pixels[y::dy, x::dx] for x, y, dx, dy in starts)
    return b"".join(b"\0" + row.tobytes() for part in passes if part.size for row in part)


def deep_png(colours: Colours, colour_type: int, clear: tuple[int, ...] = ()) -> bytes:
    """Write a PNG of 16 bits a sample: 257 times the 8 bits; perhaps with one colour that is clear."""
    pixels = (fields(colours).astype(np.uint16) * 257).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    key = b"".join(bytes((value, value)) for value in clear)
    return png(pixels.shape[1], pixels.shape[0], 16, colour_type, rows, *([chunk(b"tRNS", key)] if clear else []))


def two_bit_png(clear: bytes) -> bytes:
    """Write a grey PNG of 400x300 with 2 bits a pixel: 0, 1, 2 and 3 in its four fields, one of them clear."""
    upper, lower = (b"\0" + bytes([left * 0x55]) * 50 + bytes([right * 0x55]) * 50 for left, right in ((0, 1), (2, 3)))
    return png(400, 300, 2, 0, upper * 150 + lower * 150, chunk(b"tRNS", clear))


def own_palette(gif: bytes) -> bytes:
    """Move a GIF's palette to its picture, and put another one in its place, of nothing but black."""
    entries = 2 << (gif[10] & 7)
    end = 13 + 3 * entries
    at = gif.index(b"\x2c", end)
    picture = gif[at : at + 9] + bytes([gif[at + 9] | 0x80 | (gif[10] & 7)])
    return gif[:13] + bytes(3 * entries) + gif[end:at] + picture + gif[13:end] + gif[at + 10 :]


def opaque(gif: bytes) -> bytes:
    """Take back that a GIF's clear colour is in force, and leave its number where it is."""
    at = gif.index(b"!\xf9\4")
    return gif[: at + 3] + bytes([gif[at + 3] & 0xFE]) + gif[at + 4 :]


def gif_on_a_larger_screen() -> bytes:
    """Write a green GIF of 200x150 that stands 200 px from the left on a screen of 400x300."""
    gif = bytearray(saved(Image.new("RGB", (200, 150), COLOURS[1]).quantize(2), "GIF"))
    gif[6:10] = struct.pack("<HH", 400, 300)
    at = gif.index(b"\x2c", 13 + 3 * 2)  # the image descriptor, behind the palette of two colours
    gif[at + 1 : at + 3] = struct.pack("<H", 200)
    return bytes(gif)


def multiplied_tiff() -> bytes:
    """Write a TIFF of the grey fields, multiplied by their alpha already."""
    grey, alpha = (Image.fromarray(fields(((20, 255), (0, 0), (36, 51), (204, 204)))[..., band]) for band in (0, 1))
    plain = saved(Image.merge("LA", [grey, alpha]), "TIFF")
    return plain.replace(struct.pack("<HHIH", 338, 3, 1, 2), struct.pack("<HHIH", 338, 3, 1, 1))


def lab_tiff() -> bytes:
    """Write a TIFF in CIE Lab."""
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    to_lab = ImageCms.buildTransform(*profiles, "RGB", "LAB")
    lab = ImageCms.applyTransform(Image.fromarray(fields(COLOURS)), to_lab)
    assert lab is not None
    return saved(lab, "TIFF")


def tiff(*entries: tuple[int, int, int, int], pixels: bytes = b"", order: str = "<") -> bytes:
    """Write a TIFF from tag, type, count and value or offset of each entry; pixels follow at byte 8."""
    start = struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, 8 + len(pixels))
    body = struct.pack(f"{order}H", len(entries))
    for tag, type_, count, value in entries:
        short = type_ == 3 and count == 1
        body += struct.pack(f"{order}HHI", tag, type_, count)
        body += struct.pack(f"{order}HH", value, 0) if short else struct.pack(f"{order}I", value)
    return start + pixels + body + bytes(4)


def separate_scans(image: Image.Image, **options: Any) -> bytes:
    """Write a baseline JPEG with a scan for each colour, which Pillow cannot: three grey ones, put together."""
    greys = [saved(band, "JPEG", **options) for band in image.convert("YCbCr").split()]
    frame, scan = greys[0].index(b"\xff\xc0"), greys[0].index(b"\xff\xda")
    tables = greys[0][frame + 13 : scan]  # and the interval of restart markers
    parts = [greys[0][:frame], b"\xff\xc0\0\x11", greys[0][frame + 4 : frame + 9]]
    parts += [b"\3\1\x11\0\2\x11\0\3\x11\0", tables]
    for number, grey in enumerate(greys, 1):
        parts += [b"\xff\xda\0\x08\1", bytes([number]), grey[scan + 6 : -2]]
    return b"".join(parts) + b"\xff\xd9"


def heic(image: Image.Image, **options: Any) -> bytes:
    """Write a HEIC picture, with the package that the extra `dev` has for it."""
    pillow_heif = pytest.importorskip("pillow_heif")
    file = io.BytesIO()
    pillow_heif.from_pillow(image).save(file, quality=95, **options)
    return file.getvalue()


def rle_bmp(image: Image.Image, bits: int = 8) -> bytes:
    """Write an image of indexes as a BMP with run-length coding, of each kind of code."""
    width, height = image.size
    body = b""
    for y in reversed(range(height)):
        row = [int(index) for index in np.asarray(image)[y]]
        pair = (row[0] << 4 | row[1]) if bits == 4 else row[0]
        plain = bytes((row[2] << 4 | row[3], row[4] << 4)) if bits == 4 else bytes(row[2:5])
        body += bytes((2, pair)) + b"\0\3" + plain + bytes(len(plain) % 2)
        for x in range(5, width):
            body += bytes((1, row[x] << 4 if bits == 4 else row[x]))
        body += b"\0\0"
    palette = (image.getpalette() or [])[:48]
    table = b"".join(bytes((*palette[at : at + 3][::-1], 0)) for at in range(0, len(palette), 3))
    start = 54 + len(table)
    info = (40, width, height, 1, bits, 1 if bits == 8 else 2, 0, 0, 0, len(table) // 4, 0)
    return b"BM" + struct.pack("<IHHIIiiHHI5I", 0, 0, 0, start, *info) + table + body + b"\0\1"


def without_strip_sizes(data: bytes) -> bytes:
    """Take the tag StripByteCounts out of a small TIFF, by giving it another number; old programs did not write it."""
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    places = range(start + 2, start + 2 + 12 * count, 12)
    at = next(place for place in places if struct.unpack_from("<H", data, place) == (279,))
    return data[:at] + struct.pack("<H", 280) + data[at + 2 :]
