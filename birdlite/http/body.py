"""A response's body: whole, within bounds, as it was before any compression. `fetch` reads every answer through here.

Requests ask for `Accept-Encoding: identity`: pictures and models do not shrink, and what is not compressed cannot
swell. Some servers compress all the same. Their gzip is undone here, in steps that never hold more than the bound.
"""

from __future__ import annotations

from collections.abc import Iterator

from birdlite.deadline import Deadline
from birdlite.errors import PictureError
from birdlite.http.connection import Response
from birdlite.http.retry import Setback

_SMALL = 16 * 1024  # bytes of an error page or a redirect that are worth reading to keep the connection


def read_body(response: Response, max_bytes: int, deadline: Deadline) -> bytes:
    """Read the body of `response`, which was opened as a stream: at most `max_bytes`, compressed and not.

    Raises:
        PictureError: `too_large`, `unsupported` (an encoding that nobody asked for), `timeout`, `cancelled`, or a
            `Setback` when the connection breaks, or compressed data is damaged or ends early.
    """
    declared = _declared(response)
    if declared is not None and declared > max_bytes:
        raise PictureError("too_large", f"{declared:,} bytes, more than the {max_bytes:,} allowed")
    parts: list[bytes] = []
    size = 0
    for part in _decoded(
        _raw(response, max_bytes, deadline), response.headers.get("Content-Encoding") or "", max_bytes
    ):
        size += len(part)
        if size > max_bytes:
            raise _too_large(max_bytes)
        parts.append(part)
    return b"".join(parts)


def finish(response: Response, deadline: Deadline) -> None:
    """Read what is left of an answer whose body nobody wants, if it is small, so that its connection can be used again.

    Raises:
        PictureError: `timeout`, `cancelled`, or a `Setback` when the connection breaks.
    """
    declared = _declared(response)
    if declared is not None and declared <= _SMALL:
        for _ in _raw(response, _SMALL, deadline):
            pass


def _declared(response: Response) -> int | None:
    """Read Content-Length; None where there is none to believe."""
    length = response.headers.get("Content-Length") or ""
    return int(length) if length.isascii() and length.isdigit() and len(length) < 20 else None


def _raw(response: Response, max_bytes: int, deadline: Deadline) -> Iterator[bytes]:
    """Give the body as it was sent, part by part."""
    size = 0
    for part in response.parts():
        deadline.left()
        size += len(part)
        if size > max_bytes:
            raise _too_large(max_bytes)
        yield part


def _decoded(parts: Iterator[bytes], encoding: str, max_bytes: int) -> Iterator[bytes]:
    """Give the body as it was before compression; no part is more than one byte over `max_bytes`."""
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        yield from parts
        return
    if encoding not in ("gzip", "x-gzip"):
        raise PictureError("unsupported", f"sent compressed ({encoding[:20]!a}), which was not asked for")
    import zlib

    inflate = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        for part in parts:
            yield inflate.decompress(part, max_bytes + 1)  # one more than allowed, and `read_body` stops here
    except zlib.error as error:
        raise Setback("network", f"its compressed data is damaged: {error}") from error
    if not inflate.eof:
        raise Setback("network", "its compressed data ends early")


def _too_large(max_bytes: int) -> PictureError:
    return PictureError("too_large", f"more than the {max_bytes:,} bytes allowed")
