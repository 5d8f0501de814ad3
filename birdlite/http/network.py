"""Opens connections to hosts: resolved, permitted, connected, encrypted. For httpx (`connection`), and before it.

The first requests of a run go out before httpx is imported, with sockets and ssl alone (`Network.send_early`): the
import takes as long as a server takes to answer, and so it happens while the answers are on their way. `connection`
then reads each answer from the connection on which its request was sent.

One wait cannot be interrupted and has a timeout of its own: making a connection.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from birdlite.deadline import Deadline
from birdlite.errors import PictureError, one_line
from birdlite.http.address import Address
from birdlite.http.resolver import Place, Resolver
from birdlite.http.sockets import Stream, Tcp, Timeouts, Tls, TransientError, reason
from birdlite.namedtuple import NamedTuple

if TYPE_CHECKING:
    import ssl
    from ipaddress import IPv4Address, IPv6Address

    Permit = Callable[[str, int, list[IPv4Address | IPv6Address]], None]
    """Is given a host, a port and all addresses of the host. Raises a `PictureError` if these must not be reached."""

Fields = list[tuple[str, str]]

_USUAL = (80, 443)  # ports


class Early(NamedTuple):
    """A request that was sent already."""

    stream: Stream  # where its answer comes from
    request: bytes


class Network:
    """What all connections of one fetcher share: the certificates, and which addresses may be connected to."""

    def __init__(self, permit: Permit | None = None, mirror: Address | None = None) -> None:
        """Errors call the `mirror` so, because users see another host in their URLs."""
        self._permit = permit
        self._mirror = mirror
        self._resolver = Resolver()
        self._lock = threading.Lock()  # around the context
        self._context: ssl.SSLContext | None = None

    def connect(self, host: str, port: int, timeouts: Timeouts) -> Stream:
        """Connect to a host without TLS. Its addresses are tried in turn, all of them within the deadline.

        The name is resolved once: the addresses that were checked are the ones that are connected to.

        Raises:
            PictureError: as `places` does, or a `TransientError`.
        """
        places = self.places(host, port, timeouts.deadline)
        what = f"no connection to {self._shown(host, port)}"
        failure = TransientError("network", f"{what}: it has no address")
        for family, kind, protocol, place in places:
            connected = socket.socket(family, kind, protocol)
            try:
                connected.settimeout(min(timeouts.connect, timeouts.deadline.left()))
                connected.connect(place)
                connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return Tcp(host, connected)
            except TimeoutError:
                failure = TransientError("timeout", f"{what} in time")
            except OSError as error:
                failure = TransientError("network", f"{what}: {reason(error)}")
            except PictureError:
                connected.close()
                raise
            connected.close()
        raise failure

    def _shown(self, host: str, port: int) -> str:
        """A host in an error, with the port if it is an unusual one."""
        shown = one_line(host)
        if port not in _USUAL:
            shown = f"[{shown}]:{port}" if ":" in shown else f"{shown}:{port}"
        is_mirror = self._mirror is not None and (self._mirror.host, self._mirror.port) == (host, port)
        return f"the mirror {shown}" if is_mirror else shown

    def places(self, host: str, port: int, deadline: Deadline) -> list[Place]:
        """Find the addresses of a host, and let `permit` see all of them.

        Raises:
            PictureError: as `Resolver.places` does, or what `permit` raises.
        """
        places = self._resolver.places(host, port, deadline)
        if self._permit is not None:
            from ipaddress import ip_address  # only a guarded run needs it

            self._permit(host, port, [ip_address(place[0]) for *_, place in places])
        return places

    def prepare_tls(self) -> None:
        """Begin to read the certificates, for a connection that will need them.

        Importing `ssl` and reading them takes as long as a server across a sea takes to answer. So a thread does it
        while the connection is being made.
        """
        if self._context is None:
            threading.Thread(target=self._prepare, name="birdlite-trust", daemon=True).start()

    def secure(self, stream: Stream, host: str, timeouts: Timeouts) -> Stream:
        """Begin TLS with a host over a stream that leads to it. The stream is closed if that fails.

        Raises:
            PictureError: the certificates that SSL_CERT_FILE or SSL_CERT_DIR names cannot be read; see `Tls.handshake`.
        """
        try:
            secured = Tls(stream, host, self._trust())
            secured.handshake(timeouts)
        except BaseException:
            stream.close()
            raise
        return secured

    def send_early(self, target: Address, user_agent: str, timeouts: Timeouts) -> Early:
        """Connect to a host itself, without a proxy, and send a request. Raises as `connect` and `secure` do."""
        if target.scheme == "https":
            self.prepare_tls()
        stream = self.connect(target.host, target.port, timeouts)
        if target.scheme == "https":
            stream = self.secure(stream, target.host, timeouts)
        known_as = authorization("Authorization", target)
        fields = [f"{name}: {value}" for name, value in request_fields(target, user_agent) + known_as]
        request = "\r\n".join([f"GET {target.target} HTTP/1.1", *fields, "", ""]).encode("ascii")
        try:
            stream.send(request, timeouts)
        except BaseException:
            stream.close()
            raise
        return Early(stream, request)

    def _prepare(self) -> None:
        with contextlib.suppress(Exception):  # whoever needs them asks again and gets the error
            self._trust()

    def _trust(self) -> ssl.SSLContext:
        """Give the context for TLS connections. The certificates are read once, for the first https URL."""
        with self._lock:
            if self._context is None:
                try:
                    self._context = _read_certificates()
                except OSError as error:
                    raise PictureError("network", f"cannot read the trusted certificates: {error}") from error
            return self._context


def _read_certificates() -> ssl.SSLContext:
    import ssl

    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if not file and not folder:
        import certifi

        file = certifi.where()
    context = ssl.create_default_context(cafile=file or None, capath=folder or None)
    context.set_alpn_protocols(["http/1.1"])
    return context


def request_fields(target: Address, user_agent: str) -> Fields:
    """Give the header fields of a request for `target`, but for those that tell who asks.

    Nothing compressed is asked for: pictures and models do not shrink, and what is not compressed cannot swell.
    """
    return [("Host", target.netloc), ("User-Agent", user_agent), ("Accept", "*/*"), ("Accept-Encoding", "identity")]


def authorization(name: str, place: Address) -> Fields:
    """Make the header field with the user name and password of an address, if it has them."""
    if not place.userinfo:
        return []
    from base64 import b64encode
    from urllib.parse import unquote_to_bytes

    user, _, password = place.userinfo.partition(":")
    words = unquote_to_bytes(user) + b":" + unquote_to_bytes(password)
    return [(name, f"Basic {b64encode(words).decode('ascii')}")]
