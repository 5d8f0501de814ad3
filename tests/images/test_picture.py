"""Photographs into pixels: every format and mode, upright, of the right size, from any thread."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from birdlite.errors import PictureError
from birdlite.images import picture
from birdlite.settings import Resize
from tests.pictures import (
    BITS,
    COLOURS,
    GREYS,
    GREYS_ON_WHITE,
    ON_WHITE,
    SEE_THROUGH,
    SEE_THROUGH_GREYS,
    Colours,
    Pixels,
    chunk,
    deep_png,
    fields,
    gif_on_a_larger_screen,
    heic,
    interlaced_rows,
    lab_tiff,
    multiplied_tiff,
    opaque,
    own_palette,
    photograph,
    png,
    rle_bmp,
    saved,
    two_bit_png,
    without_strip_sizes,
)

REPO = Path(__file__).parents[2]
RESIZES: tuple[Resize, ...] = get_args(Resize)

RGB, RGBA, GREY = fields(COLOURS), fields(SEE_THROUGH), fields(GREYS)[..., 0]
DEEP_GREY = GREY.astype(np.uint16) * 256 + 13
LARGE = Image.fromarray(fields(COLOURS, 2000, 1800))
BILEVEL = Image.fromarray(fields(BITS)[..., 0]).convert("1")
PALETTE = Image.fromarray(RGB).quantize(4)
GREY_ALPHA = Image.merge("LA", [Image.fromarray(fields(SEE_THROUGH_GREYS)[..., band]) for band in (0, 1)])
LUMA: Colours = tuple((round(0.299 * r + 0.587 * g + 0.114 * b),) * 3 for r, g, b in COLOURS)
GREEN_IS_CLEAR: Colours = (COLOURS[0], (255, 255, 255), COLOURS[2], COLOURS[3])
GREEN = PALETTE.getpixel((399, 0))

# What it is, the file, what its four fields must look like, and how far off they may be.
CASES: tuple[tuple[str, bytes, Colours, int], ...] = (
    ("JPEG", saved(RGB, "JPEG", quality=95), COLOURS, 4),
    ("JPEG progressive", saved(RGB, "JPEG", quality=95, progressive=True), COLOURS, 4),
    ("JPEG grey", saved(GREY, "JPEG", quality=95), GREYS, 3),
    ("JPEG CMYK", saved(Image.fromarray(RGB).convert("CMYK"), "JPEG", quality=95), COLOURS, 4),
    ("JPEG at reduced scale", saved(LARGE, "JPEG", quality=95), COLOURS, 4),
    ("JPEG CMYK at reduced scale", saved(LARGE.convert("CMYK"), "JPEG", quality=95), COLOURS, 4),
    ("JPEG grey at reduced scale", saved(LARGE.convert("L"), "JPEG", quality=95), LUMA, 4),
    ("PNG 1 bit", saved(BILEVEL, "PNG"), BITS, 0),
    ("PNG grey", saved(GREY, "PNG"), GREYS, 0),
    ("PNG grey 16 bits", saved(DEEP_GREY, "PNG"), GREYS, 1),
    ("PNG grey and alpha", saved(GREY_ALPHA, "PNG"), GREYS_ON_WHITE, 1),
    ("PNG grey and alpha 16 bits", deep_png(SEE_THROUGH_GREYS, 4), GREYS_ON_WHITE, 1),
    ("PNG grey with a clear shade", saved(GREY, "PNG", transparency=20), ((255,) * 3, *GREYS[1:]), 0),
    ("PNG grey 2 bits with a clear shade", two_bit_png(b"\0\1"), ((0,) * 3, (255,) * 3, (170,) * 3, (255,) * 3), 0),
    ("PNG palette", saved(PALETTE, "PNG"), COLOURS, 1),
    ("PNG palette with a clear colour", saved(PALETTE, "PNG", transparency=GREEN), GREEN_IS_CLEAR, 1),
    ("PNG palette with alphas", saved(Image.fromarray(RGBA).quantize(4), "PNG"), ON_WHITE, 3),
    ("PNG", saved(RGB, "PNG"), COLOURS, 0),
    ("PNG with a clear colour", saved(RGB, "PNG", transparency=COLOURS[1]), GREEN_IS_CLEAR, 0),
    ("PNG 16 bits", deep_png(COLOURS, 2), COLOURS, 1),
    ("PNG alpha", saved(RGBA, "PNG"), ON_WHITE, 1),
    ("PNG alpha 16 bits", deep_png(SEE_THROUGH, 6), ON_WHITE, 1),
    ("PNG interlaced", png(400, 300, 8, 2, interlaced_rows(RGB), interlaced=True), COLOURS, 0),
    ("PNG animated", saved(RGB, "PNG", save_all=True, append_images=[Image.new("RGB", (400, 300))]), COLOURS, 0),
    ("GIF", saved(PALETTE, "GIF"), COLOURS, 1),
    ("GIF grey", saved(GREY, "GIF"), GREYS, 1),
    ("GIF with a clear colour", saved(PALETTE, "GIF", transparency=GREEN), GREEN_IS_CLEAR, 1),
    ("GIF not interlaced", saved(PALETTE, "GIF", interlace=0), COLOURS, 1),
    ("GIF whose clear colour is not in force", opaque(saved(PALETTE, "GIF", transparency=GREEN)), COLOURS, 1),
    ("GIF with a palette of its own", own_palette(saved(PALETTE, "GIF")), COLOURS, 1),
    ("GIF animated", saved(PALETTE, "GIF", save_all=True, append_images=[Image.new("RGB", (400, 300))]), COLOURS, 1),
    ("GIF on a larger screen", gif_on_a_larger_screen(), ((255,) * 3, COLOURS[1], (255,) * 3, (255,) * 3), 1),
    ("BMP 1 bit", saved(BILEVEL, "BMP"), BITS, 0),
    ("BMP grey", saved(GREY, "BMP"), GREYS, 0),
    ("BMP palette", saved(PALETTE, "BMP"), COLOURS, 1),
    ("BMP", saved(RGB, "BMP"), COLOURS, 0),
    ("BMP 32 bits, the last 8 of no meaning", saved(RGBA, "BMP"), tuple(c[:3] for c in SEE_THROUGH), 0),
    ("WEBP", saved(RGB, "WEBP", quality=95), COLOURS, 5),
    ("WEBP lossless alpha", saved(RGBA, "WEBP", lossless=True, exact=True), ON_WHITE, 1),
    ("WEBP animated", saved(RGB, "WEBP", save_all=True, append_images=[Image.new("RGB", (400, 300))]), COLOURS, 5),
    ("BMP run lengths", rle_bmp(PALETTE), COLOURS, 1),
    ("BMP run lengths 4 bits", rle_bmp(PALETTE, 4), COLOURS, 1),
    ("PNG 16 bits with a clear colour", deep_png(COLOURS, 2, clear=COLOURS[1]), GREEN_IS_CLEAR, 1),
    ("TIFF 1 bit", saved(BILEVEL, "TIFF"), BITS, 0),
    ("TIFF grey", saved(GREY, "TIFF"), GREYS, 0),
    ("TIFF grey 16 bits", saved(DEEP_GREY, "TIFF"), GREYS, 1),
    ("TIFF grey 16 bits, big-endian", saved(Image.fromarray(DEEP_GREY.astype(">u2")), "TIFF"), GREYS, 1),
    ("TIFF grey and alpha", saved(GREY_ALPHA, "TIFF"), GREYS_ON_WHITE, 1),
    ("TIFF palette", saved(PALETTE, "TIFF"), COLOURS, 1),
    ("TIFF", saved(RGB, "TIFF"), COLOURS, 0),
    ("TIFF alpha", saved(RGBA, "TIFF"), ON_WHITE, 1),
    ("TIFF CMYK", saved(Image.fromarray(RGB).convert("CMYK"), "TIFF"), COLOURS, 1),
    ("TIFF Lab", lab_tiff(), COLOURS, 4),
    ("TIFF LZW", saved(RGB, "TIFF", compression="tiff_lzw"), COLOURS, 0),
    ("TIFF deflate", saved(RGB, "TIFF", compression="tiff_adobe_deflate"), COLOURS, 0),
    ("TIFF PackBits", saved(RGB, "TIFF", compression="packbits"), COLOURS, 0),
    ("TIFF ZSTD", saved(RGB, "TIFF", compression="zstd"), COLOURS, 0),
    ("TIFF LZMA", saved(RGB, "TIFF", compression="lzma"), COLOURS, 0),
    ("TIFF big", saved(RGB, "TIFF", big_tiff=True), COLOURS, 0),
    ("TIFF without lengths of strips", without_strip_sizes(saved(RGB, "TIFF")), COLOURS, 0),
    ("TIFF LZW without lengths of strips", without_strip_sizes(saved(RGB, "TIFF", compression="tiff_lzw")), COLOURS, 0),
    ("AVIF", saved(RGB, "AVIF", quality=95), COLOURS, 4),
    ("AVIF alpha", saved(RGBA, "AVIF", quality=95), ON_WHITE, 4),
    ("AVIF grey", saved(GREY, "AVIF", quality=95), GREYS, 4),
    ("HEIC", heic(Image.fromarray(RGB)), COLOURS, 4),
    ("HEIC alpha", heic(Image.fromarray(RGBA)), ON_WHITE, 4),
    ("HEIC grey", heic(Image.fromarray(GREY)), GREYS, 4),
    ("TIFF JPEG", saved(RGB, "TIFF", compression="jpeg", quality=95), COLOURS, 4),
)
FILES = {name: data for name, data, _, _ in CASES}


def pixels(data: bytes, resize: Resize = "crop", side: int = 224) -> Pixels:
    return np.frombuffer(picture.decode(data, resize=resize, side=side).pixels, np.uint8).reshape(side, side, 3)


def distance(one: Pixels, other: Pixels) -> int:
    return int(np.abs(one.astype(int) - other).max())


@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize(("name", "data", "colours", "tolerance"), CASES, ids=[case[0] for case in CASES])
def test_every_mode_of_every_format_shows_its_colours(
    name: str, data: bytes, colours: Colours, tolerance: int, resize: Resize
) -> None:
    got = pixels(data, resize)
    middles = np.stack([got[56, 56], got[56, 168], got[168, 56], got[168, 168]])

    assert distance(middles, np.array(colours, np.uint8)) <= tolerance


@pytest.mark.parametrize("name", FILES)
def test_size_and_format_are_those_of_the_file(name: str) -> None:
    got = picture.decode(FILES[name])

    size = (2000, 1800) if "reduced" in name else (400, 300)
    assert (got.format, got.width, got.height, len(got.pixels)) == (name.split()[0], *size, 224 * 224 * 3)


@pytest.mark.parametrize("name", FILES)
def test_a_memoryview_gives_what_bytes_give(name: str) -> None:
    assert picture.decode(memoryview(FILES[name])) == picture.decode(FILES[name])


def test_a_tiff_with_premultiplied_alpha_is_not_multiplied_again() -> None:
    try:
        got = pixels(multiplied_tiff())
    except PictureError as error:
        pytest.skip(f"Pillow before 12: {error}")

    assert distance(np.stack([got[56, 56], got[56, 168], got[168, 56]]), np.array(GREYS_ON_WHITE[:3], np.uint8)) <= 1


# How a picture is stored that these EXIF orientations turn upright.
STORED = {
    1: lambda image: image.copy(),
    2: lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    3: lambda image: image.transpose(Image.Transpose.ROTATE_180),
    4: lambda image: image.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
    5: lambda image: image.transpose(Image.Transpose.TRANSPOSE),
    6: lambda image: image.transpose(Image.Transpose.ROTATE_90),
    7: lambda image: image.transpose(Image.Transpose.TRANSVERSE),
    8: lambda image: image.transpose(Image.Transpose.ROTATE_270),
}


def flagged(image: Image.Image, file_format: str, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, dict[str, object]] = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}
    return saved(image, file_format, exif=exif, **options.get(file_format, {}))


@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", STORED)
def test_a_picture_with_an_orientation_becomes_upright(orientation: int, file_format: str, resize: Resize) -> None:
    upright = photograph(533, 400)
    turned = flagged(STORED[orientation](upright), file_format, orientation)

    got = picture.decode(turned, resize=resize)

    assert (got.width, got.height) == (533, 400)
    assert distance(pixels(turned, resize), pixels(saved(upright, "PNG"), resize)) <= (
        5 if file_format == "JPEG" else 1
    )


@pytest.mark.parametrize("orientation", STORED)
def test_a_jpeg_decoded_at_reduced_scale_is_turned_too(orientation: int) -> None:
    upright = photograph(498, 453).resize((1991, 1813))  # neither is a multiple of the scale
    turned = flagged(STORED[orientation](upright), "JPEG", orientation)

    assert distance(pixels(turned), pixels(saved(upright, "JPEG", quality=95))) <= 4


@pytest.mark.parametrize(
    "exif",
    [
        b"",
        b"II",
        b"II*\0\xff\xff\xff\xff",
        b"II*\0\x08\0\0\0\xff\xff",
        b"II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\x09\0\0\0",
        b"II*\0\x08\0\0\0\1\0\x12\1\2\0\1\0\0\0\6\0\0\0",
        b"MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0",
        bytes(500),
    ],
    ids=["empty", "cut", "nowhere", "too many tags", "orientation 9", "text", "cut in the tag", "zeros"],
)
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_damaged_exif_means_upright(exif: bytes, file_format: str) -> None:
    upright = photograph(320, 240)

    assert distance(pixels(saved(upright, file_format, exif=exif)), pixels(saved(upright, file_format))) == 0


def test_exif_in_a_png_may_have_the_prefix_of_exif_in_a_jpeg() -> None:
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\3\0\0" + bytes(4)
    rows = b"".join(b"\0" + row.tobytes() for row in RGB)

    got = pixels(png(400, 300, 8, 2, rows, chunk(b"eXIf", exif)))

    assert distance(got, pixels(saved(RGB, "PNG"))[::-1, ::-1]) <= 1  # orientation 3: upside down


def long_way(image: Image.Image, side: int, margin: int) -> Pixels:
    """Resize the short side to `margin`, then cut the middle out."""
    larger = margin / min(image.size)
    image = image.resize((round(image.width * larger), round(image.height * larger)), Image.Resampling.BILINEAR)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return np.asarray(image.crop((left, top, left + side, top + side)))


# Sizes whose long side comes out even: the middle of an odd one lies half a pixel off the pixels.
@pytest.mark.parametrize("size", [(534, 400), (400, 534), (550, 367), (256, 256), (1024, 256), (123, 92), (1503, 1126)])
def test_crop_is_the_middle_of_the_picture_resized_to_a_short_side_of_256(size: tuple[int, int]) -> None:
    image = photograph(*size)

    assert distance(pixels(saved(image, "PNG"), "crop"), long_way(image, 224, 256)) <= 1


def test_another_side_keeps_the_margin_of_crop() -> None:
    image = photograph(438, 438)

    assert distance(pixels(saved(image, "PNG"), "crop", 128), long_way(image, 128, 146)) <= 1  # 128 * 256 / 224 = 146.3


@pytest.mark.parametrize("size", [(400, 300), (300, 400), (224, 224), (100, 2000), (2000, 100), (7, 5)])
def test_squash_is_the_whole_picture(size: tuple[int, int]) -> None:
    image = photograph(*size)

    whole = np.asarray(image.resize((224, 224), Image.Resampling.BILINEAR))
    assert distance(pixels(saved(image, "PNG"), "squash"), whole) <= 1


@pytest.mark.parametrize("size", [(1791, 1344), (1792, 1793), (4001, 3584)])
def test_a_large_jpeg_looks_the_same_at_reduced_scale(size: tuple[int, int]) -> None:
    data = saved(photograph(size[0] // 4, size[1] // 4).resize(size), "JPEG", quality=95)
    whole = Image.open(io.BytesIO(data)).resize((224, 224), Image.Resampling.BILINEAR)

    assert distance(pixels(data, "squash"), np.asarray(whole)) <= 4


@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (3, 2)])
def test_the_smallest_pictures_are_decoded(size: tuple[int, int], resize: Resize) -> None:
    assert set(pixels(saved(Image.new("RGB", size, (9, 99, 199)), "PNG"), resize).reshape(-1, 3).tolist()[0]) == {
        9,
        99,
        199,
    }


@pytest.mark.parametrize("side", ["1, 100_000", "100_000, 1", "2, 260_000", "260_000, 2"])
def test_a_strip_takes_no_more_memory_than_it_has_pixels(side: str) -> None:
    """A filter that went across first would make 224 columns of 260,000 rows: 233 MB."""
    program = f"""
import io, numpy
from PIL import Image
from birdlite.bench import peak_memory_bytes
from birdlite.images import bilinear, picture
file = io.BytesIO()
Image.new("RGB", ({side}), (1, 2, 3)).save(file, "PNG")
before = peak_memory_bytes()
for resize in "crop", "squash", "exact":
    assert picture.decode(file.getvalue(), resize=resize).pixels == bytes((1, 2, 3)) * 224 * 224
print(peak_memory_bytes() - before)
"""
    grown = int(subprocess.run([sys.executable, "-c", program], cwd=REPO, check=True, capture_output=True).stdout)

    assert grown < 40_000_000  # bytes


def test_a_picture_is_refused_as_too_large_by_its_header_alone() -> None:
    data = saved(photograph(300, 200), "PNG")

    assert picture.decode(data, max_pixels=60_000).width == 300
    with pytest.raises(PictureError, match=r"^300x200 px is over the limit of 59,999 pixels$") as caught:
        picture.decode(data, max_pixels=59_999)
    assert caught.value.kind == "too_large"


def test_eight_threads_give_the_same_pixels_as_one() -> None:
    files = list(FILES.values()) * 3
    alone = [picture.decode(data) for data in files]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(picture.decode, files)) == alone


# By opencv-python-headless 4.11.0.86 and 5.0.0.93: the first 16 digits of the sha256 of
# cv2.resize(cv2.cvtColor(cv2.imread(file), cv2.COLOR_BGR2RGB), (224, 224)).tobytes().
OPENCV = {
    "189277-004-0A3BC3D4.jpg": "c7853278b37217a7",
    "f3fb92afce5ddff09a7370d90d021225.jpg": "039dd87d1e915310",
    "679edc606d9a363f775dabf0497d31de8c3d7060.jpg": "67997a9eac2733a6",
    "parrot.jpg": "203791d805f8739b",
    "Eumomota_superciliosa.jpg": "8118535f9c611ef9",
    "Phalacrocorax_varius_-Waikawa,_Marlborough,_New_Zealand-8.jpg": "a19776c9303a9407",
}


@pytest.mark.birds
@pytest.mark.parametrize("name", OPENCV)
def test_exact_gives_the_pixels_of_opencv_for_the_real_birds(name: str, birds: Path) -> None:
    (file,) = (birds / "mirror").rglob(name)

    assert hashlib.sha256(picture.decode(file.read_bytes(), resize="exact").pixels).hexdigest()[:16] == OPENCV[name]
