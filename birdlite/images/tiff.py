"""TIFF, by Pillow's plugin and libtiff, which get only the tags that describe the pixels.

The other tags (comments, EXIF, thumbnails, further pages) can make Pillow warn on stderr, or use much memory.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import PIL.Image
from PIL.TiffImagePlugin import TiffImageFile

from birdlite.errors import PictureError
from birdlite.images import exif, plugin
from birdlite.images.frame import Frame, damaged, truncated

if TYPE_CHECKING:
    from birdlite.images.frame import Data

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


class _Directory:
    """The first directory of a file. Every tag that is read is checked to lie within the file."""

    def __init__(self, data: Data) -> None:
        self.data = data
        self.order = exif.byte_order(data)
        try:
            self.entries = exif.directory(data, self.order)
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

    def _place(self, tag: int, entry: exif.Entry) -> tuple[int, int]:
        """The offset and the length of a tag's values."""
        size = entry.values * _SIZES[entry.type]
        at = entry.at + 8
        if size > 4:
            (at,) = struct.unpack_from(f"{self.order}I", self.data, at)
        if at + size > len(self.data):
            raise damaged("TIFF", f"tag {tag} lies outside the file")
        return at, size


def read(data: Data, *, max_pixels: int) -> Frame:
    """Decode the first page of a TIFF.

    Raises:
        PictureError: `too_large`, `unsupported` (cameras' raw files, samples of over 16 bits), or `decode`.
    """
    directory = _Directory(data)
    _refuse_raw(directory)
    width, height = directory.value(_WIDTH), directory.value(_HEIGHT)
    plugin.check_size(width, height, max_pixels)
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
    return Frame(_eight_bits(directory), width, height, orientation=exif.orientation(data))


def _refuse_raw(directory: _Directory) -> None:
    """Refuse cameras' raw files: their first directory is a thumbnail before the real picture, or mosaic data."""
    thumbnail_first = directory.value(_SUBFILE_TYPE) & 1 and _SUB_DIRECTORIES in directory.entries
    if _DNG_VERSION in directory.entries:
        raise PictureError("unsupported", "Adobe raw (DNG) pictures are not supported")
    if thumbnail_first or directory.value(_PHOTOMETRIC) in _RAW_PHOTOMETRICS:
        raise PictureError("unsupported", "raw pictures (NEF, ARW and the like) are not supported")


def _eight_bits(directory: _Directory) -> PIL.Image.Image:
    """Decode. Of 16-bit grey keep the upper 8 bits, as Pillow does for colour: within one level of dividing by 257."""
    file = plugin.opened("TIFF", TiffImageFile, directory.bare())
    bits = set(directory.values(_BITS)) or {1}
    # Floating point and 32 bits have no agreed white. Pillow would show 16 bits with "0 is white" as a negative.
    if file.mode in {"F", "I"} or (file.mode.startswith("I;") and (bits, directory.value(_PHOTOMETRIC)) != ({16}, 1)):
        raise PictureError("unsupported", f"TIFF with {max(bits)}-bit samples of this kind is not supported")
    image = plugin.loaded("TIFF", file)
    if not image.mode.startswith("I;"):
        return image
    raw_mode = "L;16B" if image.mode == "I;16B" else "L;16"
    return PIL.Image.frombytes("L", image.size, image.tobytes(), "raw", raw_mode)
