"""Connections to hosts, encrypted or not, within deadlines. `network` opens them, `connection` speaks HTTP on them.

A wait asks the `Deadline` of its fetch and lasts at most a tenth of a second at a time. So a server that sends one byte
every nine seconds delays no fetch beyond its deadline, and an interrupted run drops all its connections at once.

Errors are `PictureError`s that name the host; a `TransientError` where another try may help.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from birdlite.deadline import POLL_S, Deadline
from birdlite.errors import PictureError, one_line
from birdlite.namedtuple import NamedTuple
from birdlite.results import FailureKind

if TYPE_CHECKING:
    import ssl

_PIECE = 64 * 1024  # bytes received or decrypted at once

T = TypeVar("T")


class TransientError(PictureError):
    """A failure that may not happen again. It is the final one when no try is left."""

    def __init__(self, kind: FailureKind, message: str, retry_after: float | None = None) -> None:
        super().__init__(kind, message, temporary=True)
        self.retry_after = retry_after  # s that the server asks to wait; None if it does not say


class Timeouts(NamedTuple):
    """How long one request may wait, in s."""

    deadline: Deadline  # for everything
    connect: float  # for one of a host's addresses
    read: float  # without a byte from the server


class Tcp:
    """A connection that is not encrypted."""

    def __init__(self, host: str, connected: socket.socket) -> None:
        self.host = host
        self._socket = connected

    def send(self, data: bytes, timeouts: Timeouts) -> None:
        """Send all of `data`.

        Raises:
            PictureError: out of time, cancelled, or a `TransientError`.
        """
        left = min(timeouts.deadline.left(), timeouts.read)
        try:
            self._socket.settimeout(left)  # an error too, if httpcore has closed an idle connection in this moment
            self._socket.sendall(data)
        except TimeoutError:
            raise TransientError("timeout", f"{self.host} has stopped receiving") from None
        except OSError as error:
            raise _broken(self.host, error) from error

    def receive(self, timeouts: Timeouts) -> bytes:
        """Wait for bytes and return some; b"" at the end of the connection. Raises as `send` does."""
        until = time.monotonic() + timeouts.read
        while True:
            left = min(timeouts.deadline.left(), max(0.001, until - time.monotonic()), POLL_S)
            try:
                self._socket.settimeout(left)
                return self._socket.recv(_PIECE)
            except TimeoutError:
                if time.monotonic() >= until:
                    raise TransientError("timeout", f"{self.host} has stopped sending") from None
            except OSError as error:
                raise _broken(self.host, error) from error

    def is_readable(self) -> bool:
        """True if unread data or the end of the connection is pending. Another thread may use the socket meanwhile."""
        poll = select.poll()
        try:
            poll.register(self._socket, select.POLLIN)
        except ValueError:  # it is closed
            return True
        return bool(poll.poll(0))

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


class Tls:
    """TLS over another connection, with the methods of `Tcp`.

    The other one may be encrypted itself, for an https host behind an https proxy. `SSLSocket` could not do that.
    """

    def __init__(self, below: Stream, host: str, context: ssl.SSLContext) -> None:
        import ssl

        self.host = host
        self._below = below
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=host)
        self._ssl = ssl

    def handshake(self, timeouts: Timeouts) -> None:
        """Agree on keys and check the host's certificate.

        Raises:
            PictureError: `network` if the certificate is not trusted; out of time, cancelled; or a `TransientError`.
        """
        try:
            self._until_done(self._tls.do_handshake, timeouts)
        except self._ssl.SSLCertVerificationError as error:
            words = f"the certificate of {self.host} is not trusted: {error.verify_message}"
            raise PictureError("network", words) from error
        except OSError as error:
            raise TransientError("network", f"no connection to {self.host}: {reason(error)}") from error

    def send(self, data: bytes, timeouts: Timeouts) -> None:
        """Encrypt and send all of `data`."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._until_done(partial(self._tls.write, rest), timeouts) :]
        except OSError as error:
            raise _broken(self.host, error) from error

    def receive(self, timeouts: Timeouts) -> bytes:
        """Wait for bytes and return some, decrypted; b"" at the end of the connection."""
        try:
            return self._until_done(partial(self._tls.read, _PIECE), timeouts)
        except (self._ssl.SSLZeroReturnError, self._ssl.SSLEOFError):
            return b""
        except OSError as error:
            raise _broken(self.host, error) from error

    def is_readable(self) -> bool:
        """True if unread data or the end of the connection is pending."""
        return bool(self._tls.pending() or self._in.pending) or self._below.is_readable()

    def close(self) -> None:
        """Close the connection."""
        self._below.close()

    def _until_done(self, step: Callable[[], T], timeouts: Timeouts) -> T:
        """Repeat a step until TLS has the bytes that it needs, and send what TLS wants to send."""
        while True:
            try:
                done = step()
            except self._ssl.SSLWantReadError:
                self._flush(timeouts)
                data = self._below.receive(timeouts)
                if data:
                    self._in.write(data)
                else:
                    self._in.write_eof()
            else:
                self._flush(timeouts)
                return done

    def _flush(self, timeouts: Timeouts) -> None:
        if self._out.pending:
            self._below.send(self._out.read(), timeouts)


Stream = Tcp | Tls


def reason(error: OSError) -> str:
    """Describe an error in the system's own words, or else the library's."""
    return one_line(error.strerror or error)


def _broken(host: str, error: OSError) -> TransientError:
    """Make the failure of a connection that worked until now."""
    return TransientError("network", f"the connection to {host} broke: {reason(error)}")
