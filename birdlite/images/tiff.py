"""TIFF, read by Pillow's plugin from a file of only the tags that describe the pixels. `picture` calls `header`.

The other tags (comments, EXIF, thumbnails, further pages) can make Pillow warn on stderr, or use much memory. Strips
and tiles are checked here before libtiff, Pillow's library, reserves memory by them: their number, their size, and
that they lie within the file.
"""

from __future__ import annotations

import io
from itertools import pairwise
from typing import TYPE_CHECKING

from PIL import ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from birdlite.errors import PictureError
from birdlite.images import orientation, plugin
from birdlite.images.frame import BYTE_MODES, Frame, Header, check_size, damaged, truncated, unpack
from birdlite.images.tiff_tags import Tags, bare
from birdlite.namedtuple import NamedTuple
from birdlite.native_stderr import Caught

if TYPE_CHECKING:
    from PIL.Image import Image

    from birdlite.images.frame import Data

_SUBFILE_TYPE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 256, 257, 258, 259, 262
_SAMPLES, _ROWS, _PLANES, _TILE_WIDTH, _TILE_HEIGHT, _EXTRA = 277, 278, 284, 322, 323, 338
_STRIPS, _STRIP_SIZES, _TILES, _TILE_SIZES = 273, 279, 324, 325
_SUB_DIRECTORIES, _DNG_VERSION = 330, 50706
# Tags of one number, and others, that Pillow may see: fill order, predictor; palette, extra samples, sample format,
# JPEG tables; YCbCr coefficients, sampling, position and range.
_NUMBERS = (_COMPRESSION, _PHOTOMETRIC, 266, _SAMPLES, _PLANES, 317)
_COPIED = (_BITS, 320, _EXTRA, 339, 347, 529, 530, 531, 532)

_NONE, _JPEG = 1, 7
_YCBCR = 6
# None, LZW, JPEG, deflate, PackBits, deflate, LZMA, ZSTD. Not fax: it is for text, and libtiff ignores damage in it.
_COMPRESSIONS = frozenset({_NONE, 5, _JPEG, 8, 32773, 32946, 34925, 50000})
_OPTIONAL = {34925: "lzma", 50000: "zstd"}  # which Pillow's libtiff may lack
_NAMES = {3: "fax", 4: "fax", 6: "old JPEG", 34887: "LERC", 50001: "WebP", 50002: "JPEG XL", 34712: "JPEG 2000"}
_RAW_PHOTOMETRICS = frozenset({32803, 34892})  # colour filter array, linear raw

_MAX_SAMPLES = 6  # more make Pillow print an error
_MAX_PARTS = 1 << 18  # strips or tiles
_MAX_EMPTY = 1 << 24  # px of tiles that reach beyond the picture; of a large picture, four times its own
_A_PART = 256  # bytes: of a strip or tile, its place and length
_MAX_SCANS = 4  # of a strip or tile in JPEG: one a colour. TIFF has no progressive JPEG
_SHARED = 4  # how many times the file its strips may be together: some share their bytes


class _Tiff(TiffImageFile):
    """Pillow's plugin without Pillow's limit of pixels, which belongs to the program: ours was checked before."""

    def load_prepare(self) -> None:
        """Make the image, as `ImageFile` does."""
        ImageFile.ImageFile.load_prepare(self)


class _Parts(NamedTuple):
    """The strips or tiles."""

    tiled: bool
    width: int  # px of one
    height: int
    number: int
    bytes: int  # of one, unpacked


def header(data: Data, *, max_pixels: int) -> Header:
    """Read the header; the first page will be decoded.

    Raises:
        PictureError: `too_large`, `unsupported` (such as raw files of cameras), or `decode`.
    """
    tags = Tags(data)
    _refuse_raw(tags)
    width, height = tags.value(_WIDTH), tags.value(_HEIGHT)
    check_size(width, height, max_pixels)
    compression = tags.value(_COMPRESSION, _NONE)
    if compression not in _COMPRESSIONS:
        name = _NAMES.get(compression, compression)
        raise PictureError("unsupported", f"TIFF with compression {name} is not supported")
    parts = _parts(tags, width, height)
    numbers = _numbers(tags, parts, width, height)
    mode = _mode(tags, numbers)
    a_pixel = 1 if mode in BYTE_MODES else 2 if mode.startswith("I;") else 4
    memory = width * height * a_pixel + len(data) + _A_PART * parts.number
    if compression != _NONE:
        memory += parts.bytes
    if tags.value(_PHOTOMETRIC) == _YCBCR:  # libtiff makes rows of RGBA
        memory += parts.bytes + 4 * width * parts.height
    if mode.startswith("I;"):
        mode, memory = "L", memory + 4 * width * height
    return Header(width, height, mode, memory, lambda: _read(data, tags, numbers))


def _refuse_raw(tags: Tags) -> None:
    """Refuse cameras' raw files: their first directory is a thumbnail before the real picture, or mosaic data."""
    thumbnail_first = tags.value(_SUBFILE_TYPE) & 1 and _SUB_DIRECTORIES in tags
    if _DNG_VERSION in tags:
        raise PictureError("unsupported", "Adobe raw (DNG) pictures are not supported")
    if thumbnail_first or tags.value(_PHOTOMETRIC) in _RAW_PHOTOMETRICS:
        raise PictureError("unsupported", "raw pictures (NEF, ARW and the like) are not supported")


def _parts(tags: Tags, width: int, height: int) -> _Parts:
    """Read how the picture is cut into strips or tiles.

    Raises:
        PictureError: `unsupported`, `too_large` or `decode`.
    """
    samples, bits = tags.value(_SAMPLES, 1), max(tags.values(_BITS), default=1)
    if not 1 <= samples <= _MAX_SAMPLES or not 1 <= bits <= 64:  # Pillow would print an error
        raise PictureError("unsupported", f"TIFF with {samples} samples of {bits} bits a pixel is not supported")
    tiled = _TILES in tags
    if tiled:
        part_width, part_height = tags.value(_TILE_WIDTH), tags.value(_TILE_HEIGHT)
    else:
        part_width, part_height = width, min(tags.value(_ROWS, height), height)
    if part_width < 1 or part_height < 1:
        raise damaged("TIFF", f"strips or tiles of {part_width}x{part_height} px")
    planes = samples if tags.value(_PLANES, 1) == 2 else 1
    across, down = -(-width // part_width), -(-height // part_height)
    number = across * down * planes
    if number > _MAX_PARTS:
        raise PictureError("too_large", f"TIFF with {number:,} strips or tiles is over the limit of {_MAX_PARTS:,}")
    if tiled and across * part_width * down * part_height > max(_MAX_EMPTY, 4 * width * height):
        raise PictureError("too_large", f"TIFF with tiles of {part_width}x{part_height} px, larger than the picture")
    size = part_height * ((part_width * bits * (samples // planes) + 7) // 8)
    return _Parts(tiled, part_width, part_height, number, size)


def _numbers(tags: Tags, parts: _Parts, width: int, height: int) -> dict[int, tuple[int, ...]]:
    """The tags of numbers for Pillow, among them where each strip or tile is and how long.

    Raises:
        PictureError: `decode`: a part lies outside the file, or is missing.
    """
    offsets_tag, sizes_tag = (_TILES, _TILE_SIZES) if parts.tiled else (_STRIPS, _STRIP_SIZES)
    offsets = tags.values(offsets_tag, parts.number)
    if len(offsets) < parts.number:
        raise damaged("TIFF", "strips or tiles are missing")
    compression = tags.value(_COMPRESSION, _NONE)
    sizes = _sizes(parts, height) if compression == _NONE else tags.values(sizes_tag, parts.number)
    if len(sizes) < parts.number:
        sizes = _gaps(offsets, len(tags.data))
    if max(map(int.__add__, offsets, sizes)) > len(tags.data):
        raise truncated("TIFF")
    # Shared scans of JPEG would be decoded again and again.
    if not all(sizes) or sum(sizes) > (1 if compression == _JPEG else _SHARED) * len(tags.data):
        raise damaged("TIFF", "strips or tiles of no or of the same bytes")
    if compression == _JPEG and bytes(tags.data).count(b"\xff\xda") > _MAX_SCANS * parts.number:
        raise PictureError("too_large", f"TIFF with over {_MAX_SCANS} scans a strip or tile")
    numbers: dict[int, tuple[int, ...]] = {tag: (tags.value(tag),) for tag in _NUMBERS if tag in tags}
    numbers |= {_WIDTH: (width,), _HEIGHT: (height,), offsets_tag: offsets, sizes_tag: sizes}
    if parts.tiled:
        return {**numbers, _TILE_WIDTH: (parts.width,), _TILE_HEIGHT: (parts.height,)}
    return {**numbers, _ROWS: (parts.height,)}


def _sizes(parts: _Parts, height: int) -> tuple[int, ...]:
    """How long each part is without compression, whatever the file says: the last strip of a plane may be shorter."""
    if parts.tiled:
        return (parts.bytes,) * parts.number
    strips = -(-height // parts.height)
    last = parts.bytes // parts.height * (height - (strips - 1) * parts.height)
    return ((parts.bytes,) * (strips - 1) + (last,)) * (parts.number // strips)


def _gaps(offsets: tuple[int, ...], end: int) -> tuple[int, ...]:
    """How long each part can be, where the file does not say: up to the next one."""
    places = sorted({*offsets, end})
    following = dict(pairwise(places))
    return tuple(following.get(offset, offset) - offset for offset in offsets)


def _mode(tags: Tags, numbers: dict[int, tuple[int, ...]]) -> str:
    """Pillow's mode of the picture.

    Raises:
        PictureError: `unsupported`.
    """
    file = plugin.open_header("TIFF", _Tiff, io.BytesIO(bare(tags, numbers, _COPIED, b"")))
    bits = set(tags.values(_BITS)) or {1}
    # Floating point and 32 bits have no agreed white. Pillow would show 16 bits with "0 is white" as a negative.
    if file.mode in {"F", "I"} or (file.mode.startswith("I;") and (bits, tags.value(_PHOTOMETRIC)) != ({16}, 1)):
        raise PictureError("unsupported", f"TIFF with {max(bits)}-bit samples of this kind is not supported")
    return file.mode


def _read(data: Data, tags: Tags, numbers: dict[int, tuple[int, ...]]) -> Frame:
    """Decode. Of 16-bit grey keep the upper 8 bits, as Pillow does for colour: within one level of dividing by 257.

    Raises:
        PictureError: `decode`, or `unsupported`.
    """
    file = io.BytesIO(bare(tags, numbers, _COPIED, data))
    try:
        with Caught():  # libtiff prints what it thinks of damaged files
            image: Image = plugin.load("TIFF", _Tiff, file)
    except PictureError:
        way = _OPTIONAL.get(tags.value(_COMPRESSION))
        if way and not _has(way):
            raise PictureError("unsupported", f"this Pillow cannot read TIFF with compression {way}") from None
        raise
    if image.mode.startswith("I;"):
        image = unpack("TIFF", "L", image.size, image.tobytes(), "raw", "L;16B" if image.mode == "I;16B" else "L;16")
    return Frame(image, *image.size, orientation=orientation.of_tiff(data))


def _has(way: str) -> bool:
    """Whether libtiff has this compression: it is asked to write a pixel."""
    import PIL.Image

    try:
        PIL.Image.new("L", (1, 1)).save(io.BytesIO(), "TIFF", compression=way)
    except (OSError, RuntimeError, KeyError, ValueError):
        return False
    return True
