"""Formats told apart and refused by name, bombs, and the scale at which a JPEG is decoded."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image, _imaging

from birdlite.errors import PictureError
from birdlite.images import frame, jpeg, picture, pillow_core
from tests.pictures import COLOURS, GREYS, chunk, fields, photograph, png, saved, tiff

JPEG = saved(photograph(64, 48), "JPEG")
PNG = saved(photograph(64, 48), "PNG")


def failure(data: bytes, **options: Any) -> tuple[str, str]:
    """Kind and message of the error that the file is."""
    with pytest.raises(PictureError) as caught:
        picture.decode(data, **options)
    return caught.value.kind, str(caught.value)


NO_PICTURES = [
    (b"", "empty file"),
    (b"<!DOCTYPE html><html><body>404 Not Found", "this is an HTML page, not a picture"),
    (b"\xef\xbb\xbf\r\n  <HTML lang=de>", "this is an HTML page, not a picture"),
    (b'<?xml version="1.0"?><!DOCTYPE html PUBLIC "-//W3C//DTD"><html>', "this is an HTML page, not a picture"),
    (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "this is an XML document, not a picture"),
    (b' {"error": "no such file"}', "this is JSON, not a picture"),
    ("Sperlingskäuze".encode(), "this is text, not a picture"),
    (b"x" + "ä".encode() * 2000, "this is text, not a picture"),  # of which the first kilobyte ends within a letter
    ("Sperlingskäuze".encode("latin-1"), "no picture of a known format (it begins with 53 70 65 72)"),
    (b"%PDF-1.7\n%\xe2\xe3", "this is a PDF document, not a picture"),
    (b"PK\3\4\x14\0", "this is a ZIP archive, not a picture"),
    (b"\x1f\x8b\x08\0", "this is gzip data, not a picture"),
    (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41", "this is an MP4 or QuickTime video, not a picture"),
    (b"RIFF\x24\0\0\0WAVEfmt ", "this is a WAVE sound, not a picture"),
    (b"version https://git-lfs.github.com/spec/v1\noid", "this is a Git LFS pointer, not a picture"),
    (b"\xff", "no picture of a known format (it begins with ff)"),
    (b"\xff\xd8", "no picture of a known format (it begins with ff d8)"),
    (bytes(2000), "no picture of a known format (it begins with 00 00 00 00)"),
    (b"BMW makes motor cars, not bitmaps", "this is text, not a picture"),
    (b"text that\0ends", "no picture of a known format (it begins with 74 65 78 74)"),
]


@pytest.mark.parametrize(("data", "message"), NO_PICTURES)
def test_a_file_that_is_not_a_picture_is_named(data: bytes, message: str) -> None:
    assert failure(data) == ("not_an_image", message)


def box(brand: bytes, *others: bytes) -> bytes:
    """Begin an ISO base media file."""
    return struct.pack(">I4s4sI", 16 + 4 * len(others), b"ftyp", brand, 0) + b"".join(others) + b"\0\0\1\xedmeta"


# The first directory of a Nikon NEF or Sony ARW: a thumbnail, and a tag that points to the real picture.
THUMBNAIL_FIRST = tiff((254, 4, 1, 1), (256, 3, 1, 160), (257, 3, 1, 120), (330, 4, 1, 4000))
MOSAIC = tiff((256, 3, 1, 8), (257, 3, 1, 8), (262, 3, 1, 32803))
OTHER_FIELDS = b"BM" + struct.pack("<IHHIIiiHHI5I4I", 0, 0, 0, 70, 56, 9, 9, 1, 16, 3, *bytes(5), 0xF00, 0xF0, 0xF, 0)
JPEG_IN_BMP = b"BM" + struct.pack("<IHHIIiiHHI5I", 0, 0, 0, 54, 40, 9, 9, 1, 0, 4, *bytes(5))
ROWS = ((256, 3, 1, 4), (257, 3, 1, 2), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8), (279, 4, 1, 8))


UNSUPPORTED = [
    (box(b"crx ", b"isom"), "Canon raw (CR3) pictures are not supported"),
    (b"\xff\x0a\xfa\x1f", "JPEG XL pictures are not supported"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL pictures are not supported"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000 pictures are not supported"),
    (b'<svg xmlns="http://www.w3.org/2000/svg">', "SVG pictures are not supported"),
    (b'<?xml version="1.0"?>\n<!-- drawn -->\n<svg width="9">', "SVG pictures are not supported"),
    (b"P6\n4 4\n255\n" + bytes(48), "PNM pictures are not supported"),
    (b"8BPS\0\1", "Photoshop (PSD) pictures are not supported"),
    (b"II*\0\x10\0\0\0CR\2\0" + bytes(40), "Canon raw (CR2) pictures are not supported"),
    (THUMBNAIL_FIRST, "raw pictures (NEF, ARW and the like) are not supported"),
    (MOSAIC, "raw pictures (NEF, ARW and the like) are not supported"),
    (tiff((256, 3, 1, 8), (257, 3, 1, 8), (50706, 1, 4, 0x104)), "Adobe raw (DNG) pictures are not supported"),
    (saved(np.zeros((9, 9), np.float32), "TIFF"), "TIFF with 32-bit samples of this kind is not supported"),
    (saved(np.zeros((9, 9), np.int32), "TIFF"), "TIFF with 32-bit samples of this kind is not supported"),
    (saved(Image.new("1", (9, 9)), "TIFF", compression="group4"), "TIFF with compression fax is not supported"),
    (JPEG.replace(b"\xff\xc0\0\x11\x08", b"\xff\xc1\0\x11\x0c"), "JPEG with 12 bits a sample is not supported"),
    (JPEG.replace(b"\xff\xc0", b"\xff\xc3"), "lossless and hierarchical JPEG are not supported"),
    (PNG[:8] + chunk(b"CgBI", b"\x50\0\x20\6") + PNG[8:], "PNG in Apple's CgBI variety is not supported"),
    (tiff(*ROWS[:2], (258, 3, 1, 7), *ROWS[3:]), "TIFF of this kind is not supported: unknown pixel mode"),
    (tiff(*ROWS[:6], (277, 3, 1, 99), ROWS[6]), "TIFF with 99 samples of 8 bits a pixel is not supported"),
    (OTHER_FIELDS, "BMP with 16 bits a pixel and masks f00, f0, f is not supported"),
    (JPEG_IN_BMP, "BMP of this kind (compression 4, 0 bits) is not supported"),
    (tiff(*ROWS[:3], (259, 3, 1, 50001), *ROWS[4:]), "TIFF with compression WebP is not supported"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "message"), UNSUPPORTED)
def test_an_unsupported_kind_of_picture_is_named(data: bytes, message: str) -> None:
    assert failure(data) == ("unsupported", message)


def test_a_16_bit_tiff_whose_white_is_0_is_not_shown_as_its_negative() -> None:
    deep = fields(GREYS)[..., 0].astype(np.uint16) * 257
    data = saved(deep, "TIFF").replace(struct.pack("<HHIH", 262, 3, 1, 1), struct.pack("<HHIH", 262, 3, 1, 0))

    assert failure(data) == ("unsupported", "TIFF with 16-bit samples of this kind is not supported")


@pytest.mark.parametrize(
    ("size", "scale"),
    [((895, 2000), 1), ((896, 896), 2), ((1791, 9000), 2), ((1792, 1800), 4), ((3583, 3584), 4), ((3584, 3999), 8)],
)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_is_decoded_as_small_as_twice_the_side_allows(size: tuple[int, int], scale: int, mode: str) -> None:
    data = saved(Image.new(mode, size), "JPEG")

    frame = jpeg.header(data, least=448, max_pixels=10**8).read()

    assert (frame.scale, frame.width, frame.height) == (scale, *size)
    assert frame.image.size == (-(-size[0] // scale), -(-size[1] // scale))
    assert min(frame.image.size) >= 448


def test_a_jpeg_keeps_its_size_where_asked() -> None:
    data = saved(Image.new("RGB", (3999, 3584)), "JPEG")

    assert jpeg.header(data, least=None, max_pixels=10**8).read().image.size == (3999, 3584)


def test_a_jpeg_of_several_pictures_is_read_as_its_first() -> None:
    first, second = Image.fromarray(fields(COLOURS)), Image.new("RGB", (50, 50))
    got = picture.decode(saved(first, "MPO", save_all=True, append_images=[second]))

    assert (got.format, got.width, got.height) == ("JPEG", 400, 300)


@pytest.mark.parametrize("name", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"])
def test_bytes_after_the_picture_do_not_matter(name: str) -> None:
    data = saved(photograph(300, 200), name)

    assert picture.decode(data + b"\xff\xd9 and more") == picture.decode(data)


# Bombs: files of a few bytes that claim, or really unpack to, more than a machine has.


def jpeg_of(width: int, height: int) -> bytes:
    return JPEG.replace(
        b"\xff\xc0\0\x11\x08" + struct.pack(">HH", 48, 64), b"\xff\xc0\0\x11\x08" + struct.pack(">HH", height, width)
    )


BOMBS = [
    (jpeg_of(65500, 65500), "65500x65500"),
    (png(60_000, 60_000, 8, 2, b""), "60000x60000"),
    (png(20_000, 20_000, 1, 0, bytes(20_000 * 2501)), "20000x20000"),
    (b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\1\0\1\0\0\2\2\x4c\1\0;", "65535x65535"),
    (b"GIF89a\1\0\1\0\0\0\0,\xff\xff\xff\xff\xff\xff\xff\xff\0\2\2\x4c\1\0;", "131070x131070"),
    (b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff" * 6, "16777216x16777216"),
    (b"BM" + bytes(12) + struct.pack("<IIIHHI", 40, 10**5, 10**5, 1, 24, 0) + bytes(20), "100000x100000"),
    (tiff((256, 4, 1, 10**5), (257, 4, 1, 10**5), *ROWS[2:], pixels=bytes(8)), "100000x100000"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "size"), BOMBS, ids=["JPEG", "PNG header", "PNG real", "GIF screen", "GIF frame", "WEBP", "BMP", "TIFF"]
)
def test_a_bomb_is_too_large_by_its_header(data: bytes, size: str) -> None:
    assert failure(data) == ("too_large", f"{size} px is over the limit of 120,000,000 pixels")


def test_a_strip_of_a_million_rows_is_too_large_though_it_has_few_pixels() -> None:
    assert failure(png(1, 10**6, 8, 0, bytes(2 * 10**6))) == (
        "too_large",
        "1x1000000 px: a side is over the limit of 262,144 px",
    )


@pytest.mark.parametrize("name", ["JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF", "AVIF"])
def test_pillow_s_own_limit_belongs_to_the_program(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between one and two times its limit Pillow warns, and warnings are errors here. Beyond that it refuses."""
    data = saved(photograph(300, 200), name)
    as_always = picture.decode(data)

    for limit in 40_000, 4_000:
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        assert picture.decode(data) == as_always
        assert limit == Image.MAX_IMAGE_PIXELS


def test_text_in_a_png_is_never_unpacked() -> None:
    bomb = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(50_000_000)))
    rows = b"".join(b"\0" + row.tobytes() for row in fields(COLOURS))

    assert picture.decode(png(400, 300, 8, 2, rows, bomb, bomb)) == picture.decode(png(400, 300, 8, 2, rows))


@pytest.mark.parametrize(
    "entry",
    [(270, 2, 2**32 - 1, 8), (34665, 4, 1, 2**32 - 9), (33432, 2, 999, 2**32 - 9), (306, 4, 7, 8), (700, 99, 9, 9)],
)
def test_absurd_tags_that_are_not_the_picture_do_no_harm_to_a_tiff(entry: tuple[int, int, int, int]) -> None:
    plain = tiff(*ROWS, pixels=bytes(range(0, 240, 30)))

    assert picture.decode(tiff(*sorted((*ROWS, entry)), pixels=bytes(range(0, 240, 30)))) == picture.decode(plain)


ABSURD_TAGS = [
    (273, 4, 2**30, 8, "damaged TIFF: tag 273 lies outside the file"),
    (273, 4, 1, 2**32 - 9, "truncated TIFF: the file ends before the picture does"),
    (256, 3, 2, 8, "damaged TIFF: tag 256 has 2 values"),
    (277, 3, 2, 8, "damaged TIFF: tag 277 has 2 values"),
    (284, 3, 2, 8, "damaged TIFF: tag 284 has 2 values"),
    (259, 2, 1, 1, "damaged TIFF: tag 259 is of type 2"),
    (258, 3, 9999, 8, "damaged TIFF: tag 258 lies outside the file"),
    (532, 1, 100, 0, "damaged TIFF: its tags are larger than the file"),
]


@pytest.mark.parametrize(("tag", "type_", "count", "value", "text"), ABSURD_TAGS)
def test_absurd_tags_that_are_the_picture_are_decode_errors(
    tag: int, type_: int, count: int, value: int, text: str
) -> None:
    others = [entry for entry in (*ROWS, (529, 1, 100, 0)) if entry[0] != tag]

    assert failure(tiff(*sorted((*others, (tag, type_, count, value))), pixels=bytes(8))) == ("decode", text)


EMPTY_PARTS = [
    b"\xff\xd8" + b"\xff\xe0\0\2" * 20_000,
    PNG[:33] + chunk(b"teSt", b"") * 300_000,
    b"GIF89a\1\0\1\0\0\0\0!\xfe" + b"\1a" * 300_000,
]


@pytest.mark.parametrize("data", EMPTY_PARTS, ids=["JPEG", "PNG", "GIF"])
def test_a_file_of_empty_parts_is_refused(data: bytes) -> None:
    kind, message = failure(data)

    assert kind == "decode"
    assert "over " in message


@pytest.mark.parametrize("core_usable", [True, False])
def test_a_lack_of_memory_is_a_failure_of_this_picture(core_usable: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*_: object) -> Image.Image:
        raise MemoryError

    monkeypatch.setattr(pillow_core, "_usable", core_usable)
    monkeypatch.setattr(_imaging if core_usable else Image, "fill" if core_usable else "frombytes", no_memory)

    assert failure(JPEG if core_usable else PNG) == ("too_large", "not enough memory to decode it")


def test_a_pillow_without_a_decoder_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("PIL.Image.core.zip_decoder")

    assert failure(PNG) == ("unsupported", "this Pillow cannot read PNG: decoder zip not available")


def test_a_message_of_pillow_becomes_one_short_line() -> None:
    text = str(frame.damaged("TIFF", OSError("a\nb\x1b[31m" + "c" * 999)))

    assert text == "damaged TIFF: a b [31m" + "c" * (160 - len("a b [31m"))
    assert str(frame.damaged("TIFF", KeyError())) == "damaged TIFF: KeyError"


def test_the_file_can_be_a_memoryview() -> None:
    assert picture.decode(memoryview(io.BytesIO(PNG).getbuffer())).format == "PNG"
