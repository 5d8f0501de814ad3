"""One connection: uvicorn's, on h11, and stricter with clients that are slow, or whose requests have two readings.

- A head, and what is left of a body that was not wanted, must arrive within `HEAD_S`. (`intake` has its own limit for
  a body that it reads.)
- An answer must be read: a client that leaves it lying is cut off.
- Heads of more than `MAX_HEAD` bytes, very many tiny chunks, and what proxies and servers may read differently, are
  refused. So no request can hide in another one.
- When there are too many connections, the one that has waited longest for its client makes room.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, cast

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

from birdlite.errors import one_line
from birdlite.serve import problems
from birdlite.serve.problems import Problem

HEAD_S = 10.0
"""s for the head of a request to arrive."""

UNREAD_S = 10.0
"""s in which a client must take `LEAST_READ` bytes of an answer, or the rest of it."""

LEAST_READ = 64 << 10

LINGER_S = 2.0
"""s in which a client may read why its request was refused."""

MAX_HEAD = 32 << 10
"""Bytes of a request's head. Browsers and proxies stay below 16 KiB."""

TLS = b"\x16\x03"
"""How a connection of https begins."""

FEW_CHUNKS, LEAST_CHUNK = 1000, 128
"""A body may have so many chunks of any size, and one more for each so many bytes. The event loop reads each one."""

_INBOX = memoryview(bytearray(256 << 10))
"""Where all connections read to, one after the other: on POSIX, asyncio hands over what it has read at once, and h11
copies it. Otherwise each read would make a new buffer."""


class Connection(H11Protocol, asyncio.BufferedProtocol):
    """A connection that does not wait for ever for its client."""

    conn: StrictConnection

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        crowd: Crowd,
        refused: Callable[[Problem], object],
    ) -> None:
        """`crowd` is all connections. `refused` is told of what is no request."""
        super().__init__(config, server_state, app_state, _loop)
        self.conn = StrictConnection(h11.SERVER, MAX_HEAD)
        self._crowd = crowd
        self._refused = refused
        self._arrival = _Patience(self.loop, self._cut_off)
        self._reading = _Patience(self.loop, self._look_for_progress)
        self._refusing = False  # what came is no request: the rest is read and dropped, so that the answer arrives
        self._buffered = 0  # bytes of the answer that the client had not taken, when last looked at

    @property
    def waits_for_client(self) -> bool:
        """Whether nothing is to be done for it: a request is not complete, or there is none."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is None or cycle.response_complete

    # What asyncio calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a new connection, if there is room for it."""
        super().connection_made(transport)
        self._crowd.waits(self)
        self._crowd.make_room(len(self.connections))
        self._arrival.begin(HEAD_S)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - it is as large as asyncio ever reads
        """Where to read to."""
        return _INBOX

    def buffer_updated(self, nbytes: int) -> None:
        """So much was read."""
        self.data_received(cast("bytes", _INBOX[:nbytes]))

    def data_received(self, data: bytes) -> None:
        """Take what the client sends."""
        if self._refusing:
            return
        super().data_received(data)
        if self.waits_for_client:
            self._arrival.begin(HEAD_S)
        else:
            self._arrival.end()
            self._crowd.waits_no_more(self)

    def pause_writing(self) -> None:
        """The client reads more slowly than the answer comes."""
        super().pause_writing()
        self._buffered = self.transport.get_write_buffer_size()
        self._reading.begin(UNREAD_S)

    def resume_writing(self) -> None:
        """The client has read most of it."""
        super().resume_writing()
        self._reading.end()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._arrival.end()
        self._reading.end()
        self._crowd.waits_no_more(self)
        super().connection_lost(exc)

    # What uvicorn calls

    def on_response_complete(self) -> None:
        """The answer is on its way."""
        super().on_response_complete()  # which may begin the next request, if it is there already
        if self.waits_for_client:
            self._crowd.waits(self)
        self._expect_close()

    def timeout_keep_alive_handler(self) -> None:
        """There was no request for a while."""
        super().timeout_keep_alive_handler()
        self._expect_close()

    def shutdown(self) -> None:
        """The service ends."""
        super().shutdown()
        self._expect_close()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - `problem` says more
        """Answer what is no request, and end the connection."""
        found = self.conn.problem or Problem(400, "this is not HTTP/1.1")
        self._refused(found)
        if not self.waits_for_client:
            self.cycle.disconnected = True  # its body is nonsense: whoever reads it stops
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = found.document("").encode()
            head = [("Content-Type", problems.TYPE), ("Content-Length", str(len(body))), ("Connection", "close")]
            start = h11.Response(status_code=found.status, headers=head, reason=HTTPStatus(found.status).phrase)
            for event in (start, h11.Data(body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self._refusing = True
        self.transport.write_eof()
        self._arrival.end()
        self._arrival.begin(LINGER_S)

    # Patience

    def _expect_close(self) -> None:
        """A transport that is closing waits until the client has read everything."""
        if self.transport.is_closing():
            self._reading.begin(UNREAD_S)

    def _cut_off(self) -> None:
        if self._refusing or self.waits_for_client:
            self.transport.abort()

    def _look_for_progress(self) -> None:
        left = self.transport.get_write_buffer_size()
        if left > self._buffered - LEAST_READ:
            self.transport.abort()
        else:
            self._buffered = left
            self._reading.begin(UNREAD_S)


class Crowd:
    """All connections. Those that wait for their clients stand in the order in which they began to."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: OrderedDict[Connection, None] = OrderedDict()

    def waits(self, connection: Connection) -> None:
        """It begins to wait for its client."""
        self._waiting[connection] = None
        self._waiting.move_to_end(connection)

    def waits_no_more(self, connection: Connection) -> None:
        """There is a request, or the connection is gone."""
        self._waiting.pop(connection, None)

    def make_room(self, connections: int) -> None:
        """End the one that waits longest, which may be the newest one, if there are more than allowed."""
        if connections > self._limit and self._waiting:
            self._waiting.popitem(last=False)[0].transport.abort()


class _Patience:
    """Calls a function after some time, unless it ends before."""

    def __init__(self, loop: asyncio.AbstractEventLoop, over: Callable[[], object]) -> None:
        self._loop = loop
        self._over = over
        self._handle: asyncio.TimerHandle | None = None

    def begin(self, seconds: float) -> None:
        """Begin, unless it has begun."""
        if self._handle is None:
            self._handle = self._loop.call_later(seconds, self._is_over)

    def end(self) -> None:
        """Nothing is waited for any more."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _is_over(self) -> None:
        self._handle = None
        self._over()


class StrictConnection(h11.Connection):
    """h11, which also says why a request is refused, and refuses those that others may read differently."""

    problem: Problem | None = None  # with what came
    _chunks: _Chunks | None = None  # of the body that is read
    _head = b""  # of an answer, until there is more of it: each piece that is sent wakes the client

    def send(self, event: h11.Event) -> bytes | None:  # type: ignore[override] # None only for ConnectionClosed
        """What is to be sent: the head of a whole answer goes with its body. One in lines may have to wait for them."""
        data = super().send(event)
        if data is None:  # the connection is to be closed
            return None
        if isinstance(event, h11.Response) and any(name == b"content-length" for name, _ in event.headers):
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
                _check_head(self.trailing_data[0])
            event = super().next_event()
            if isinstance(event, h11.Request):
                _check_framing(event)
                in_chunks = any(name == b"transfer-encoding" for name, _ in event.headers)
                self._chunks = _Chunks(self.trailing_data[0]) if in_chunks else None
            elif isinstance(event, h11.Data) and self._chunks is not None:
                self._chunks.check(event)
            elif isinstance(event, h11.EndOfMessage) and self._chunks is not None:
                chunks, self._chunks = self._chunks, None
                chunks.check_end(event, len(self.trailing_data[0]))
        except h11.RemoteProtocolError as error:
            self.problem = Problem(error.error_status_hint, _without_bytes(error))
            raise
        return event


class _Chunks:
    """A body in chunks. h11 takes any number of them, trailers, and lines at its end that end with LF alone."""

    def __init__(self, came: bytes) -> None:
        self.came = came  # what was not read when bytes were received last
        self._spare = FEW_CHUNKS * LEAST_CHUNK  # bytes more than the chunks until now must have

    def check(self, part: h11.Data) -> None:
        """Look at a chunk, or a part of it."""
        self._spare += len(part.data) - (LEAST_CHUNK if part.chunk_start else 0)
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
