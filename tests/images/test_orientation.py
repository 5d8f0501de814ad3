"""Pictures are turned as Pillow's `ImageOps.exif_transpose` turns them, by EXIF, or by XMP if EXIF does not say."""

from __future__ import annotations

import io
import struct
import warnings
import zlib

import pytest
from PIL import Image, ImageOps

from birdlite.images import orientation, picture
from tests.pictures import chunk, photograph, saved

PHOTO = photograph(80, 60)
ATTRIBUTE = b'<x:xmpmeta><rdf:Description tiff:Make="a" tiff:Orientation="%d"/></x:xmpmeta>'
ELEMENT = b"<x:xmpmeta><tiff:Orientation>%d</tiff:Orientation></x:xmpmeta>"


def exif(order: str, *entries: tuple[int, int, int, bytes], promised: int | None = None) -> bytes:
    """Write EXIF from tag, type, number of values, and value of each entry; it may promise more of them."""
    count = len(entries) if promised is None else promised
    start = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HIH", 42, 8, count)
    body = b"".join(struct.pack(f"{order}HHI", *entry[:3]) + entry[3].ljust(4, b"\0") for entry in entries)
    return start + body + (bytes(4) if promised is None else b"")


def number(order: str, code: str, value: int) -> bytes:
    return struct.pack(order + code, value)


def png(*chunks: bytes, behind: bytes = b"") -> bytes:
    data = saved(PHOTO, "PNG")
    return data[:33] + b"".join(chunks) + data[33:-12] + behind + data[-12:]


def profile(name: bytes, body: bytes) -> bytes:
    """Write EXIF as ImageMagick does in a text chunk."""
    digits = body.hex().encode()
    lines = b"\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    return b"\n%s\n%8d\n%s\n" % (name, len(body), lines)


def text(keyword: bytes, body: bytes, kind: bytes = b"tEXt") -> bytes:
    if kind == b"iTXt":
        return chunk(kind, keyword + b"\0\0\0en\0Titel\0" + body)
    if kind == b"iTXt packed":
        return chunk(b"iTXt", keyword + b"\0\1\0\0\0" + zlib.compress(body))
    return chunk(kind, keyword + b"\0" + (b"\0" + zlib.compress(body) if kind == b"zTXt" else body))


def jpeg(*segments: bytes) -> bytes:
    data = saved(PHOTO, "JPEG")
    return data[:2] + b"".join(b"\xff\xe1" + struct.pack(">H", len(s) + 2) + s for s in segments) + data[2:]


def webp(body: bytes = b"", xmp: bytes = b"") -> bytes:
    return saved(PHOTO, "WEBP", exif=body, xmp=xmp, lossless=True)


def tiff(*, orientation: int | None = None, xmp: bytes = b"") -> bytes:
    tags = Image.Exif()
    if orientation:
        tags[274] = orientation
    if xmp:
        tags[700] = xmp
    return saved(PHOTO, "TIFF", exif=tags)


def turned(data: bytes) -> picture.Picture:
    """Say what it would be if Pillow had turned it before."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
        upright.info.clear()
        return picture.decode(saved(upright.convert("RGB"), "PNG"), resize="squash", side=16)


def difference(one: picture.Picture, other: picture.Picture) -> int:
    return max(abs(a - b) for a, b in zip(one.pixels, other.pixels, strict=True))


PREFIX, XMP = orientation.EXIF_IN_JPEG, orientation.XMP_IN_JPEG
SIX, NINE = exif("<", (274, 3, 1, number("<", "H", 6))), exif("<", (274, 3, 1, number("<", "H", 9)))
OTHER_TAG = exif("<", (271, 2, 4, b"abc\0"))
RAW = b"Raw profile type exif"

FILES = {
    **{
        f"type {type_} {order}": jpeg(PREFIX + exif(order, (274, type_, 1, number(order, code, 6))))
        for order in "<>"
        for type_, code in ((1, "B"), (3, "H"), (4, "I"), (6, "b"), (8, "h"), (9, "i"))
    },
    "text in EXIF": jpeg(PREFIX + exif("<", (274, 2, 1, b"6"))),
    "two values": jpeg(PREFIX + exif(">", (274, 3, 2, struct.pack(">HH", 8, 3)))),
    "no value, and then one": jpeg(PREFIX + exif("<", (274, 3, 0, b""), (274, 3, 1, b"\3\0"))),
    "unknown type, and then one": jpeg(PREFIX + exif("<", (274, 99, 1, b"\6\0"), (274, 3, 1, b"\3\0"))),
    "promises more": jpeg(PREFIX + exif("<", (271, 3, 1, b""), (274, 3, 1, b"\6\0"), promised=99)),
    "promises more >": jpeg(PREFIX + exif(">", (274, 4, 1, number(">", "I", 5)), promised=3)),
    "twice the prefix": jpeg(PREFIX + PREFIX + SIX),
    "in two segments": jpeg(PREFIX + SIX[:12], PREFIX + SIX[12:]),
    "XMP attribute": jpeg(XMP + ATTRIBUTE % 6),
    "XMP element": jpeg(XMP + ELEMENT % 7),
    "XMP 0": jpeg(XMP + ATTRIBUTE % 0),
    "XMP 9": jpeg(XMP + ELEMENT % 9),
    "XMP without it": jpeg(XMP + b"<tiff:Orientation/>"),
    "the last XMP": jpeg(XMP + ATTRIBUTE % 6, XMP + ATTRIBUTE % 3),
    "EXIF before XMP": jpeg(PREFIX + SIX, XMP + ATTRIBUTE % 3),
    "EXIF 9 before XMP": jpeg(PREFIX + NINE, XMP + ATTRIBUTE % 3),
    "EXIF without it, XMP": jpeg(PREFIX + OTHER_TAG, XMP + ATTRIBUTE % 3),
    "WebP XMP": webp(xmp=ATTRIBUTE % 8),
    "WebP EXIF before XMP": webp(SIX, ATTRIBUTE % 8),
    "TIFF XMP": tiff(xmp=ELEMENT % 5),
    "TIFF tag before XMP": tiff(orientation=6, xmp=ELEMENT % 3),
    **{f"PNG {kind.decode()}": png(text(RAW, profile(b"exif", PREFIX + SIX), kind)) for kind in (b"tEXt", b"zTXt")},
    "PNG behind the pixels": png(behind=text(RAW, profile(b"exif", PREFIX + SIX))),
    "PNG eXIf before text": png(chunk(b"eXIf", OTHER_TAG), text(RAW, profile(b"exif", SIX))),
    **{
        f"PNG XMP {kind.decode()}": png(text(b"XML:com.adobe.xmp", ATTRIBUTE % 7, kind))
        for kind in (b"iTXt", b"iTXt packed", b"tEXt", b"zTXt")
    },
    "PNG EXIF before XMP": png(chunk(b"eXIf", SIX), text(b"XML:com.adobe.xmp", ATTRIBUTE % 7, b"iTXt")),
    "PNG other text": png(text(b"Comment", ATTRIBUTE % 7)),
}
UPRIGHT = {"type 1 <", "type 1 >", "text in EXIF", "XMP 0", "XMP 9", "XMP without it", "EXIF 9 before XMP"}
UPRIGHT |= {"PNG eXIf before text", "PNG other text"}


@pytest.mark.parametrize("name", FILES)
def test_a_picture_is_turned_as_pillow_turns_it(name: str) -> None:
    got, expected = picture.decode(FILES[name], resize="squash", side=16), turned(FILES[name])

    assert (got.width, got.height) == (expected.width, expected.height)
    assert difference(got, expected) <= 2
    assert (difference(got, picture.decode(saved(PHOTO, "PNG"), resize="squash", side=16)) < 20) == (name in UPRIGHT)


def test_exif_of_exiftool_in_a_png_counts_too() -> None:
    """Pillow does not read this one."""
    data = png(text(b"Raw profile type APP1", profile(b"APP1", PREFIX + SIX), b"zTXt"))

    assert picture.decode(data).width == PHOTO.height


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\nexif\n",
        b"\nexif\n  20\nnot digits",
        b"\nexif\n   3\n4949f",
        profile(b"exif", SIX[:15]),
        profile(b"exif", b"neither" + SIX),
        b"\nexif\n  20\n" + "é".encode(),
    ],
    ids=["empty", "no digits", "no hexadecimal digits", "an odd digit", "cut", "no TIFF", "no ASCII"],
)
@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt"])
def test_a_damaged_profile_in_a_png_means_upright(body: bytes, kind: bytes) -> None:
    assert picture.decode(png(text(RAW, body, kind))) == picture.decode(saved(PHOTO, "PNG"))


@pytest.mark.parametrize("broken", [chunk(b"zTXt", RAW + b"\0\0junk"), chunk(b"iTXt", b"XML:com.adobe.xmp\0\1")])
def test_a_damaged_text_in_a_png_means_upright(broken: bytes) -> None:
    assert picture.decode(png(broken)) == picture.decode(saved(PHOTO, "PNG"))


def test_a_text_of_a_png_is_unpacked_no_further_than_the_limit() -> None:
    near, far = (b" " * size + ATTRIBUTE % 6 for size in (1 << 19, 40 << 20))
    names = {data: png(text(b"XML:com.adobe.xmp", data, b"zTXt")) for data in (near, far)}

    assert picture.decode(names[near]).width == PHOTO.height
    assert picture.decode(names[far]).width == PHOTO.width


@pytest.mark.parametrize("order", "<>")
def test_a_bigtiff_says_it_in_longer_words(order: str) -> None:
    entries = struct.pack(f"{order}HHQHxxxxxx", 274, 3, 1, 6)
    data = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HHHQQ", 43, 8, 0, 16, 1) + entries

    assert orientation.of_tiff(data) == 6
    assert orientation.of_tiff(memoryview(data)) == 6


def test_exif_that_claims_the_earth_is_looked_at_for_a_moment_only() -> None:
    huge = b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 2**64 - 1) + bytes(20 * 70_000)

    assert orientation.of_exif(huge) == 1
    assert orientation.of_exif(b"II*\0" + b"\xff" * 40) == 1
