"""The client's sockets: they keep to a deadline, can be called off, and do not mix up answers. Used by `transport`.

httpx bounds every single read, not the whole: a server that sends one byte of its headers every nine seconds would hold
a download for a day. So its sockets are wrapped here. Before each wait they ask the `Deadline` of the thread that
reads, and they wait in short pieces, so that a run that is interrupted lets go of all its connections at once. What
stays out of reach is a name lookup under way: the resolver has timeouts of its own.
"""

from __future__ import annotations

import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import httpcore

from birdlite.errors import PictureError
from birdlite.network.deadline import POLL_S, Deadline

_LONGEST_HEAD = 100 * 1024  # bytes: httpcore accepts no longer one
_LAST_CHUNK = b"0\r\n\r\n"  # ends a chunked body that has no trailers


class Current(threading.local):
    """The deadline of what this thread fetches now; None between two fetches, as when old connections are closed."""

    deadline: Deadline | None = None


class Trust:
    """The certificates that TLS connections are checked against, read when the first one is made.

    Reading them takes 16 ms. So http mirrors do without, and other connections are made meanwhile.
    """

    def __init__(self, nobody: ssl.SSLContext, read: Callable[[], ssl.SSLContext]) -> None:
        """`nobody` is the context that the client was given, which trusts nobody; `read` makes the real one."""
        self._nobody = nobody
        self._read = read
        self._lock = threading.Lock()
        self._real: ssl.SSLContext | None = None

    def instead_of(self, context: ssl.SSLContext) -> ssl.SSLContext:
        """Give the real context for the one that trusts nobody. Any other, such as a proxy's, is left alone.

        Raises:
            PictureError: `network`; the certificates that SSL_CERT_FILE or SSL_CERT_DIR names cannot be read.
        """
        if context is not self._nobody:
            return context
        with self._lock:
            if self._real is None:
                try:
                    self._real = self._read()
                except OSError as error:
                    raise PictureError("network", f"the trusted certificates cannot be read: {error}") from error
                self._real.set_alpn_protocols(["http/1.1"])
            return self._real


class Backend(httpcore.NetworkBackend):
    """Opens connections that keep to the deadline of the thread that uses them."""

    def __init__(self, current: Current, trust: Trust) -> None:
        self._tcp = httpcore.SyncBackend()
        self._current = current
        self._trust = trust

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Try the host's addresses in turn, each for up to `timeout` s and all of them within the deadline."""
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(str(error)) from error
        failure: Exception = httpcore.ConnectError("it has no address")
        for entry in dict.fromkeys(str(info[4][0]) for info in found):
            allowed = _within(self._current.deadline, timeout)
            try:
                stream = self._tcp.connect_tcp(entry, port, allowed, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return _Stream(stream, self._current, self._trust)
        raise failure


class _Stream(httpcore.NetworkStream):
    """A connection that gives up when the thread that reads from it runs out of time, or is called off.

    It also keeps count. When a server sends more than it declared, httpcore takes the surplus for the answer to the
    next request on the connection, which is for another picture. So such a connection is not used again.
    """

    def __init__(self, stream: httpcore.NetworkStream, current: Current, trust: Trust) -> None:
        self._stream = stream
        self._current = current
        self._trust = trust
        self._answer = _Count()

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = self._read(max_bytes, timeout)
        self._answer.add(data)
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._answer = _Count()
        self._stream.write(buffer, _within(self._current.deadline, timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        try:
            context = self._trust.instead_of(ssl_context)
            secure = self._stream.start_tls(context, server_hostname, _within(self._current.deadline, timeout))
        except BaseException:
            self.close()
            raise
        return _Stream(secure, self._current, self._trust)

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable" and not self._answer.is_exact():
            return True  # asked before an idle connection is used again, to find those that the server has closed
        return self._stream.get_extra_info(info)

    def _read(self, max_bytes: int, timeout: float | None) -> bytes:
        deadline = self._current.deadline
        if deadline is None:
            return self._stream.read(max_bytes, timeout)
        patience = float("inf") if timeout is None else time.monotonic() + timeout
        while True:
            piece = min(deadline.left(), max(0.001, patience - time.monotonic()), POLL_S)
            try:
                return self._stream.read(max_bytes, piece)
            except httpcore.ReadTimeout:
                if time.monotonic() >= patience:
                    raise


class _Count:
    """What was read since a request was sent: whether that is one whole answer, and nothing else.

    Where that cannot be told (interim answers, trailers, heads with bare line feeds) it says no, which costs a new
    connection.
    """

    def __init__(self) -> None:
        self._head = b""  # as much as has come; all of it once `_body` is known
        self._body: int | None = None  # bytes after the head
        self._tail = b""

    def add(self, data: bytes) -> None:
        if self._body is not None:
            self._body += len(data)
        elif len(self._head) <= _LONGEST_HEAD:
            self._head, end, body = (self._head + data).partition(b"\r\n\r\n")
            self._body = len(body) if end else None
        self._tail = (self._tail + data)[-len(_LAST_CHUNK) :]

    def is_exact(self) -> bool:
        if self._body is None:
            return not self._head
        if re.search(rb"(?im)^transfer-encoding:", self._head):
            return self._tail == _LAST_CHUNK
        declared = re.search(rb"(?im)^content-length:[ \t]*(\d{1,19})", self._head)
        return self._body == (int(declared[1]) if declared else 0)


def _within(deadline: Deadline | None, timeout: float | None) -> float | None:
    """Shorten `timeout` to what the deadline leaves."""
    if deadline is None:
        return timeout
    left = deadline.left()
    return left if timeout is None else min(timeout, left)
