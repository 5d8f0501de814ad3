"""Damaged files give our error: never half a picture, another exception or a warning (here an error)."""

from __future__ import annotations

import random
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import get_args

import pytest
from PIL import Image, ImageFile

from birdlite.errors import PictureError
from birdlite.images import picture
from birdlite.settings import Resize
from tests.pictures import chunk, fields, interlaced_rows, photograph, png, saved

REPO = Path(__file__).parents[2]
RESIZES: tuple[Resize, ...] = get_args(Resize)
PHOTO = photograph(231, 190)
OTHER = PHOTO.transpose(Image.Transpose.ROTATE_180)

# The file, and how many bytes at its end carry no pixels. Of a JPEG these are the end marker, and the last bytes of the
# last block of colour: libjpeg needs a few bytes more than the pixels to decode them.
WHOLE: dict[str, tuple[bytes, int]] = {
    "JPEG": (saved(PHOTO, "JPEG"), 12),
    "JPEG progressive": (saved(PHOTO, "JPEG", progressive=True), 12),
    "JPEG grey": (saved(PHOTO.convert("L"), "JPEG"), 12),
    "JPEG CMYK": (saved(PHOTO.convert("CMYK"), "JPEG"), 12),
    "JPEG with restarts": (saved(PHOTO, "JPEG", restart_marker_blocks=4), 12),
    "JPEG at reduced scale": (saved(PHOTO.resize((1000, 900)), "JPEG"), 12),
    "PNG": (saved(PHOTO, "PNG"), 0),
    "PNG palette": (saved(PHOTO.quantize(64), "PNG"), 0),
    "GIF": (saved(PHOTO.quantize(64), "GIF"), 2),  # an empty block and the trailer
    "WEBP": (saved(PHOTO, "WEBP"), 0),
    "WEBP lossless": (saved(PHOTO, "WEBP", lossless=True), 0),
    "WEBP animated": (saved(PHOTO, "WEBP", save_all=True, append_images=[OTHER]), 0),
    "BMP": (saved(PHOTO, "BMP"), 3),  # rows are filled up to 4 bytes
    "BMP palette": (saved(PHOTO.quantize(64), "BMP"), 3),
    "TIFF": (saved(PHOTO, "TIFF"), 0),
    "TIFF LZW": (saved(PHOTO, "TIFF", compression="tiff_lzw"), 0),
    "TIFF deflate": (saved(PHOTO, "TIFF", compression="tiff_adobe_deflate"), 0),
    "TIFF JPEG": (saved(PHOTO, "TIFF", compression="jpeg"), 0),
    "TIFF PackBits": (saved(PHOTO, "TIFF", compression="packbits"), 0),
}
FILES = {name: data for name, (data, _) in WHOLE.items()}
HEADER, SCAN = FILES["JPEG"].index(b"\xff\xc0"), FILES["JPEG"].index(b"\xff\xda")


TRUNCATED = "truncated {}: the file ends before the picture does"


def message(data: bytes, resize: Resize = "crop") -> str:
    with pytest.raises(PictureError) as caught:
        picture.decode(data, resize=resize)
    assert caught.value.kind == "decode"
    return str(caught.value)


@pytest.mark.parametrize("resize", ["crop", "exact"])
@pytest.mark.parametrize("name", WHOLE)
def test_a_truncated_file_is_refused_at_every_length(name: str, resize: Resize) -> None:
    data, spare = WHOLE[name]
    picture.decode(data, resize=resize)
    last = len(data) - 1 - spare

    for length in {*range(40), *range(40, last, len(data) // 40), *range(last - 20, last + 1)}:
        with pytest.raises(PictureError) as caught:
            picture.decode(data[:length], resize=resize)
        assert caught.value.kind == "decode" or length < 40  # of so few bytes some could be anything


@pytest.mark.parametrize("name", FILES)
def test_the_message_for_a_file_cut_in_half_names_its_format(name: str) -> None:
    assert message(FILES[name][: len(FILES[name]) // 2]) == TRUNCATED.format(name.split()[0])


@pytest.mark.parametrize("length", [0.3, 0.9])
def test_an_animated_gif_is_read_as_its_first_frame_even_if_a_later_one_is_cut(length: float) -> None:
    first = PHOTO.quantize(64)
    whole = saved(first, "GIF", save_all=True, append_images=[OTHER] * 3)
    cut = int(len(saved(first, "GIF")) * 1.2 + len(whole) * 0.5 * length)

    assert picture.decode(whole[:cut]) == picture.decode(whole)


@pytest.mark.parametrize("name", FILES)
def test_a_program_that_lets_pillow_load_truncated_images_changes_nothing(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, cut = FILES[name], FILES[name][: int(len(FILES[name]) * 0.8)]
    before = picture.decode(whole), message(cut)

    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)

    assert (picture.decode(whole), message(cut)) == before


# JPEG: libjpeg fills missing parts with grey, and its warning about it is lost.


def entropy(data: bytes) -> int:
    """Say where the compressed pixels of the first scan begin."""
    start = data.index(b"\xff\xda")
    return start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("JPEG") and "progressive" not in name])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.99])
def test_a_cut_jpeg_with_an_end_marker_is_refused(name: str, part: float) -> None:
    data = FILES[name]
    start = entropy(data)
    cut = data[: start + int((len(data) - start) * part)].rstrip(b"\xff") + b"\xff\xd9"

    assert message(cut) == "damaged JPEG: part of the picture is missing"


def test_a_jpeg_that_lacks_bytes_in_the_middle_is_damaged() -> None:
    data = FILES["JPEG"]
    middle = entropy(data) + 2000

    assert message(data[:middle] + data[middle + 500 :]) == "damaged JPEG: part of the picture is missing"


def test_a_progressive_jpeg_with_a_cut_first_scan_is_refused() -> None:
    data = FILES["JPEG progressive"]
    start = entropy(data)
    end = data.index(b"\xff", start)

    assert message(data[: (start + end) // 2] + b"\xff\xd9") == "damaged JPEG: part of the picture is missing"


def test_a_jpeg_that_ends_in_zeros_is_truncated() -> None:
    """A download into a file that was made as long as the whole picture first: the rest is zeros, which decode."""
    data = FILES["JPEG"]

    assert message(data[:4000] + bytes(len(data) - 4000)) == TRUNCATED.format("JPEG")


@pytest.mark.parametrize("grey", [127, 128])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 4}], ids=str)
def test_a_grey_picture_is_not_taken_for_a_damaged_one(mode: str, grey: int, options: dict[str, object]) -> None:
    pixels = picture.decode(saved(Image.new("L", (400, 300), grey).convert(mode), "JPEG", **options)).pixels

    assert set(pixels) <= {126, 127, 128, 129}


BROKEN_JPEGS = [
    (FILES["JPEG"][:2] + FILES["JPEG"][20:89] + b"\xff\xd9", "damaged JPEG: no picture in it"),
    (b"\xff\xd8\xff\xd9" * 50, "damaged JPEG: no picture in it"),
    (FILES["JPEG"][:HEADER] + FILES["JPEG"][SCAN:], "damaged JPEG: no header before the picture"),
    (FILES["JPEG"][: HEADER + 19] + FILES["JPEG"][HEADER:], "damaged JPEG: two headers"),
    (FILES["JPEG"].replace(b"\xff\xc0\0\x11", b"\xff\xc0\0\x14"), "damaged JPEG: a header of the wrong length"),
    (FILES["JPEG"].replace(b"\xff\xdb", b"\xff\xe5"), "damaged JPEG: cannot decode image data"),
]


@pytest.mark.parametrize(
    ("damaged", "text"), BROKEN_JPEGS, ids=["no scan", "empty", "no header", "two headers", "long header", "no tables"]
)
def test_a_jpeg_with_a_broken_header_is_a_decode_error(damaged: bytes, text: str) -> None:
    assert message(damaged) == text


def test_junk_between_the_segments_of_a_jpeg_is_ignored() -> None:
    data = FILES["JPEG"]

    assert picture.decode(data[:20] + b"junk\xff\0\xff\xff" + data[20:]) == picture.decode(data)


# PNG: every chunk that matters is checked; and compressed data may end well, but too early.

ROWS = b"".join(b"\0" + row.tobytes() for row in fields(((9, 9, 9),) * 4))


@pytest.mark.parametrize("height", [299, 300])
@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("missing", [1, 1201, 1201 * 90])
def test_a_png_whose_data_ends_too_early_without_an_error_is_truncated(
    missing: int, interlaced: bool, height: int
) -> None:
    plain = fields(((9, 9, 9),) * 4)[:height]
    rows = interlaced_rows(plain) if interlaced else ROWS[: 1201 * height]
    picture.decode(png(400, height, 8, 2, rows, interlaced=interlaced))

    text = message(png(400, height, 8, 2, rows[:-missing], interlaced=interlaced))

    assert text == ("damaged PNG: not enough image data" if missing == 1 else TRUNCATED.format("PNG"))


@pytest.mark.parametrize("size", [(1, 1), (5, 1), (1, 5), (400, 300), (401, 301), (4, 2)])
@pytest.mark.parametrize("interlaced", [False, True])
def test_a_black_png_is_not_taken_for_a_damaged_one(size: tuple[int, int], interlaced: bool) -> None:
    black = fields(((0, 0, 0),) * 4, 402, 302)[: size[1], : size[0]]
    rows = interlaced_rows(black) if interlaced else b"".join(b"\0" + row.tobytes() for row in black)

    assert set(picture.decode(png(*size, 8, 2, rows, interlaced=interlaced)).pixels) == {0}


@pytest.mark.parametrize("name", [b"IHDR", b"PLTE", b"IDAT"])
def test_a_png_with_a_flipped_bit_is_a_decode_error(name: bytes) -> None:
    data = bytearray(FILES["PNG palette"])
    data[data.index(name) + 9] ^= 4

    assert message(bytes(data)).startswith("damaged PNG: ")


BROKEN_PNGS = [
    png(9, 9, 8, 3, bytes(90)),
    png(9, 9, 8, 3, bytes(90), chunk(b"PLTE", b"12")),
    png(9, 9, 3, 0, bytes(90)),
    png(0, 9, 8, 0, bytes(90)),
    png(9, 9, 8, 0, bytes([7]) * 90),
    FILES["PNG"][:33] + chunk(b"IEND", b""),
    png(9, 9, 8, 0, b"")[:33] + chunk(b"IDAT", zlib.compress(bytes(90))[:-1] + b"!") + chunk(b"IEND", b""),
    FILES["PNG"][:33] + chunk(b"IDAT", b"not deflate") + chunk(b"IEND", b""),
]


@pytest.mark.parametrize(
    "damaged",
    BROKEN_PNGS,
    ids=["no palette", "short palette", "3 bits", "no pixels", "unknown filter", "no data", "wrong sum", "other data"],
)
def test_a_png_that_makes_no_sense_is_a_decode_error(damaged: bytes) -> None:
    assert message(damaged).startswith("damaged ")


def test_a_png_in_many_chunks_is_decoded() -> None:
    packed = zlib.compress(ROWS)
    pieces = b"".join(chunk(b"IDAT", packed[at : at + 1]) for at in range(len(packed)))
    whole = png(400, 300, 8, 2, ROWS)

    assert picture.decode(whole[:33] + pieces + chunk(b"IEND", b"")) == picture.decode(whole)


# Any damage at all.


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Change, drop, insert or overwrite bytes, often in the header."""
    spoilt = bytearray(data)
    kind, at, length = chance.randrange(5), chance.randrange(len(data)), chance.randrange(1, 2000)
    if kind < 2:
        for _ in range(chance.randrange(1, 7)):
            spoilt[chance.randrange(min(len(data), 700 if kind else len(data)))] = chance.randrange(256)
    elif kind == 2:
        del spoilt[at : at + length]
    elif kind == 3:
        spoilt[at:at] = chance.randbytes(length)
    else:
        spoilt[at : at + length] = chance.randbytes(length)
    return bytes(spoilt)


@pytest.mark.parametrize("name", FILES)
def test_any_damage_gives_a_picture_or_our_error(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    chance = random.Random(name)
    pictures: list[int] = []
    errors: list[str] = []
    for _ in range(60):
        data = mutated(FILES[name], chance)
        try:
            pictures.append(len(picture.decode(data, resize=chance.choice(RESIZES), max_pixels=10**7).pixels))
        except PictureError as error:
            errors.append(str(error))
    assert len(errors) > 5, "the damage did not damage"
    assert set(pictures) == {224 * 224 * 3} or not pictures
    assert all(error.isprintable() and len(error) < 200 for error in errors)
    assert capfd.readouterr() == ("", "")


def test_random_bytes_behind_every_magic_are_errors() -> None:
    chance = random.Random(5)
    starts = [
        b"",
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"II*\0\x08\0\0\0",
        b"MM\0*\0\0\0\x08",
        b"RIFF\xf0\0\0\0WEBPVP8 ",
    ]
    for start in (*starts, b"BM" + bytes(12) + struct.pack("<I", 40)):
        for _ in range(40):
            with pytest.raises(PictureError):
                picture.decode(start + chance.randbytes(chance.randrange(300)), max_pixels=10**7)


def test_damaged_files_leave_no_memory_behind() -> None:
    """Progressive JPEGs: libjpeg keeps all their coefficients until it is told to free them."""
    program = """
import io
from PIL import Image
from birdlite.bench import peak_memory_bytes
from birdlite.images import picture
from birdlite.errors import PictureError
file = io.BytesIO()
Image.effect_noise((1500, 1400), 60).convert("RGB").save(file, "JPEG", progressive=True)
data = file.getvalue()
cut = data.rindex(b"\\xff\\xda")
damaged = data[:cut] + b"\\xff\\xe5\\xff\\xff" + data[cut:][:50] + b"\\xff\\xd9"
for n in range(40):
    try:
        picture.decode(damaged)
        raise SystemExit("the damage did not damage")
    except PictureError:
        pass
    if n == 4:
        before = peak_memory_bytes()
print(peak_memory_bytes() - before)
"""
    run = subprocess.run([sys.executable, "-c", program], cwd=REPO, check=True, capture_output=True)

    assert int(run.stdout) < 20_000_000  # bytes; each picture has 12 MB of coefficients
