"""Pictures of every format and mode that birdlite reads, made by code, for `measure_memory` and `fuzz`."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

from PIL import Image


def noise(mode: str, width: int, height: int) -> Image.Image:
    """A picture with something in each place, of any size: noise that repeats."""
    tile = Image.effect_noise((256, 256), 60)
    bands = [tile, tile.transpose(Image.Transpose.ROTATE_90), tile.transpose(Image.Transpose.ROTATE_180), tile]
    tile = Image.merge("RGBA", bands).convert("RGB" if mode not in {"RGBA", "LA"} else "RGBA")
    image = Image.new(tile.mode, (width, height))
    for top in range(0, height, 256):
        for left in range(0, width, 256):
            image.paste(tile, (left, top))
    return image.convert(mode) if mode != "P" else image.quantize(16)


def saved(image: Image.Image, file_format: str, **options: Any) -> bytes:
    """As Pillow writes it."""
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def heic(image: Image.Image, **options: Any) -> bytes:
    """As pillow-heif writes it, which the extra `dev` has."""
    import pillow_heif

    file = io.BytesIO()
    pillow_heif.from_pillow(image).save(file, **options)
    return file.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, bits: int, colour: int, key: bytes = b"", interlaced: bool = False) -> bytes:
    """A PNG that Pillow does not write; interlaced ones are all of one colour."""
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    row = b"\0" + bytes(range(256)) * (width * samples * bits // 8 // 256 + 1)
    row = row[: 1 + (width * samples * bits + 7) // 8]
    packer = zlib.compressobj(1)
    if interlaced:
        starts = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
        rows = b"".join(
            packer.compress(b"\0" + b"\x55" * ((-(-(width - x) // dx) * samples * bits + 7) // 8))
            for x, y, dx, dy in starts
            if width > x
            for _ in range(y, height, dy)
        )
    else:
        rows = b"".join(packer.compress(row) for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlaced)
    parts = [chunk(b"IHDR", header), *([chunk(b"tRNS", key)] if key else [])]
    return b"\x89PNG\r\n\x1a\n" + b"".join((*parts, chunk(b"IDAT", rows + packer.flush()), chunk(b"IEND", b"")))


def rle_bmp(width: int, height: int) -> bytes:
    """A BMP of 8-bit indexes with run-length coding: each row is of runs of 3 px."""
    row = b"".join(bytes((min(3, width - x), x // 3 % 7)) for x in range(0, width, 3)) + b"\0\0"
    body = row * height + b"\0\1"
    palette = b"".join(bytes((30 * i, 255 - 30 * i, 20 * i, 0)) for i in range(8))
    start = 54 + len(palette)
    header = struct.pack("<IIIHHIIIIII", 40, width, height, 1, 8, 1, len(body), 0, 0, 8, 0)
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + header + palette + body


def tiff(width: int, height: int, samples: int, bits: int, *, planes: int = 1, tile: int = 0, rows: int = 0) -> bytes:
    """A TIFF of deflated strips or tiles, as Pillow does not write them."""
    part_width, part_height = (tile, tile) if tile else (width, rows or height)
    count = -(-width // part_width) * -(-height // part_height) * (samples if planes == 2 else 1)
    a_row = (part_width * (1 if planes == 2 else samples) * bits + 7) // 8
    part = zlib.compress((bytes(range(7, 256)) * (a_row // 249 + 1))[:a_row] * part_height, 1)
    entries: dict[int, tuple[int, ...]] = {
        256: (width,), 257: (height,), 258: (bits,) * samples, 259: (8,), 262: (2 if samples > 2 else 1,),
        277: (samples,), 284: (planes,), 324 if tile else 273: tuple(range(8, 8 + count * len(part), len(part))),
        325 if tile else 279: (len(part),) * count,
    }  # fmt: skip
    entries |= {322: (tile,), 323: (tile,)} if tile else {278: (part_height,)}
    if samples in {2, 4}:
        entries[338] = (2,)
    start = 8 + count * len(part)
    table, values = [], b""
    for tag, numbers in sorted(entries.items()):
        at = start + 2 + 12 * len(entries) + 4 + len(values)
        table.append(struct.pack("<HHII", tag, 4, len(numbers), numbers[0] if len(numbers) == 1 else at))
        values += struct.pack(f"<{len(numbers)}I", *numbers) if len(numbers) > 1 else b""
    directory = struct.pack("<H", len(table)) + b"".join(table) + bytes(4)
    return struct.pack("<2sHI", b"II", 42, start) + part * count + directory + values


def small_gif_on_a_screen(width: int, height: int) -> bytes:
    """A GIF whose frame leaves a column of its screen free."""
    data = bytearray(saved(noise("P", width, height), "GIF"))
    data[6:8] = struct.pack("<H", min(width + 1, 65535))
    return bytes(data)


def _by_pillow(mode: str, file_format: str, **options: Any) -> Callable[[int, int], bytes]:
    return lambda width, height: saved(noise(mode, width, height), file_format, **options)


KINDS: dict[str, Callable[[int, int], bytes]] = {
    "JPEG": _by_pillow("RGB", "JPEG"),
    "JPEG 4-4-4": _by_pillow("RGB", "JPEG", subsampling=0),
    "JPEG grey": _by_pillow("L", "JPEG"),
    "JPEG CMYK": _by_pillow("CMYK", "JPEG"),
    "JPEG progressive": _by_pillow("RGB", "JPEG", progressive=True),
    "JPEG progressive 4-4-4": _by_pillow("RGB", "JPEG", progressive=True, subsampling=0),
    "JPEG progressive grey": _by_pillow("L", "JPEG", progressive=True),
    "JPEG progressive CMYK": _by_pillow("CMYK", "JPEG", progressive=True),
    "PNG": _by_pillow("RGB", "PNG", compress_level=1),
    "PNG alpha": _by_pillow("RGBA", "PNG", compress_level=1),
    "PNG grey": _by_pillow("L", "PNG", compress_level=1),
    "PNG grey and alpha": _by_pillow("LA", "PNG", compress_level=1),
    "PNG palette": _by_pillow("P", "PNG", compress_level=1),
    "PNG palette with a clear colour": _by_pillow("P", "PNG", compress_level=1, transparency=3),
    "PNG with a clear colour": _by_pillow("RGB", "PNG", compress_level=1, transparency=(9, 8, 7)),
    "PNG 1 bit": _by_pillow("1", "PNG", compress_level=1),
    "PNG 16 bits": lambda width, height: png(width, height, 16, 2),
    "PNG 16 bits with a clear colour": lambda width, height: png(width, height, 16, 2, bytes(range(6))),
    "PNG 16 bits alpha": lambda width, height: png(width, height, 16, 6),
    "PNG 16 bits grey with a shade": lambda width, height: png(width, height, 16, 0, b"\0\1"),
    "PNG interlaced": lambda width, height: png(width, height, 8, 2, interlaced=True),
    "GIF": _by_pillow("P", "GIF"),
    "GIF grey": _by_pillow("L", "GIF"),
    "GIF with a clear colour": _by_pillow("P", "GIF", transparency=3),
    "GIF smaller than its screen": small_gif_on_a_screen,
    "BMP": _by_pillow("RGB", "BMP"),
    "BMP 32 bits": _by_pillow("RGBA", "BMP"),
    "BMP palette": _by_pillow("P", "BMP"),
    "BMP grey": _by_pillow("L", "BMP"),
    "BMP run lengths": rle_bmp,
    "WEBP": _by_pillow("RGB", "WEBP", method=0),
    "WEBP alpha": _by_pillow("RGBA", "WEBP", method=0),
    "WEBP lossless": _by_pillow("RGB", "WEBP", lossless=True, method=0, quality=0),
    "WEBP lossless alpha": _by_pillow("RGBA", "WEBP", lossless=True, method=0, quality=0),
    "TIFF": _by_pillow("RGB", "TIFF"),
    "TIFF grey": _by_pillow("L", "TIFF"),
    "TIFF alpha": _by_pillow("RGBA", "TIFF"),
    "TIFF palette": _by_pillow("P", "TIFF"),
    "TIFF CMYK": _by_pillow("CMYK", "TIFF"),
    "TIFF grey 16 bits": _by_pillow("I;16", "TIFF"),
    "TIFF LZW": _by_pillow("RGB", "TIFF", compression="tiff_lzw"),
    "TIFF JPEG": _by_pillow("YCbCr", "TIFF", compression="jpeg"),
    "TIFF YCbCr LZW": _by_pillow("YCbCr", "TIFF", compression="tiff_lzw"),
    "TIFF one strip": lambda width, height: tiff(width, height, 3, 8),
    "TIFF one strip 16 bits": lambda width, height: tiff(width, height, 3, 16),
    "TIFF one strip 16 bits alpha": lambda width, height: tiff(width, height, 4, 16),
    "TIFF one strip planes": lambda width, height: tiff(width, height, 3, 8, planes=2),
    "TIFF strips of 16 rows": lambda width, height: tiff(width, height, 3, 8, rows=16),
    "TIFF tiles": lambda width, height: tiff(width, height, 3, 8, tile=256),
    "TIFF tiles of 4096 px": lambda width, height: tiff(width, height, 4, 16, tile=4096),
    "TIFF grey and alpha": lambda width, height: tiff(width, height, 2, 8, rows=16),
    "AVIF": _by_pillow("RGB", "AVIF", speed=10),
    "AVIF 4-4-4": _by_pillow("RGB", "AVIF", speed=10, subsampling="4:4:4"),
    "AVIF alpha": _by_pillow("RGBA", "AVIF", speed=10),
    "AVIF grey": _by_pillow("L", "AVIF", speed=10),
    "HEIC": lambda width, height: heic(noise("RGB", width, height)),
    "HEIC 4-4-4": lambda width, height: heic(noise("RGB", width, height), chroma=444),
    "HEIC alpha": lambda width, height: heic(noise("RGBA", width, height)),
    "HEIC grey": lambda width, height: heic(noise("L", width, height)),
}


def made(kind: str, width: int, height: int) -> bytes:
    """One picture."""
    return KINDS[kind](width, height)
