"""A response's body: complete, within bounds, decompressed. `fetcher` reads every answer through here.

Requests ask for no compression, but some servers compress all the same, and some put something else into
Content-Encoding (the character set, `none`, `aws-chunked`). gzip and deflate are undone, in steps that never hold more
than the bound; other compressions are refused; anything else is ignored, and the body is taken as it is.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

from birdlite.errors import PictureError
from birdlite.http.sockets import TransientError

if TYPE_CHECKING:
    import httpx

_SMALL = 16 * 1024  # bytes of an error page or a redirect that are read so that the connection can be used again
_MOST_MEMBERS = 1024  # parts of a gzip file
_GZIP, _DEFLATE = ("gzip", "x-gzip"), "deflate"
_REFUSED = frozenset(
    {"aes128gcm", "br", "compress", "dcb", "dcz", "exi", "pack200-gzip", "x-compress", "zstd"}
)  # the rest of the registry: https://www.iana.org/assignments/http-parameters
_GZIP_MAGIC = b"\x1f\x8b"


def read_body(response: httpx.Response, max_bytes: int) -> bytes:
    """Read the body of `response`: at most `max_bytes`, before and after decompression.

    Raises:
        PictureError: `too_large`, `unsupported` (a compression that was not asked for), `timeout`, `cancelled`, or a
            `TransientError` when the connection breaks, or compressed data is damaged or ends early.
    """
    declared = int(response.headers.get("Content-Length", 0))
    if declared > max_bytes:
        raise PictureError("too_large", f"{declared:,} bytes, more than the {max_bytes:,} allowed")
    parts = _bounded(response.iter_raw(), max_bytes)
    body = io.BytesIO()  # joining a list of parts would hold the body twice
    for part in _bounded(_decoded(parts, response.headers.get("Content-Encoding", ""), max_bytes), max_bytes):
        body.write(part)
    return body.getvalue()


def body_length(response: httpx.Response) -> int | None:
    """How many bytes the body will have, if the head says so."""
    if response.headers.get("Content-Encoding"):
        return None
    return int(response.headers["Content-Length"]) if "Content-Length" in response.headers else None


def finish(response: httpx.Response) -> None:
    """Read the rest of an answer that is not needed, if it is small, so that its connection can be used again.

    Raises:
        PictureError: `timeout`, `cancelled`, or a `TransientError` when the connection breaks.
    """
    if int(response.headers.get("Content-Length", _SMALL + 1)) <= _SMALL:
        for _ in response.iter_raw():
            pass


def _bounded(parts: Iterator[bytes], max_bytes: int) -> Iterator[bytes]:
    size = 0
    for part in parts:
        size += len(part)
        if size > max_bytes:
            raise PictureError("too_large", f"more than the {max_bytes:,} bytes allowed")
        yield part


def _decoded(parts: Iterator[bytes], encoding: str, max_bytes: int) -> Iterator[bytes]:
    """Give the body as it was before compression; no part is more than one byte over `max_bytes`."""
    known = [word for name in encoding.split(",") if (word := name.strip().lower()) in (*_GZIP, _DEFLATE, *_REFUSED)]
    if not known:
        return parts
    if len(known) > 1 or known[0] in _REFUSED:
        raise PictureError("unsupported", f"sent compressed ({', '.join(known)[:40]!a}), which was not asked for")
    return _inflated(parts, known[0], max_bytes)


def _inflated(parts: Iterator[bytes], coding: str, max_bytes: int) -> Iterator[bytes]:
    """Undo gzip, whose data may have several members, or deflate. What follows the data is ignored, as gzip does."""
    import zlib  # only a compressed answer needs it

    pending = b""
    while len(pending) < 2 and (part := next(parts, b"")):
        pending += part
    window, more = _window(coding, pending), coding in _GZIP
    inflate, members = zlib.decompressobj(window), 1
    try:
        for part in itertools.chain((b"",), parts):
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
                yield inflate.decompress(pending, max_bytes + 1)  # one more than allowed, and `_bounded` raises
                pending = inflate.unused_data
    except zlib.error as error:
        raise TransientError("network", f"its compressed data is damaged: {error}") from error
    if not inflate.eof:
        raise TransientError("network", "its compressed data ends early")


def _window(coding: str, start: bytes) -> int:
    """Give zlib's `wbits`. Deflate is zlib's format by the standard; some servers send it without zlib's header."""
    if coding in _GZIP:
        return 16 + 15
    zlib_header = len(start) >= 2 and start[0] & 0x0F == 8 and int.from_bytes(start[:2], "big") % 31 == 0
    return 15 if zlib_header else -15
