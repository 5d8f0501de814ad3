"""Bytes to a host and back, with TLS or without: within a deadline, and called off within a tenth of a second.

`connection` speaks HTTP over it. Every wait asks the `Deadline` of the fetch that it is for, and lasts for short pieces
only: a server that sends one byte every nine seconds holds nobody, and a run that is interrupted lets go of all its
connections at once. What stays out of reach are a name that is being looked up and a connection that is being made;
these have timeouts of their own.

What goes wrong is a `PictureError` with the host's name in it; a `Setback` where another try may help.
"""

from __future__ import annotations

import errno
import socket
import threading
import time
from typing import TYPE_CHECKING, Protocol

from birdlite.deadline import POLL_S, Deadline
from birdlite.errors import PictureError
from birdlite.http.retry import Setback
from birdlite.namedtuple import NamedTuple

if TYPE_CHECKING:
    import ssl

_PIECE = 64 * 1024  # bytes that are taken at once
_SHOWN = 160  # characters of a name or of a library's own words: either may be a server's garbage
_LONGEST_LABEL, _LONGEST_NAME = 63, 253  # RFC 1035: characters between two dots, and in all
_NO_SUCH_HOST = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}


class Patience(NamedTuple):
    """How long one request may wait, in s, and for what."""

    deadline: Deadline  # for all of it
    connect: float  # for one of a host's addresses
    read: float  # in silence


class Wire(Protocol):
    """What HTTP is spoken over."""

    host: str

    def send(self, data: bytes, patience: Patience) -> None:
        """Send all of it.

        Raises:
            PictureError: out of time, called off, or a `Setback`.
        """

    def receive(self, patience: Patience) -> bytes:
        """Wait for bytes and give some; none at the end. Raises as `send` does."""

    def is_quiet(self) -> bool:
        """Whether nothing has come that nobody asked for, the end included."""

    def close(self) -> None:
        """Hang up."""


class Tcp:
    """A connection to a host, as it is. Made by `connect`."""

    def __init__(self, host: str, connected: socket.socket) -> None:
        self.host = host
        self._socket = connected

    def send(self, data: bytes, patience: Patience) -> None:
        """See `Wire`."""
        self._socket.settimeout(min(patience.deadline.left(), patience.read))
        try:
            self._socket.sendall(data)
        except TimeoutError:
            raise Setback("timeout", f"{self.host} has stopped listening") from None
        except OSError as error:
            raise broken(self.host, error) from error

    def receive(self, patience: Patience) -> bytes:
        """See `Wire`."""
        until = time.monotonic() + patience.read
        while True:
            self._socket.settimeout(min(patience.deadline.left(), max(0.001, until - time.monotonic()), POLL_S))
            try:
                return self._socket.recv(_PIECE)
            except TimeoutError:
                if time.monotonic() >= until:
                    raise Setback("timeout", f"{self.host} has stopped sending") from None
            except OSError as error:
                raise broken(self.host, error) from error

    def is_quiet(self) -> bool:
        """See `Wire`."""
        self._socket.setblocking(False)
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def close(self) -> None:
        """See `Wire`."""
        self._socket.close()


def connect(host: str, port: int, patience: Patience) -> Tcp:
    """Try the host's addresses in turn, all of them within the deadline.

    Raises:
        PictureError: `not_found`, when there cannot be or is no such host; out of time, called off; or a `Setback`.
    """
    failure = Setback("network", f"no connection to {_brief(host)}: it has no address")
    for family, kind, protocol, place in _addresses(host, port):
        connected = socket.socket(family, kind, protocol)
        try:
            connected.settimeout(min(patience.connect, patience.deadline.left()))
            connected.connect(place)
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except TimeoutError:
            failure = Setback("timeout", f"no connection to {host} in time")
        except OSError as error:
            failure = Setback("network", f"no connection to {host}: {reason(error)}")
        except PictureError:
            connected.close()
            raise
        else:
            return Tcp(host, connected)
        connected.close()
    raise failure


def _addresses(host: str, port: int) -> list[tuple[int, int, int, tuple[object, ...]]]:
    """Look the host up: family, type, protocol and address of each of its addresses."""
    labels = host.removesuffix(".").split(".")
    if len(host) > _LONGEST_NAME or not all(0 < len(label) <= _LONGEST_LABEL for label in labels):
        raise PictureError("not_found", f"no host can be called {_brief(host)}")
    try:
        # As bytes: for text, Python would import its encoding for names in other letters, which this one is not in.
        found = socket.getaddrinfo(host.encode("ascii"), port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno in _NO_SUCH_HOST:
            raise PictureError("not_found", f"no host is called {host}") from error
        raise Setback("network", f"the name {host} cannot be looked up now: {error.strerror}") from error
    except OSError as error:
        raise Setback("network", f"no connection to {host}: {reason(error)}") from error
    return list(dict.fromkeys((family, kind, protocol, place) for family, kind, protocol, _, place in found))


class Trust:
    """The certificates that TLS connections are checked against, read once, when the first one is made.

    Importing `ssl` and reading them takes as long as a server across a sea takes to answer. So a thread does it while
    the connection is being made, and http needs none of it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._context: ssl.SSLContext | None = None

    def prepare(self) -> None:
        """Begin to read them, unless they are here; `context` waits for the end."""
        if self._context is None:
            threading.Thread(target=self._try, name="birdlite-trust", daemon=True).start()

    def context(self) -> ssl.SSLContext:
        """What a TLS connection is made with.

        Raises:
            PictureError: `network`; the certificates that SSL_CERT_FILE or SSL_CERT_DIR names cannot be read.
        """
        with self._lock:
            if self._context is None:
                try:
                    self._context = _read_certificates()
                except OSError as error:
                    raise PictureError("network", f"the trusted certificates cannot be read: {error}") from error
            return self._context

    def _try(self) -> None:
        try:
            self.context()
        except PictureError:
            return  # whoever needs them asks again, and is told


def _read_certificates() -> ssl.SSLContext:
    import os
    import ssl

    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if not file and not folder:
        import certifi

        file = certifi.where()
    context = ssl.create_default_context(cafile=file or None, capath=folder or None)
    context.set_alpn_protocols(["http/1.1"])
    return context


class Tls:
    """TLS over another wire, which may itself be one: that of a proxy. Made by `secure`."""

    def __init__(self, below: Wire, host: str, context: ssl.SSLContext) -> None:
        import ssl

        self.host = host
        self._below = below
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=host)
        self._wants_bytes = ssl.SSLWantReadError
        self._ends = (ssl.SSLZeroReturnError, ssl.SSLEOFError)

    def handshake(self, patience: Patience) -> None:
        """Agree on keys, and check who is there. Raises as `secure` does."""
        import ssl

        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._refill(patience)
            except ssl.SSLCertVerificationError as error:
                words = f"the certificate of {self.host} is not to be trusted: {error.verify_message}"
                raise PictureError("network", words) from error
            except OSError as error:
                raise Setback("network", f"no connection to {self.host}: {reason(error)}") from error
            else:
                self._flush(patience)
                return

    def send(self, data: bytes, patience: Patience) -> None:
        """See `Wire`."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._tls.write(rest) :]
            except self._wants_bytes:
                self._refill(patience)
            except OSError as error:
                raise broken(self.host, error) from error
        self._flush(patience)

    def receive(self, patience: Patience) -> bytes:
        """See `Wire`."""
        while True:
            try:
                return self._tls.read(_PIECE)
            except self._wants_bytes:
                self._refill(patience)
            except self._ends:
                return b""
            except OSError as error:
                raise broken(self.host, error) from error

    def is_quiet(self) -> bool:
        """See `Wire`."""
        return not self._tls.pending() and not self._in.pending and self._below.is_quiet()

    def close(self) -> None:
        """See `Wire`."""
        self._below.close()

    def _refill(self, patience: Patience) -> None:
        """Send what TLS has to say, and give it what comes."""
        self._flush(patience)
        data = self._below.receive(patience)
        if data:
            self._in.write(data)
        else:
            self._in.write_eof()

    def _flush(self, patience: Patience) -> None:
        if self._out.pending:
            self._below.send(self._out.read(), patience)


def secure(below: Wire, host: str, trust: Trust, patience: Patience) -> Tls:
    """Begin TLS with a host on a wire that leads to it. The wire is closed if that fails.

    Raises:
        PictureError: `network`, when its certificate is not to be trusted; out of time, called off; or a `Setback`.
    """
    try:
        wire = Tls(below, host, trust.context())
        wire.handshake(patience)
    except BaseException:
        below.close()
        raise
    return wire


def broken(host: str, error: OSError) -> Setback:
    """Make the failure of a connection that was good until now."""
    return Setback("network", f"the connection to {host} broke: {reason(error)}")


def reason(error: OSError) -> str:
    """Find the system's own word for an error, or else the library's."""
    if error.errno in errno.errorcode and error.strerror:
        return error.strerror
    return _brief(str(error) or type(error).__name__)


def _brief(text: str) -> str:
    """Cut to one short line of printable characters."""
    text = "".join(c if c.isprintable() else " " for c in text)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
