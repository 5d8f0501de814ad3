"""Undoes what the header Content-Encoding says, while a body comes. For answers (`http`) and objects (`storage`).

birdlite asks for no compression, but some servers compress all the same, and objects may be stored compressed. Others
put something else into the field (the character set, `none`, `aws-chunked`), or name a compression and send the
picture as it is. gzip and deflate are undone, in steps that never hold more than the bound, however often and in
whatever order they are named; other compressions are refused. What begins like a picture is not compressed.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from birdlite.errors import PictureError

_MOST_MEMBERS = 1024  # parts of a gzip file
_MOST_CODINGS = 4  # on top of each other
_GZIP, _DEFLATE = ("gzip", "x-gzip"), "deflate"
_REFUSED = frozenset(
    {"aes128gcm", "br", "compress", "dcb", "dcz", "exi", "pack200-gzip", "x-compress", "zstd"}
)  # the rest of the registry: https://www.iana.org/assignments/http-parameters
_GZIP_MAGIC = b"\x1f\x8b"
_PICTURES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"II*\0", b"MM\0*")
_ENOUGH = 4  # bytes, to tell a picture, gzip and zlib


class DamagedError(Exception):
    """Compressed data is damaged, or ends early. The message says which."""


def decoded(parts: Iterator[bytes], encoding: str, max_bytes: int) -> Iterator[bytes]:
    """Give a body as it was before compression. `encoding` is the value of Content-Encoding.

    Raises:
        PictureError: `unsupported`; while iterating also `too_large`: more than `max_bytes`.
        DamagedError: while iterating.
    """
    words = (name.partition(";")[0].strip(' \t"').lower() for name in encoding.split(","))
    codings = [word for word in words if word in (*_GZIP, _DEFLATE, *_REFUSED)]
    if len(codings) > _MOST_CODINGS:
        raise PictureError("unsupported", f"sent compressed {len(codings)} times, which was not asked for")
    for coding in reversed(codings):
        parts = bounded(_undone(parts, coding, max_bytes), max_bytes)
    return parts


def bounded(parts: Iterator[bytes], max_bytes: int) -> Iterator[bytes]:
    """Give the same parts.

    Raises:
        PictureError: `too_large`; while iterating: they are more than `max_bytes`.
    """
    size = 0
    for part in parts:
        size += len(part)
        if size > max_bytes:
            raise PictureError("too_large", f"more than the {max_bytes:,} bytes allowed")
        yield part


def _undone(parts: Iterator[bytes], coding: str, max_bytes: int) -> Iterator[bytes]:
    """Undo one compression; no part is more than one byte over `max_bytes`."""
    start = b""
    while len(start) < _ENOUGH and (part := next(parts, None)) is not None:
        start += part
    parts = itertools.chain((start,), parts)
    if start.startswith(_PICTURES):
        yield from parts
    elif coding in _REFUSED:
        raise PictureError("unsupported", f"sent compressed ({coding!a}), which was not asked for")
    else:
        yield from _inflated(parts, _window(coding, start), max_bytes)


def _inflated(parts: Iterator[bytes], window: int, max_bytes: int) -> Iterator[bytes]:
    """Undo gzip, whose data may have several members, or deflate. What follows the data is ignored, as gzip does."""
    import zlib  # only a compressed answer needs it

    pending, more = b"", window == _GZIP_WINDOW
    inflate, members = zlib.decompressobj(window), 1
    try:
        for part in parts:
            pending += part
            while pending:
                if inflate.eof:
                    if more and pending == _GZIP_MAGIC[:1]:
                        break  # the next part decides whether this is a member
                    more = more and pending.startswith(_GZIP_MAGIC)
                    if not more:
                        pending = b""
                        break
                    inflate, members = zlib.decompressobj(window), members + 1
                    if members > _MOST_MEMBERS:
                        raise PictureError("unsupported", f"gzip data of more than {_MOST_MEMBERS:,} members")
                yield inflate.decompress(pending, max_bytes + 1)  # one more than allowed, and `bounded` raises
                pending = inflate.unused_data
    except zlib.error as error:
        raise DamagedError(f"its compressed data is damaged: {error}") from error
    if not inflate.eof:
        raise DamagedError("its compressed data ends early")


_GZIP_WINDOW, _ZLIB_WINDOW, _RAW_WINDOW = 16 + 15, 15, -15


def _window(coding: str, start: bytes) -> int:
    """Give zlib's `wbits`. The data decides: some servers send deflate without zlib's header, or zlib as gzip."""
    if start.startswith(_GZIP_MAGIC):
        return _GZIP_WINDOW
    if len(start) >= 2 and start[0] & 0x0F == 8 and int.from_bytes(start[:2], "big") % 31 == 0:
        return _ZLIB_WINDOW
    return _RAW_WINDOW if coding == _DEFLATE else _GZIP_WINDOW
