"""What httpcore reads and writes: a connection of ours. For `client`, whose pools get a `Backend`.

Both classes run in the thread that asks, and find there (`Asking`) how long its request may still take. So one deadline
bounds every single read, and a cancelled request ends within a tenth of a second.

`Connection` mends the heads of answers and withholds what a server sends behind a body (`framing`). httpcore drops a
connection that has unread bytes. A request may have been sent already, before httpx was imported (`network.Early`). Its
`Connection` then does not write it again, and reads on from where it was sent.
"""

from __future__ import annotations

import re
import ssl
import threading
from typing import Any

import httpcore

from birdlite.http.framing import BodyEnd, mend_head
from birdlite.http.network import Early, Network
from birdlite.http.sockets import Stream, Timeouts, TransientError

_LONGEST_HEAD = 100 * 1024  # bytes; servers that send 8 KiB of cookies and policies are known
_MOST_INTERIM = 20  # answers such as 103 Early Hints before the real one
_END_OF_HEAD = re.compile(rb"\n\r{0,3}\n")


class Asking(threading.local):
    """The request that this thread makes."""

    timeouts: Timeouts
    early: Early | None = None


class Connection(httpcore.NetworkStream):
    """A stream as httpcore uses it."""

    def __init__(self, stream: Stream, network: Network, asking: Asking) -> None:
        self._stream = stream
        self._network = network
        self._asking = asking
        self._requests = 0
        self._heads = 0  # that came since the last request
        self._answered = False  # something came since then
        self._in_head = False
        self._body = BodyEnd(0)
        self._mended = b""  # of a head, to be given next
        self._received = b""  # and not given yet

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send a request, all of it."""
        if not buffer:
            return
        self._requests += 1
        self._heads, self._answered, self._in_head = 0, False, True
        early, self._asking.early = self._asking.early, None
        if early is not None:
            self._continue(early, buffer)
            return
        try:
            self._stream.send(buffer, self._asking.timeouts)
        except TransientError as error:
            raise self._stale_or(error) from error

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Give what came of an answer; nothing at the end of the connection."""
        if self._in_head:
            self._mended = self._read_head()
        if self._mended:
            given, self._mended = self._mended[:max_bytes], self._mended[max_bytes:]
            return given
        while True:
            data = self._received or self._receive()
            taken, passed = self._body.take(data[:max_bytes])
            self._received = data[taken:]
            if passed or not taken:  # else a part of a line between chunks
                return passed

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, *args: Any, **kwargs: Any
    ) -> httpcore.NetworkStream:
        """Begin TLS, with our own context; httpcore's holds no certificates."""
        early = self._asking.early
        if early is not None and early.stream is self._stream:
            return self  # it speaks TLS already
        host = (server_hostname or self._stream.host).strip("[]")
        return Connection(self._network.secure(self._stream, host, self._asking.timeouts), self._network, self._asking)

    def get_extra_info(self, info: str) -> Any:
        """Tell httpcore whether bytes or the end are waiting on an idle connection."""
        return bool(self._received) or self._stream.is_readable() if info == "is_readable" else None

    def _continue(self, early: Early, request: bytes) -> None:
        """Take over the stream on which this request was sent early."""
        if early.stream is not self._stream:  # an idle connection was chosen for it meanwhile
            self._stream.close()
            self._stream, self._received, self._requests = early.stream, b"", 1
        if early.request != request:
            raise httpcore.ConnectionNotAvailable  # httpx writes requests in another way than we do

    def _read_head(self) -> bytes:
        """Read a head to its end, and mend it."""
        looked_at, block = 0, self._received.lstrip(b"\r\n")
        while not (end := _END_OF_HEAD.search(block, max(0, looked_at - 4))):
            looked_at = len(block)
            if looked_at > _LONGEST_HEAD:
                raise self._invalid("the head is too long")
            data = self._receive()
            if not data:
                raise self._stale_or(self._invalid("it ends in the head" if block else "it is empty"))
            block = (block + data).lstrip(b"\r\n")
        self._received = block[end.end() :]
        self._heads += 1
        if self._heads > _MOST_INTERIM:
            raise self._invalid("too many interim answers")
        try:
            head = mend_head(block[: end.start()])
        except ValueError as error:
            raise self._invalid(str(error)) from error
        self._in_head = head.status < 200
        self._body = head.body
        return head.text

    def _receive(self) -> bytes:
        try:
            data = self._stream.receive(self._asking.timeouts)
        except TransientError as error:
            raise self._stale_or(error) from error
        self._answered = self._answered or bool(data)
        return data

    def _stale_or(self, error: TransientError) -> Exception:
        """Decide what the failure of a connection is.

        If the server closed an idle connection in the moment in which it was asked, httpcore is to take another one.
        """
        stale = self._requests > 1 and not self._answered and error.kind == "network"
        return httpcore.ConnectionNotAvailable() if stale else error

    def _invalid(self, what: str) -> TransientError:
        return invalid(self._stream.host, what)


class Backend(httpcore.NetworkBackend):
    """Opens connections for httpcore."""

    def __init__(self, network: Network, asking: Asking) -> None:
        self._network = network
        self._asking = asking

    def connect_tcp(self, host: str, port: int, *args: Any, **kwargs: Any) -> httpcore.NetworkStream:
        """Connect to a host, or give the connection on which the request was sent already."""
        early = self._asking.early
        stream = early.stream if early else self._network.connect(host.strip("[]"), port, self._asking.timeouts)
        return Connection(stream, self._network, self._asking)


def invalid(host: str, what: str) -> TransientError:
    """Make the failure of an answer that is not HTTP, or not all there."""
    return TransientError("network", f"invalid or incomplete answer from {host}: {what}")
