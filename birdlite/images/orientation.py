"""How a picture must be turned to be upright, as its EXIF or XMP says: for the readers of all formats.

It is what Pillow's `ImageOps.exif_transpose` does: EXIF counts, and XMP only if EXIF does not say. Browsers know EXIF
only. Pillow's own reader imports its TIFF plugin (13 ms), warns on stderr about odd files, and raises for others.
Here EXIF that cannot be read means an upright picture: the picture itself is still whole.

An orientation is a number from 1 to 8. 1 is upright, 5 to 8 swap width and height.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

_Data: TypeAlias = "bytes | memoryview"

EXIF_IN_JPEG, XMP_IN_JPEG = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
"""What an APP1 segment begins with that holds them."""

_MOST_TEXT = 1 << 20  # bytes of XMP that are searched, and that a text of a PNG may unpack to; Pillow's limit too
_MOST_ENTRIES = 0xFFFF  # a TIFF cannot have more, but a BigTIFF can claim more

_ORIENTATION, _XMP = 274, 700  # tags
_TEXT = {1: 1, 2: 1, 7: 1}  # types of a tag, and bytes of one value: text or any bytes
_WHOLE_NUMBERS = {3: 2, 4: 4, 6: 1, 8: 2, 9: 4}  # 16 and 32 bits; signed with 8, 16 and 32 bits

_PNG_XMP = b"XML:com.adobe.xmp"
_PNG_EXIF = (b"Raw profile type exif", b"Raw profile type APP1")  # ImageMagick's and exiftool's, older than eXIf
PNG_KEYWORDS = frozenset({_PNG_XMP, *_PNG_EXIF})
"""The keywords of the text chunks of a PNG that `of_png` reads; a zero byte ends a keyword."""


def of_exif(exif: _Data, xmp: _Data = b"") -> int:
    """The orientation by EXIF, with or without the prefix that it has in JPEG; by XMP if EXIF has no such tag."""
    if exif[:6] == EXIF_IN_JPEG:
        exif = exif[6:]
    values = _tag(exif, _ORIENTATION, _WHOLE_NUMBERS)
    if values is None:
        return of_xmp(xmp)
    value, size = values
    number = int.from_bytes(value[:size], _byte_order(exif))
    return number if 1 <= number <= 8 else 1


def of_xmp(xmp: _Data) -> int:
    """The orientation by XMP, which has it as an attribute or as an element."""
    text = bytes(xmp[:_MOST_TEXT])
    if b"tiff:Orientation" not in text:
        return 1
    import re

    found = re.search(rb"""tiff:Orientation(?:\s*=\s*["']|>)\s*([0-9])""", text)
    return int(found[1]) if found and 1 <= int(found[1]) <= 8 else 1


def of_tiff(data: _Data) -> int:
    """The orientation of a TIFF's first page. XMP is one of its tags."""
    xmp, _ = _tag(data, _XMP, _TEXT) or (b"", 1)
    return of_exif(data, xmp)


def of_png(chunks: Mapping[bytes, bytes]) -> int:
    """The orientation of a PNG.

    Args:
        chunks: `eXIf`; and by their keywords (`PNG_KEYWORDS`) text chunks, each from its name to the end of its body.
    """
    exif = chunks.get(b"eXIf")
    if exif is None:
        exif = next((_raw_profile(chunks[keyword]) for keyword in _PNG_EXIF if keyword in chunks), b"")
    return of_exif(exif, _png_text(chunks.get(_PNG_XMP, b"")))


def _tag(data: _Data, tag: int, sizes: Mapping[int, int]) -> tuple[_Data, int] | None:
    """The values of a tag in the first directory, and the bytes of one; None if no such tag of these types is there.

    The directory may promise more entries than the data hold. Those that are there are read.
    """
    if data[:2] not in (b"II", b"MM"):
        return None
    order = _byte_order(data)
    word = 8 if 43 in data[2:4] else 4  # 43: BigTIFF

    def number(at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], order)

    start = number(word, word)
    first = start + (8 if word == 8 else 2)
    entry = 4 + 2 * word
    count = min(number(start, first - start), _MOST_ENTRIES)
    wanted = tag.to_bytes(2, order)
    for at in range(first, min(first + entry * count, len(data) - entry + 1), entry):
        size = sizes.get(number(at + 2, 2), 0) if data[at : at + 2] == wanted else 0
        length = size * number(at + 4, word)
        place = at + 4 + word
        if length > word:
            place = number(place, word)
        if length and place + length <= len(data):
            return data[place : place + length], size
    return None


def _byte_order(data: _Data) -> Literal["little", "big"]:
    return "big" if data[:1] == b"M" else "little"


def _png_text(chunk: bytes) -> bytes:
    """The text of a chunk `tEXt`, `zTXt` or `iTXt`, unpacked as far as the limit; empty if it is damaged."""
    name, (_, _, text) = chunk[:4], chunk[4:].partition(b"\0")
    packed = name == b"zTXt"
    if name == b"iTXt":
        packed, text = text[:1] != b"\0", text[1:2] + text[2:].split(b"\0", 2)[-1]  # without language and translation
    if not packed:
        return text if name == b"tEXt" else text[1:]
    import zlib

    try:
        return zlib.decompressobj().decompress(text[1:], _MOST_TEXT)  # behind the number of the method
    except zlib.error:
        return b""


def _raw_profile(chunk: bytes) -> bytes:
    """The bytes that a text stands for: three short lines, and then hexadecimal digits; empty if it is damaged."""
    lines = _png_text(chunk).split(b"\n", 3)
    try:
        return bytes.fromhex(lines[-1].decode("ascii"))
    except ValueError:  # not such digits, or an odd number of them
        return b""
