"""One connection: uvicorn's, on `strict_h11`, for clients that are slow.

- A head, and what is left of a body that was not wanted, must arrive within `HEAD_S`. (`intake` has its own limit for
  a body that it reads.)
- If the connection is to end before such a body is here, or the client sends on behind its last request, it lingers:
  only our side is closed, and the rest is read and dropped. If it were closed, the system would reset it, and a client
  that is still sending would not see its answer.
- An answer must be read: a client that leaves it lying is cut off.
- When there are too many connections, the one that has waited longest for its client makes room.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Any, cast

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

from birdlite.serve import problems
from birdlite.serve.problems import Problem
from birdlite.serve.requests import REFUSED, headers_of, id_of, new_id
from birdlite.serve.strict_h11 import MAX_HEAD, StrictConnection

HEAD_S = 10.0
"""s for the head of a request to arrive, or what is left of a body that was not wanted."""

UNREAD_S = 10.0
"""s in which a client must take `LEAST_READ` bytes of an answer, or the rest of it."""

LEAST_READ = 64 << 10

LINGER_S = 2.0
"""s in which a client may read why what it sent is no request."""

SILENT_S = 3.0
"""s without a byte after which a connection that lingers does not keep the service from ending."""

_INBOX = memoryview(bytearray(256 << 10))
"""Where all connections read to, one after the other: on POSIX, asyncio hands over what it has read at once, and h11
copies it. Otherwise each read would make a new buffer."""


class Connection(H11Protocol, asyncio.BufferedProtocol):
    """A connection that does not wait for ever for its client."""

    conn: StrictConnection
    _sends_more = False  # than its last request
    lingers = False  # our side is closed; what the client still sends is read and dropped

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        crowd: Crowd,
        refused: Callable[[Problem, str, bool], object],
    ) -> None:
        """`crowd` is all connections.

        `refused` is told of what is no request, its id, and whether it is the body of the request under way.
        """
        super().__init__(config, server_state, app_state, _loop)
        self.conn = StrictConnection(h11.SERVER, MAX_HEAD)
        self._crowd = crowd
        self._refused = refused
        self._arrival, self._reading, self._silence = (_Patience(self.loop) for _ in range(3))
        self._is_last = False  # the service ends, and waits for it
        self._buffered = 0  # bytes of the answer that the client had not taken, when last looked at

    @property
    def waits_for_client(self) -> bool:
        """Whether nothing is to be done for it: a request is not complete, there is none, or it only lingers."""
        cycle: RequestResponseCycle | None = self.cycle
        return self.lingers or cycle is None or cycle.response_complete

    # What asyncio calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a new connection, if there is room for it."""
        self._plain = transport
        super().connection_made(cast("asyncio.Transport", _Transport(transport)))
        self._crowd.waits(self)
        self._crowd.make_room(len(self.connections))
        self._arrival.begin(HEAD_S, self._cut_off)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - it is as large as asyncio ever reads
        """Where to read to."""
        return _INBOX

    def buffer_updated(self, nbytes: int) -> None:
        """So much was read."""
        self.data_received(cast("bytes", _INBOX[:nbytes]))

    def data_received(self, data: bytes) -> None:
        """Take what the client sends. What comes behind its last request is dropped: some send CRLF there."""
        if self.conn.their_state is h11.MUST_CLOSE:
            self._sends_more = True
        if self.lingers or self._sends_more:
            self._expect_silence()
            return
        super().data_received(data)
        if self.waits_for_client:
            self._arrival.begin(HEAD_S, self._cut_off)
        else:
            self._arrival.end()
            self._crowd.waits_no_more(self)

    def pause_writing(self) -> None:
        """The client reads more slowly than the answer comes."""
        super().pause_writing()
        self._buffered = self.transport.get_write_buffer_size()
        self._reading.begin(UNREAD_S, self._look_for_progress)

    def resume_writing(self) -> None:
        """The client has read most of it."""
        super().resume_writing()
        self._reading.end()
        self._expect_close()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        for patience in (self._arrival, self._reading, self._silence):
            patience.end()
        self._crowd.waits_no_more(self)
        self._unset_keepalive_if_required()  # uvicorn forgets that of a connection that was reset
        super().connection_lost(exc)

    # What uvicorn calls

    def on_response_complete(self) -> None:
        """The answer is on its way."""
        self.cycle.body = bytearray()  # nobody wants what came of it
        super().on_response_complete()  # which may begin the next request, if it is there already
        if self.waits_for_client:
            self._crowd.waits(self)
        if self.conn.their_state is h11.SEND_BODY:
            self._arrival.begin(HEAD_S, self._cut_off)
        self._expect_close()

    def timeout_keep_alive_handler(self) -> None:
        """There was no request for a while."""
        super().timeout_keep_alive_handler()
        self._expect_close()

    def shutdown(self) -> None:
        """The service ends."""
        self._is_last = True
        if self.conn.our_state is not h11.ERROR:  # uvicorn would raise, and no other connection would end in order
            super().shutdown()
        self._expect_close()
        self._expect_silence()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - `problem` says more
        """Answer what is no request, and end the connection."""
        found = self.conn.problem or Problem(400, "this is not HTTP/1.1")
        under_way = not self.waits_for_client
        request_id = id_of(self.cycle.scope) if under_way else new_id()
        self._refused(found, request_id, under_way)
        if under_way:
            self.cycle.disconnected = True  # its body is nonsense: whoever reads it stops
            self.cycle.message_event.set()
        patience = HEAD_S if self.conn.our_state is h11.SEND_RESPONSE else LINGER_S  # a body may be still on its way
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            if under_way:
                cast("dict[str, object]", self.cycle.scope)[REFUSED] = found.status
            body = found.document(request_id).encode()
            facts = {"Content-Type": problems.TYPE, "Content-Length": str(len(body)), "Connection": "close"}
            head = [*((name.encode(), value.encode()) for name, value in facts.items()), *headers_of(request_id)]
            start = h11.Response(status_code=found.status, headers=head, reason=HTTPStatus(found.status).phrase)
            data = [] if self.conn.asks_for_head else [h11.Data(body)]
            for event in (start, *data, h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self._linger(patience)

    def hang_up(self) -> None:
        """End the connection: now, or when the client has seen its answer. One that is too slow is not waited for."""
        if self.lingers:
            return
        cycle: RequestResponseCycle | None = self.cycle
        early = cycle is not None and cycle.response_complete and self.conn.their_state is h11.SEND_BODY
        if (
            (early or self._sends_more or self.flow.read_paused)
            and self.conn.status != HTTPStatus.REQUEST_TIMEOUT
            and not self._plain.is_closing()
        ):
            self._linger(HEAD_S)
        else:
            self._plain.close()

    # Patience

    def _linger(self, seconds: float) -> None:
        """Say that this is all, and drop what still comes, for so long or until the client hangs up."""
        self.lingers = True
        self._crowd.waits(self)
        self.flow.resume_reading()
        with suppress(OSError):  # the client has gone meanwhile
            self._plain.write_eof()
        self._arrival.end()
        self._arrival.begin(seconds, self._cut_off)
        self._expect_silence()

    def _expect_silence(self) -> None:
        """When the service ends, a client that is silent is not waited for: it has had its answer."""
        if self.lingers and self._is_last:
            self._silence.end()
            self._silence.begin(SILENT_S, self._cut_off)

    def _expect_close(self) -> None:
        """A transport that is closing waits until the client has read everything."""
        if self._plain.is_closing():
            self._reading.begin(UNREAD_S, self._look_for_progress)

    def _cut_off(self) -> None:
        if self.waits_for_client:
            self._plain.close()  # behind what is left of an answer
            self._expect_close()

    def _look_for_progress(self) -> None:
        left = self.transport.get_write_buffer_size()
        if left > self._buffered - LEAST_READ:
            self._plain.abort()
        else:
            self._buffered = left
            self._reading.begin(UNREAD_S, self._look_for_progress)


class _Transport:
    """asyncio's transport for uvicorn, which closes it behind an answer: the connection decides how."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._plain = transport  # which knows its connection until it is over; so there is no circle

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plain, name)

    def close(self) -> None:
        """End the connection."""
        if isinstance(connection := self._plain.get_protocol(), Connection):
            connection.hang_up()

    def is_closing(self) -> bool:
        """Whether it ends."""
        connection = self._plain.get_protocol()
        return not isinstance(connection, Connection) or connection.lingers or self._plain.is_closing()


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
    """Calls a function after some time, unless it ends before. It knows the function only for so long: no circle."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._handle: asyncio.TimerHandle | None = None

    def begin(self, seconds: float, over: Callable[[], object]) -> None:
        """Begin, unless it has begun."""
        if self._handle is None:
            self._handle = self._loop.call_later(seconds, self._is_over, over)

    def end(self) -> None:
        """Nothing is waited for any more."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _is_over(self, over: Callable[[], object]) -> None:
        self._handle = None
        over()
