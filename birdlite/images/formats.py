"""Which of the formats a file is, by its first bytes; and what it is instead, for the message to the user."""

from __future__ import annotations

from typing import TYPE_CHECKING

from birdlite.errors import PictureError

if TYPE_CHECKING:
    from birdlite.images.frame import Data, Format

# Pictures that birdlite does not read: the offset of their magic bytes, those bytes, and the name of the format.
_PICTURES = (
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\0\0\0\x0cJXL ", "JPEG XL"),
    (0, b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"II\xbc", "JPEG XR"),
    (8, b"CR", "Canon raw (CR2)"),
    (6, b"HEAPCCDR", "Canon raw (CRW)"),
    (0, b"FUJIFILMCCD-RAW", "Fujifilm raw (RAF)"),
    (0, b"IIRO", "Olympus raw (ORF)"),
    (0, b"IIRS", "Olympus raw (ORF)"),
    (0, b"MMOR", "Olympus raw (ORF)"),
    (0, b"IIU\0", "Panasonic raw (RW2)"),
    (0, b"FOVb", "Sigma raw (X3F)"),
    (0, b"\0MRM", "Minolta raw (MRW)"),
    (0, b"8BPS", "Photoshop (PSD)"),
    (0, b"gimp xcf", "GIMP (XCF)"),
    (0, b"\0\0\1\0", "Windows icon (ICO)"),
    (0, b"\x8aMNG", "MNG"),
    (0, b"v/1\1", "OpenEXR"),
    (0, b"#?R", "Radiance HDR"),
    (0, b"qoif", "QOI"),
    (0, b"DDS ", "DDS"),
    (0, b"icns", "Apple icon (ICNS)"),
    (0, b"AT&TFORM", "DjVu"),
    (0, b"%!PS", "PostScript"),
)

_AS_TEXT = (b"%!PS-", b"FUJIFILMCCD-RAW", b"/* XPM */")  # how pictures begin that may be text in their first kilobyte

_OTHERS = (
    (0, b"%PDF-", "a PDF document"),
    (0, b"PK\3\4", "a ZIP archive"),
    (0, b"Rar!", "a RAR archive"),
    (0, b"7z\xbc\xaf", "a 7-Zip archive"),
    (0, b"\x1f\x8b", "gzip data"),
    (0, b"\x28\xb5\x2f\xfd", "zstd data"),
    (0, b"\x1a\x45\xdf\xa3", "a Matroska or WebM video"),
    (8, b"AVI ", "an AVI video"),
    (8, b"WAVE", "a WAVE sound"),
    (0, b"fLaC", "a FLAC sound"),
    (0, b"OggS", "an Ogg sound or video"),
    (0, b"ID3", "an MP3 sound"),
    (0, b"version https://git-lfs", "a Git LFS pointer"),
)

# Brands in the `ftyp` box of ISO base media files.
_AVIF = frozenset({b"avif", b"avis"})
_HEIC = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
_CR3 = b"crx "

_HEAD = 1024  # bytes to look at
_CONTROLS = bytes((*range(1, 9), *range(14, 27), *range(28, 32)))  # without those that a text may have
_HTML = (b"<!doctype html", b"<html", b"<head", b"<body", b"<title", b"<script", b"<meta")


def kind(data: Data) -> Format:
    """Tell the format of a file.

    Raises:
        PictureError: `not_an_image` or `unsupported`. The message names what the file is, if that is known.
    """
    head = bytes(data[:12])
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head.startswith(b"RIFF") and head.endswith(b"WEBP"):
        return "WEBP"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")) and head[8:10] != b"CR":  # CR: Canon's raw format
        return "TIFF"
    if head.startswith(b"BM") and len(data) >= 26 and data[15:18] == b"\0\0\0":  # a text may begin with BM
        return "BMP"
    if head[4:8] == b"ftyp":
        brands = _brands(data)
        if brands & _AVIF:
            return "AVIF"
        if brands & _HEIC:
            return "HEIC"
    raise _unknown(data)


def _brands(data: Data) -> set[bytes]:
    """What an ISO base media file says it can be read as, in its first box."""
    end = min(int.from_bytes(data[:4], "big"), len(data), 256)
    return {bytes(data[at : at + 4]) for at in range(8, end, 4) if at != 12}  # there stands a version


def is_picture(head: bytes) -> bool:
    """Whether a file that begins so is a picture, perhaps of a kind that is not supported. `targets` and `writers` ask.

    A text may begin like a picture, and some pictures are text.
    """
    if not is_binary(head):
        text = head.lstrip().lower()
        is_svg = text.startswith(b"<svg") or (text.startswith(b"<?xml") and b"<svg" in text)
        return is_svg or head.startswith(_AS_TEXT) or _is_pnm(head)
    try:
        kind(head)
    except PictureError as error:
        return error.kind == "unsupported"
    return True


def is_binary(head: bytes) -> bool:
    """Whether this is no text: over 1 % control characters in what is not UTF-8 or has zero bytes, or two zeros."""
    if b"\0\0" in head:
        return True
    if len(head) - len(head.translate(None, _CONTROLS)) <= (len(head) - head.count(0)) // 100:
        return False
    return b"\0" in head or _is_broken(head)


def _is_pnm(head: bytes) -> bool:
    """Whether a text is a PNM picture: `P3 640 480 …`, and not the name `P3 garden.jpg`."""
    magic, *sizes = head.split(maxsplit=3)[:3] or [b""]
    if len(magic) != 2 or magic[:1] != b"P" or magic[1:] not in b"1234567":
        return False
    return head[2:].lstrip(b"\r").startswith((b"\n#", b"\nWIDTH")) or (
        len(sizes) == 2 and all(map(bytes.isdigit, sizes))
    )


def _is_broken(head: bytes) -> bool:
    """Whether this is not UTF-8; the last character may be cut."""
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return error.start < len(head) - 3
    return False


def _unknown(data: Data) -> PictureError:
    """Make the error for a file of any other format, by its first kilobyte."""
    if not len(data):
        return PictureError("not_an_image", "empty file")
    head = bytes(data[:_HEAD])
    for at, magic, what in _PICTURES:
        if head.startswith(magic, at):
            return _unsupported(what)
    if head[4:8] == b"ftyp":
        if _CR3 in _brands(data):
            return _unsupported("Canon raw (CR3)")
        return _not_a_picture("an MP4 or QuickTime video")
    if head[:1] == b"P" and head[1:2] in b"1234567" and head[2:3].isspace():
        return _unsupported("PNM")
    for at, magic, what in _OTHERS:
        if head.startswith(magic, at):
            return _not_a_picture(what)
    return _text(head) or PictureError(
        "not_an_image", f"no picture of a known format (it begins with {head[:4].hex(' ')})"
    )


def _text(head: bytes) -> PictureError | None:
    """Tell kinds of text apart; None for anything that is not text."""
    text = head.removeprefix(b"\xef\xbb\xbf").strip().lower()
    if text.startswith(b"<"):
        if b"<svg" in text:
            return _unsupported("SVG")
        if text.startswith(_HTML) or b"<html" in text:
            return _not_a_picture("an HTML page")
        return _not_a_picture("an XML document")
    if not text or any(c < 32 and c not in b"\t\n\r\f" for c in head):
        return None
    try:
        head.decode()
    except UnicodeDecodeError as error:
        if len(head) < _HEAD or error.start < _HEAD - 3:  # else only the last character is cut
            return None
    return _not_a_picture("JSON" if text[:1] in b"{[" else "text")


def _unsupported(what: str) -> PictureError:
    return PictureError("unsupported", f"{what} pictures are not supported")


def _not_a_picture(what: str) -> PictureError:
    return PictureError("not_an_image", f"this is {what}, not a picture")
