"""TLS over a connection. `network` begins it for https hosts and https proxies.

It runs over any `Stream`, which may be encrypted itself: an https host behind an https proxy. `ssl` is imported when
the first https URL is fetched.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from birdlite.errors import PictureError
from birdlite.http.retry import TransientError
from birdlite.http.sockets import Stream, Timeouts, broken, reason

if TYPE_CHECKING:
    import ssl

_PIECE = 64 * 1024  # bytes decrypted at once


class Trust:
    """The certificates that hosts are checked against. They are read once, for the first https URL.

    Importing `ssl` and reading them takes as long as a server across a sea takes to answer. So a thread does it while
    the connection is being made.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._context: ssl.SSLContext | None = None

    def prepare(self) -> None:
        """Begin to read the certificates, unless that is done; `context` waits for the end."""
        if self._context is None:
            threading.Thread(target=self._try, name="birdlite-trust", daemon=True).start()

    def context(self) -> ssl.SSLContext:
        """Give the context for TLS connections.

        Raises:
            PictureError: `network`; the certificates that SSL_CERT_FILE or SSL_CERT_DIR names cannot be read.
        """
        with self._lock:
            if self._context is None:
                try:
                    self._context = _read_certificates()
                except OSError as error:
                    raise PictureError("network", f"cannot read the trusted certificates: {error}") from error
            return self._context

    def _try(self) -> None:
        try:
            self.context()
        except PictureError:
            return  # whoever needs them asks again and gets the error


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
    """TLS over another stream. Made by `secure`."""

    def __init__(self, below: Stream, host: str, context: ssl.SSLContext) -> None:
        import ssl

        self.host = host
        self._below = below
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=host)
        self._wants_bytes = ssl.SSLWantReadError
        self._ends = (ssl.SSLZeroReturnError, ssl.SSLEOFError)

    def handshake(self, timeouts: Timeouts) -> None:
        """Agree on keys and check the host's certificate. Raises as `secure` does."""
        import ssl

        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._refill(timeouts)
            except ssl.SSLCertVerificationError as error:
                words = f"the certificate of {self.host} is not trusted: {error.verify_message}"
                raise PictureError("network", words) from error
            except OSError as error:
                raise TransientError("network", f"no connection to {self.host}: {reason(error)}") from error
            else:
                self._flush(timeouts)
                return

    def send(self, data: bytes, timeouts: Timeouts) -> None:
        """See `Stream`."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._tls.write(rest) :]
            except self._wants_bytes:
                self._refill(timeouts)
            except OSError as error:
                raise broken(self.host, error) from error
        self._flush(timeouts)

    def receive(self, timeouts: Timeouts) -> bytes:
        """See `Stream`."""
        while True:
            try:
                return self._tls.read(_PIECE)
            except self._wants_bytes:
                self._refill(timeouts)
            except self._ends:
                return b""
            except OSError as error:
                raise broken(self.host, error) from error

    def is_readable(self) -> bool:
        """See `Stream`."""
        return bool(self._tls.pending() or self._in.pending) or self._below.is_readable()

    def close(self) -> None:
        """See `Stream`."""
        self._below.close()

    def _refill(self, timeouts: Timeouts) -> None:
        """Send what TLS wants to send, and pass on what comes."""
        self._flush(timeouts)
        data = self._below.receive(timeouts)
        if data:
            self._in.write(data)
        else:
            self._in.write_eof()

    def _flush(self, timeouts: Timeouts) -> None:
        if self._out.pending:
            self._below.send(self._out.read(), timeouts)


def secure(below: Stream, host: str, trust: Trust, timeouts: Timeouts) -> Tls:
    """Begin TLS with a host over a stream that leads to it. The stream is closed if that fails.

    Raises:
        PictureError: `network` if the host's certificate is not trusted; out of time, cancelled; or a `TransientError`.
    """
    try:
        stream = Tls(below, host, trust.context())
        stream.handshake(timeouts)
    except BaseException:
        below.close()
        raise
    return stream
