"""GIF, BMP, WebP and TIFF, each read by its own plugin of Pillow.

`PIL.Image.open` would import five plugins and try them in turn. Whatever a plugin raises becomes our error. Sizes are
read from the file and checked before a plugin sees it, where the plugin would reserve memory by them.
"""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Literal

import PIL.Image

from birdlite.errors import PictureError
from birdlite.images import frame, orientation
from birdlite.images.frame import Entry, Frame, Header, byte_order, damaged, directory, truncated

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL.ImageFile import ImageFile

    from birdlite.images.frame import Data, Format

_BYTES_A_PIXEL = {"GIF": 12, "BMP": 8, "WEBP": 16, "TIFF": 16}
_RUN_LENGTHS = frozenset({1, 2})  # BMP's RLE8 and RLE4
_EXTENSION, _PICTURE = 0x21, 0x2C  # the first bytes of GIF's blocks
_MAX_BLOCKS = 1 << 18  # of a GIF: a file of empty blocks must not take long

# TIFF's tags.
_SUBFILE_TYPE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 256, 257, 258, 259, 262
_SAMPLES, _MAX_SAMPLES = 277, 6
_SUB_DIRECTORIES, _DNG_VERSION = 330, 50706
_DATA = ((273, 279), (324, 325))  # offsets and byte counts, of strips and of tiles
# What Pillow may see: the above; fill order, samples, rows, planes; predictor, palette, tiles; extra samples, sample
# format, JPEG tables; YCbCr coefficients and sampling.
_SINGLE = (_WIDTH, _HEIGHT, _COMPRESSION, _PHOTOMETRIC, 266, _SAMPLES, 278, 284, 317, 322, 323)
_SEEN = frozenset({*_SINGLE, _BITS, 273, 279, 324, 325, 320, 338, 339, 347, 529, 530, 531, 532})
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}  # bytes of a value, by type
_CODES = {1: "B", 3: "H", 4: "I"}  # whole numbers
# None, LZW, JPEG, deflate, PackBits, deflate. Not fax: it is for text, and libtiff ignores damage in it.
_COMPRESSIONS = frozenset({1, 5, 7, 8, 32773, 32946})
_RAW_PHOTOMETRICS = frozenset({32803, 34892})  # colour filter array, linear raw


class _Bytes(io.BytesIO):
    """A file in memory that notes when a plugin wants more than there is."""

    ended = False

    def read(self, size: int | None = -1, /) -> bytes:
        """As `BytesIO.read`."""
        data = super().read(size)
        self.ended = self.ended or not data
        return data


def header(name: Literal["GIF", "BMP", "WEBP", "TIFF"], data: Data, *, max_pixels: int) -> Header:
    """Read the header; of an animation, the first frame will be decoded; of a TIFF, the first page.

    Raises:
        PictureError: `too_large`, `unsupported` (such as raw files of cameras), or `decode`.
    """
    sizes = {"GIF": _gif_size, "BMP": _bmp_size, "WEBP": _webp_size, "TIFF": _tiff_size}
    width, height = sizes[name](data)
    frame.check_size(width, height, max_pixels)
    memory = width * height * _BYTES_A_PIXEL[name] + 2 * len(data)
    read = {"GIF": _gif, "BMP": _bmp, "WEBP": _webp, "TIFF": _tiff}[name]
    return Header(width, height, "RGBA", memory, lambda: read(data, max_pixels))


def _bmp_size(data: Data) -> tuple[int, int]:
    """Read width and height, px; of a BMP for OS/2, the header is shorter."""
    width, height = struct.unpack_from("<HH" if data[14] == 12 else "<ii", data, 18)
    return abs(width), abs(height)


def _gif_size(data: Data) -> tuple[int, int]:
    """Read the width and height, px, of screen and first frame."""
    try:
        width, height, left, top, columns, rows = _gif_sizes(data)
    except (struct.error, IndexError):  # a field lies behind the end of the file
        raise truncated("GIF") from None
    return max(width, left + columns), max(height, top + rows)


def _tiff_size(data: Data) -> tuple[int, int]:
    """Read width and height, px, and refuse raw files."""
    tags = _Directory(data)
    _refuse_raw(tags)
    return tags.value(_WIDTH), tags.value(_HEIGHT)


def _check_size(width: int, height: int, max_pixels: int) -> None:
    """Refuse what is over our limit, and over Pillow's (89 Mpx unless the program changed it), where plugins warn.

    Raises:
        PictureError: `too_large`, or `decode` if the picture has no pixels.
    """
    frame.check_size(width, height, max_pixels)
    own = PIL.Image.MAX_IMAGE_PIXELS
    if own is not None and width * height > own:
        raise PictureError("too_large", f"{width}x{height} px is over Pillow's own limit of {own:,} pixels")


def _opened(name: Format, plugin: Callable[[io.BytesIO], ImageFile], data: Data) -> ImageFile:
    """Read the header.

    Raises:
        PictureError: `decode`, or `unsupported` for a mode that the plugin does not know.
    """
    try:
        return plugin(_Bytes(data))
    except MemoryError:
        raise
    except Exception as error:  # damaged files make plugins raise nearly anything, also AttributeError
        if isinstance(error.__cause__, KeyError):  # this is how plugins say that they do not know a mode
            raise PictureError("unsupported", f"{name} of this kind is not supported: {error}") from error
        raise damaged(name, error) from error


def _loaded(name: Format, image: ImageFile) -> ImageFile:
    """Decode the pixels, even if the program has set Pillow's LOAD_TRUNCATED_IMAGES.

    Raises:
        PictureError: `decode`, also if only a part is there.
    """
    file = image.fp
    try:
        image.load()
    except MemoryError:
        raise
    except Exception as error:  # as above
        if isinstance(file, _Bytes) and file.ended:
            raise truncated(name) from error
        raise damaged(name, error) from error
    if isinstance(file, _Bytes) and file.ended:
        raise truncated(name)
    return image


def _bmp(data: Data, max_pixels: int) -> Frame:
    from PIL.BmpImagePlugin import BmpImageFile

    (header_bytes,) = struct.unpack_from("<I", data, 14)
    if header_bytes >= 40 and len(data) >= 34 and struct.unpack_from("<I", data, 30)[0] in _RUN_LENGTHS:
        # Pillow unpacks it byte by byte in Python, which takes minutes for a small file; only old palettes use it.
        raise PictureError("unsupported", "BMP with run-length coding is not supported")
    image = _opened("BMP", BmpImageFile, data)
    frame.check_size(image.width, image.height, max_pixels)
    return Frame(_loaded("BMP", image), image.width, image.height)


def _webp(data: Data, max_pixels: int) -> Frame:
    """Check the size first: the plugin reserves memory for the whole canvas when it opens."""
    from PIL.WebPImagePlugin import WebPImageFile

    width, height = _webp_size(data)
    _check_size(width, height, max_pixels)
    image = _loaded("WEBP", _opened("WEBP", WebPImageFile, data))
    turn = orientation.of_exif(image.info.get("exif", b""), image.info.get("xmp", b""))
    return Frame(image, width, height, orientation=turn)


def _webp_size(data: Data) -> tuple[int, int]:
    """Read width and height, px, from the first chunk: extended, lossless or lossy."""
    if len(data) < 30 or len(data) < 8 + int.from_bytes(data[4:8], "little"):
        raise truncated("WEBP")
    head = bytes(data[:30])
    chunk = head[12:16]
    if chunk == b"VP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if chunk == b"VP8L" and head[20] == 0x2F:
        bits = int.from_bytes(head[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if chunk == b"VP8 " and head[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", head, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise damaged("WEBP", "an unknown first chunk")


def _gif(data: Data, max_pixels: int) -> Frame:
    """Give the first frame, on a transparent canvas if it does not fill the screen. It may reach beyond the screen."""
    from PIL.GifImagePlugin import GifImageFile

    try:
        width, height, left, top, columns, rows = _gif_sizes(data)
    except (struct.error, IndexError):  # a field lies behind the end of the file
        raise truncated("GIF") from None
    width, height = max(width, left + columns), max(height, top + rows)
    _check_size(width, height, max_pixels)
    _check_size(columns, rows, max_pixels)
    file = _opened("GIF", GifImageFile, data)
    if file.size != (width, height):
        raise damaged("GIF", "blocks of the wrong length")
    image: PIL.Image.Image = _loaded("GIF", file)
    if (columns, rows) != image.size:
        picture = image.crop((left, top, left + columns, top + rows)).convert("RGBA")
        image = PIL.Image.new("RGBA", image.size)
        image.paste(picture, (left, top))
    return Frame(image, width, height)


def _gif_sizes(data: Data) -> tuple[int, ...]:
    """Read the screen's width and height; and the first frame's left, top, width and height.

    Raises:
        struct.error, IndexError: the file ends before that.
    """
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    at = 13 + (6 << (flags & 7) if flags & 0x80 else 0)  # behind the palette
    in_extension = False  # an extension is blocks of data, of which the last is empty
    for _ in range(_MAX_BLOCKS):
        block = data[at]
        if in_extension:
            at += 1 + block
            in_extension = block > 0
        elif block == _EXTENSION:
            at += 2
            in_extension = True
        elif block == _PICTURE:
            return width, height, *struct.unpack_from("<4H", data, at + 1)
        else:
            raise damaged("GIF", "an unknown block before the picture, or no picture")
    raise damaged("GIF", f"over {_MAX_BLOCKS:,} blocks")


def _tiff(data: Data, max_pixels: int) -> Frame:
    """Give the first page. Of the tags, Pillow gets only those that describe the pixels.

    The others (comments, EXIF, thumbnails, further pages) can make Pillow warn on stderr, or use much memory.
    """
    directory = _Directory(data)
    _refuse_raw(directory)
    width, height = directory.value(_WIDTH), directory.value(_HEIGHT)
    _check_size(width, height, max_pixels)
    for offsets, counts in _DATA:
        ends = map(int.__add__, directory.values(offsets), directory.values(counts))
        if max(ends, default=0) > len(data):
            raise truncated("TIFF")
    for tag in _SINGLE:
        directory.value(tag)
    compression = directory.value(_COMPRESSION, 1)
    if compression not in _COMPRESSIONS:
        raise PictureError("unsupported", f"TIFF with compression {compression} is not supported")
    if directory.value(_SAMPLES, 1) > _MAX_SAMPLES:  # Pillow would warn on stderr
        raise PictureError("unsupported", f"TIFF with {directory.value(_SAMPLES)} samples a pixel is not supported")
    return Frame(_eight_bits(directory), width, height, orientation=orientation.of_tiff(data))


class _Directory:
    """The first directory of a TIFF. Every tag that is read is checked to lie within the file."""

    def __init__(self, data: Data) -> None:
        self.data = data
        self.order = byte_order(data)
        try:
            self.entries = directory(data, self.order)
        except struct.error:
            raise truncated("TIFF") from None

    def values(self, tag: int) -> tuple[int, ...]:
        """Read a tag of whole numbers; empty if the tag is absent."""
        entry = self.entries.get(tag)
        if entry is None:
            return ()
        if entry.type not in _CODES:
            raise damaged("TIFF", f"tag {tag} is of type {entry.type}")
        at, _ = self._place(tag, entry)
        return struct.unpack_from(f"{self.order}{entry.values}{_CODES[entry.type]}", self.data, at)

    def value(self, tag: int, default: int = 0) -> int:
        """Read a tag of one whole number."""
        values = self.values(tag) or (default,)
        if len(values) != 1:
            raise damaged("TIFF", f"tag {tag} has {len(values)} values")
        return values[0]

    def bare(self) -> bytes:
        """Copy the file with a directory of only the tags that Pillow may see."""
        entries = [
            (tag, e) for tag, e in sorted(self.entries.items()) if tag in _SEEN and e.type in _SIZES and e.values
        ]
        if sum(self._place(tag, e)[1] for tag, e in entries) > len(self.data):
            raise damaged("TIFF", "its tags are larger than the file")
        start = struct.pack(f"{self.order}I", len(self.data))
        table = b"".join(bytes(self.data[e.at : e.at + 12]) for _, e in entries)
        count = struct.pack(f"{self.order}H", len(entries))
        return b"".join((self.data[:4], start, self.data[8:], count, table, bytes(4)))

    def _place(self, tag: int, entry: Entry) -> tuple[int, int]:
        """The offset and the length of a tag's values."""
        size = entry.values * _SIZES[entry.type]
        at = entry.at + 8
        if size > 4:
            (at,) = struct.unpack_from(f"{self.order}I", self.data, at)
        if at + size > len(self.data):
            raise damaged("TIFF", f"tag {tag} lies outside the file")
        return at, size


def _refuse_raw(directory: _Directory) -> None:
    """Refuse cameras' raw files: their first directory is a thumbnail before the real picture, or mosaic data."""
    thumbnail_first = directory.value(_SUBFILE_TYPE) & 1 and _SUB_DIRECTORIES in directory.entries
    if _DNG_VERSION in directory.entries:
        raise PictureError("unsupported", "Adobe raw (DNG) pictures are not supported")
    if thumbnail_first or directory.value(_PHOTOMETRIC) in _RAW_PHOTOMETRICS:
        raise PictureError("unsupported", "raw pictures (NEF, ARW and the like) are not supported")


def _eight_bits(directory: _Directory) -> PIL.Image.Image:
    """Decode. Of 16-bit grey keep the upper 8 bits, as Pillow does for colour: within one level of dividing by 257."""
    from PIL.TiffImagePlugin import TiffImageFile

    file = _opened("TIFF", TiffImageFile, directory.bare())
    bits = set(directory.values(_BITS)) or {1}
    # Floating point and 32 bits have no agreed white. Pillow would show 16 bits with "0 is white" as a negative.
    if file.mode in {"F", "I"} or (file.mode.startswith("I;") and (bits, directory.value(_PHOTOMETRIC)) != ({16}, 1)):
        raise PictureError("unsupported", f"TIFF with {max(bits)}-bit samples of this kind is not supported")
    image = _loaded("TIFF", file)
    if not image.mode.startswith("I;"):
        return image
    raw_mode = "L;16B" if image.mode == "I;16B" else "L;16"
    return PIL.Image.frombytes("L", image.size, image.tobytes(), "raw", raw_mode)
