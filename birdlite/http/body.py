"""A response's body: complete, within bounds, decompressed. `fetcher` reads every answer through here."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from birdlite.content_encoding import DamagedError, bounded, decoded
from birdlite.errors import PictureError
from birdlite.http.sockets import TransientError

if TYPE_CHECKING:
    import httpx

_SMALL = 16 * 1024  # bytes of an error page or a redirect that are read so that the connection can be used again
_RANGE = re.compile(r"bytes\s+(\d{1,20})-(\d{1,20})/(\d{1,20})", re.IGNORECASE | re.ASCII)


def read_body(response: httpx.Response, max_bytes: int) -> bytes:
    """Read the body of `response`: at most `max_bytes`, before and after decompression.

    Raises:
        PictureError: `too_large`, `unsupported` (a compression that was not asked for), `http_status` (only a part was
            sent), `timeout`, `cancelled`, or a `TransientError` when the connection breaks, or compressed data is
            damaged or ends early.
    """
    _check_range(response)
    declared = int(response.headers.get("Content-Length", 0))
    if declared > max_bytes:
        raise PictureError("too_large", f"{declared:,} bytes, more than the {max_bytes:,} allowed")
    parts = bounded(response.iter_raw(), max_bytes)
    body = io.BytesIO()  # joining a list of parts would hold the body twice
    try:
        for part in decoded(parts, response.headers.get("Content-Encoding", ""), max_bytes):
            body.write(part)
    except DamagedError as error:
        raise TransientError("network", str(error)) from error
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


def _check_range(response: httpx.Response) -> None:
    """Refuse half a picture: some servers send a part without being asked for one."""
    found = _RANGE.match(response.headers.get("Content-Range", "")) if response.status_code == 206 else None
    if found is None:
        return
    first, last, size = map(int, found.groups())
    if first or last + 1 < size:
        raise PictureError(
            "http_status", f"206 Partial Content: only bytes {first:,} to {last:,} of {size:,} were sent"
        )
