"""JPEG: decoded by libjpeg at the smallest scale that is large enough, and seen to be whole while it is decoded.

libjpeg fills what is missing with grey or nonsense, and its warnings about that are lost. But it does so only when a
marker stands where pixels should be. Without a marker it waits for more bytes, and says how many it could not use yet.
So it is given the pixels in pieces (see `jpeg_scans`), each without the marker behind it, and must say twice where it
is:

- Four bytes before the end of a piece it must want more. Else the piece is too long, and so damaged.
- At the end it must have all that it wants. Else the piece is too short.

This costs an ordinary picture nothing. Only one that seems too long is decoded a second time, to see whether it is just
one with zeros or other bytes between its pixels and its end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from birdlite.images import frame, jpeg_header, jpeg_scans, pillow_core
from birdlite.images.frame import Frame

if TYPE_CHECKING:
    from PIL.Image import Image

    from birdlite.images.frame import Data
    from birdlite.images.jpeg_header import Header
    from birdlite.images.jpeg_scans import Piece
    from birdlite.images.pillow_core import CoreImage, Decoder

# Number of components -> Pillow's mode, the decoder's mode. CMYK is inverted, as Adobe does.
_MODES = {1: ("L", "L"), 3: ("RGB", "RGB"), 4: ("CMYK", "CMYK;I")}

_END = b"\xff\xd9"
# libjpeg looks up to 7 bytes ahead. Ones are no code, and libjpeg spends 17 of them on each that it makes up: these are
# enough for whole pictures, and too few for others.
_ONE, _ONES = b"\xff\0", b"\xff\0" * 7
_ZEROS_AND_ONES = bytes(3) + _ONES  # arithmetic coding leaves out zeros at its end
_FILLER = b"\0\xff"
_TABLES = 1 << 20  # bytes of libjpeg's tables and small buffers
_MAX_JUNK = 4096  # bytes of anything between the last pixels and the end
_HOLE = bytes(32)  # zeros in the middle of pixels that are too long: a part of the picture was lost


class _TooLongError(ValueError):
    """libjpeg does not want all bytes of a piece."""

    def __init__(self) -> None:
        super().__init__("its pixels do not end where they should")


class _LastTooLongError(_TooLongError):
    """The same of the last piece, behind which there may be something else."""


class _TooShortError(Exception):
    """libjpeg wants more bytes than a piece has."""


def header(data: Data, *, least: int | None, max_pixels: int) -> frame.Header:
    """Read the header of a JPEG.

    It will be decoded at 1, 1/2, 1/4 or 1/8 of its size so that no side falls below `least` px; at full size for None.
    Of a file with several pictures (MPO, motion photographs), the first is decoded.

    Raises:
        PictureError: `too_large`, `unsupported` (12 bits, lossless, hierarchical), or `decode`.
    """
    head = jpeg_header.read(data)
    frame.check_size(head.width, head.height, max_pixels)
    scale = 1
    if least:
        scale = next(s for s in (8, 4, 2, 1) if s == 1 or min(head.width, head.height) // s >= least)
    memory = _memory(head, scale, int.from_bytes(data[head.scan + 2 : head.scan + 3], "big")) + len(data)
    mode, _ = _MODES[len(head.components)]
    return frame.Header(head.width, head.height, mode, memory, lambda: _read(data, head, scale), scale)


def _memory(head: Header, scale: int, in_scan: int) -> int:
    """The bytes that decoding takes at its peak: the image, libjpeg's rows, and its coefficients.

    Of a picture in several scans libjpeg keeps all coefficients, 16 bits each, at full scale.
    """
    count = len(head.components)
    width, height = head.width // scale + 1, head.height // scale + 1
    memory = width * height * (1 if count == 1 else 4) + head.width * count * 64 + _TABLES
    if head.progressive or in_scan < count:
        most = max(c.across for c in head.components) * max(c.down for c in head.components) or 1
        samples = sum(c.across * c.down for c in head.components)
        memory += 2 * (head.width + 32) * (head.height + 32) * samples // most
    return memory


def _read(data: Data, header: Header, scale: int) -> Frame:
    """Decode.

    Raises:
        PictureError: `decode`.
    """
    file = data if isinstance(data, bytes) else bytes(data)
    image: Image | CoreImage | None
    try:
        try:
            image = _decode(file, header, scale, strict=True)
        except _LastTooLongError:
            image = None
        if image is None:  # now the exception, and with it the first picture, is gone
            image = _decode(file, header, scale, strict=False)
    except _TooShortError:
        raise jpeg_scans.incomplete(file, header.scan) from None
    except ValueError as error:
        raise frame.damaged("JPEG", error) from error
    return Frame(image, header.width, header.height, scale, header.orientation)


def _decode(data: bytes, header: Header, scale: int, *, strict: bool) -> Image | CoreImage:
    """Decode all scans. With `strict`, the last pixels must stand right before the end marker."""
    mode, raw_mode = _MODES[len(header.components)]
    size = -(-header.width // scale), -(-header.height // scale)  # libjpeg rounds up
    image, decoder = pillow_core.jpeg_decoder(mode, size, raw_mode, "", scale, 0)
    feeder = _Feeder(data, decoder)
    for piece in jpeg_scans.pieces(data, header, strict=strict and not header.arithmetic):
        if header.arithmetic:
            if piece.last:
                feeder.give_at_once(piece)
        elif piece.last and not strict:
            feeder.give_last(piece)
        else:
            feeder.give(piece)
    feeder.finish()
    return image


class _Feeder:
    """Gives the bytes of a file to libjpeg."""

    def __init__(self, data: bytes, decoder: Decoder) -> None:
        self._data = data
        self._view = memoryview(data)
        self._decoder = decoder
        self._at = 0  # libjpeg has all before
        self._done = False  # libjpeg has the whole picture, and wants nothing any more

    def give(self, piece: Piece) -> None:
        """Give one piece, which must be neither too long nor too short, and all that stands before it."""
        if piece.end - piece.start > 8 and not self._wants_more(piece.end - 4):
            raise _LastTooLongError if piece.last else _TooLongError
        self._complete(piece, piece.end)

    def give_last(self, piece: Piece) -> None:
        """Give the last piece, which may have zeros, ones or a little junk at its end."""
        pixels = self._data[piece.start : piece.end].rstrip(_FILLER)
        end = piece.start + len(pixels)
        if len(pixels) > _MAX_JUNK and not self._wants_more(end - _MAX_JUNK):
            raise _TooLongError
        if len(pixels) > 8 and not self._wants_more(end - 4) and piece.end < len(self._data) and _HOLE in pixels:
            raise _TooLongError
        end += 2 if self._data[end : end + 2] == _ONE else 1  # these may be pixels
        self._complete(piece, min(end, piece.end))

    def give_at_once(self, piece: Piece) -> None:
        """Give the whole file: arithmetic coding cannot wait for more bytes, but fails."""
        end = piece.start + len(self._data[piece.start : piece.end].rstrip(_FILLER))
        if self._data[end : end + 2] == _ONE:
            end += 2
        try:
            self._give(min(end, piece.end), _ZEROS_AND_ONES)
        except ValueError:
            raise _TooShortError from None

    def finish(self) -> None:
        """Let libjpeg make the picture. If there is one scan, it has done that already."""
        self._give(self._at, _END)
        if not self._done:
            raise _TooShortError

    def _wants_more(self, end: int) -> bool:
        """Give the file up to `end`, and tell whether libjpeg waits for pixels. Looking for a marker it skips all."""
        return self._give(end) > 0 or self._give(end + 1) > 0

    def _complete(self, piece: Piece, end: int) -> None:
        """Give a piece up to `end`, and some bytes more, of which libjpeg must not need any."""
        tail = self._data[max(piece.start, end - 16) : end].replace(_ONE, b"").rstrip(b"\xff")
        if b"\xff" in tail:  # a marker: libjpeg would not wait
            raise _LastTooLongError if piece.last else _TooLongError
        if self._give(end, _ONES) or self._give(end, _ONE):
            raise _TooShortError
        self._at = end

    def _give(self, end: int, more: bytes = b"") -> int:
        """Give the file up to `end`, and more. Returns how many bytes libjpeg could not use yet."""
        if self._done:
            return 0
        given = self._view[self._at : end]
        used, error = self._decoder.decode(b"".join((given, more)) if more else given)
        if error:
            raise ValueError("cannot decode image data")
        if used < 0:
            self._done = True
            return 0
        self._at = min(self._at + used, end)
        return len(given) + len(more) - used
