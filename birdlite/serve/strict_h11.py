"""h11, and stricter, so that no request can hide in another one. `connection` reads and writes with it.

Refused are heads of more than `MAX_HEAD` bytes, bodies in very many tiny chunks, and whatever proxies and servers may
read differently.
"""

from __future__ import annotations

import h11

from birdlite.errors import one_line
from birdlite.serve.problems import Problem

MAX_HEAD = 32 << 10
"""Bytes of a request's head. Browsers and proxies stay below 16 KiB."""

TLS = b"\x16\x03"
"""How a connection of https begins."""

ONCE = (b"content-type", b"content-encoding")
"""Headers that say how a body is read. Of two, some readers take the first, others the last. (h11 looks at lengths.)"""

FEW_CHUNKS, LEAST_CHUNK = 1000, 1 << 10
"""A body may have so many chunks of any size, and one more for each so many bytes. The event loop reads each one.
A device that sends 512 bytes at a time may so send a picture of 1 MB."""


class StrictConnection(h11.Connection):
    """h11, which also says why a request is refused, and refuses those that others may read differently."""

    problem: Problem | None = None  # with what came
    status = 0  # of the last answer
    asks_for_head = False  # by HEAD: the answer has no body
    _chunks: _Chunks | None = None  # of the body that is read
    _head = b""  # of an answer, until there is more of it: each piece that is sent wakes the client

    def send(self, event: h11.Event) -> bytes | None:  # type: ignore[override] # None only for ConnectionClosed
        """What is to be sent: the head of a whole answer goes with its body. One in lines may have to wait for them."""
        data = super().send(event)
        if data is None:  # the connection is to be closed
            return None
        if isinstance(event, h11.Response):
            self.status = event.status_code
            if any(name == b"content-length" for name, _ in event.headers):
                self._head = data
                return b""
        data, self._head = self._head + data, b""
        return data

    def receive_data(self, data: bytes) -> None:
        """Take what was received."""
        super().receive_data(data)
        if self._chunks is not None:
            self._chunks.came = self.trailing_data[0]

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """The next event.

        Raises:
            h11.RemoteProtocolError: what came is no request; `problem` has its answer.
        """
        try:
            if self.their_state is h11.IDLE:
                self.asks_for_head = False
                _check_head(self.trailing_data[0])
            event = super().next_event()
            if isinstance(event, h11.Request):
                self.asks_for_head = event.method == b"HEAD"
                _check_framing(event)
                in_chunks = any(name == b"transfer-encoding" for name, _ in event.headers)
                self._chunks = _Chunks(self.trailing_data[0]) if in_chunks else None
            elif event is h11.NEED_DATA and self._chunks is not None:
                self._chunks.came = b""
            elif isinstance(event, h11.Data) and self._chunks is not None:
                self._chunks.check(event)
            elif isinstance(event, h11.EndOfMessage) and self._chunks is not None:
                chunks, self._chunks = self._chunks, None
                chunks.check_end(event, len(self.trailing_data[0]))
        except h11.RemoteProtocolError as error:
            self.problem = Problem(error.error_status_hint, _without_bytes(error))
            raise error.with_traceback(None)  # noqa: B904 - h11 raises some in a frame that they would then keep
        return event


class _Chunks:
    """A body in chunks. h11 takes any number of them, trailers, and lines at its end that end with LF alone."""

    def __init__(self, came: bytes) -> None:
        self.came = came  # what was not read when bytes were received last
        self._spare = FEW_CHUNKS * LEAST_CHUNK  # bytes more than the chunks until now must have

    def check(self, part: h11.Data) -> None:
        """Look at a chunk, or a part of it. h11 does not mark its beginning if its size came before, by itself."""
        self._spare += len(part.data) - (LEAST_CHUNK if part.chunk_end else 0)
        if self._spare < 0:
            raise h11.RemoteProtocolError(f"too many chunks: of less than {LEAST_CHUNK} bytes, on average")

    def check_end(self, end: h11.EndOfMessage, left: int) -> None:
        """Look at the end. So many bytes that came stand behind it."""
        if list(end.headers):
            raise h11.RemoteProtocolError("headers behind the last chunk (trailers) are not taken")
        if not self.came[: len(self.came) - left].endswith(b"\r\n"):
            raise h11.RemoteProtocolError("a line behind the last chunk ends with LF alone")


def _without_bytes(error: h11.RemoteProtocolError) -> str:
    """What h11 says, without the bytes that it quotes: a header may be a secret."""
    return one_line(str(error).partition(": bytearray(")[0])


def _check_head(data: bytes) -> None:
    """Look at the bytes of a head, or of its beginning."""
    if data.startswith(TLS):
        raise h11.RemoteProtocolError("this is TLS: only http is spoken here, and https by a proxy in front")
    end = data.find(b"\r\n\r\n")
    head = data if end < 0 else data[: end + 2]
    if len(head) > MAX_HEAD:
        raise h11.RemoteProtocolError(f"the head has more than {MAX_HEAD} bytes", error_status_hint=431)
    if head.count(b"\n") != head.count(b"\r\n"):
        raise h11.RemoteProtocolError("a line of the head ends with LF alone")
    if b"\r\n " in head or b"\r\n\t" in head:
        raise h11.RemoteProtocolError("a header goes on in the next line")


def _check_framing(request: h11.Request) -> None:
    """Look at what says how the request is to be read, and where it ends."""
    if request.http_version not in (b"1.0", b"1.1"):
        raise h11.RemoteProtocolError("only versions 1.1 and 1.0 of HTTP are spoken here", error_status_hint=505)
    names = [name for name, _ in request.headers]
    if b"transfer-encoding" in names and (b"content-length" in names or request.http_version < b"1.1"):
        raise h11.RemoteProtocolError("Transfer-Encoding with Content-Length, or in HTTP/1.0")
    for name in ONCE:
        if names.count(name) > 1:
            raise h11.RemoteProtocolError(f"{name.decode().title()} is given twice")
