"""The wire under `tests.origin`: reads requests, and gives whoever answers them the means to do it well or badly."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Mapping
from email.message import Message
from http.client import responses
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from tests.origin import Origin


class Seen(NamedTuple):
    """One request as it arrived."""

    path: str  # the request's target, query included, escapes as they were sent
    headers: Message
    connection: int  # from 1, in the order in which they were opened


class Exchange:
    """One request and the means to answer it, well or badly."""

    def __init__(self, handler: Handler, seen: Seen, origin: Origin) -> None:
        self._handler = handler
        self._origin = origin
        self._done = False
        self.path = seen.path
        self.headers = seen.headers

    def send(self, data: bytes) -> None:
        """Put bytes on the wire, no matter what they are."""
        self._handler.wfile.write(data)

    def finish(self, data: bytes = b"") -> None:
        """Send the last bytes. Before they leave, the request stops counting as under way."""
        self.done()
        self.send(data)

    def done(self) -> None:
        """Stop counting as under way."""
        if not self._done:
            self._done = True
            self._origin.depart(self.path)

    def hang_up(self) -> None:
        """Close the connection after this answer."""
        self.done()
        self._handler.close_connection = True

    def reset(self) -> None:
        """Cut the connection, as a crash does: the client gets a TCP reset."""
        self.hang_up()
        self._handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._handler.connection.close()

    def wait(self, event: threading.Event) -> None:
        """Wait for an event of the test, or for the end of the test."""
        self._origin.wait(event)


def head(status: int, headers: Mapping[str, str]) -> bytes:
    """The first lines of an answer, the empty one included."""
    lines = [f"HTTP/1.1 {status} {responses.get(status, '')}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def message(status: int, headers: Mapping[str, str], body: bytes) -> bytes:
    """A whole answer with its right Content-Length, unless `headers` hold another."""
    length = {} if status in (204, 304) or "Content-Length" in headers else {"Content-Length": str(len(body))}
    return head(status, {**length, **headers}) + (b"" if status in (204, 304) else body)


class Handler(BaseHTTPRequestHandler):
    """Reads requests; the path's answer does the rest."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # an answer in two pieces must not wait 40 ms for an acknowledgement
    server: Server

    def do_GET(self) -> None:
        origin = self.server.origin
        seen = Seen(self.path, self.headers, self.server.number_of(self.connection))
        origin.arrive(seen)
        exchange = Exchange(self, seen, origin)
        try:
            origin.answer_for(self.path)(exchange)
        except OSError:  # the client has gone, which some tests are about
            self.close_connection = True
        finally:
            exchange.done()

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # a client that does not trust us, or cuts its connection between requests
            if isinstance(self.connection, ssl.SSLSocket):
                self.connection.do_handshake()
            super().handle()

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()

    def log_message(self, *args: Any) -> None:
        """Keep quiet: the tests assert on `requests`."""


class Server(ThreadingHTTPServer):
    """Knows its open connections, so that closing it ends every thread."""

    daemon_threads = False  # joined by server_close
    request_queue_size = 128

    def __init__(self, origin: Origin, tls: ssl.SSLContext | None) -> None:
        self.origin = origin
        self._tls = tls
        self.opened = 0
        self.open: dict[socket.socket, int] = {}  # to its number
        super().__init__(("127.0.0.1", 0), Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        if self._tls is not None:  # the handshake is left to the connection's own thread
            connection = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        with self.origin.lock:
            self.opened += 1
            self.open[connection] = self.opened
        return connection, address

    def number_of(self, connection: socket.socket) -> int:
        with self.origin.lock:
            return self.open[connection]

    def close_request(self, request: Any) -> None:
        with self.origin.lock:
            self.open.pop(request, None)
            self.origin.lock.notify_all()
        super().close_request(request)

    def cut(self) -> None:
        """Cut every open connection: threads that read from or write to one get an end or an error."""
        with self.origin.lock:
            connections = list(self.open)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def server_bind(self) -> None:
        """Bind without looking up the machine's own name, which can take seconds."""
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]
