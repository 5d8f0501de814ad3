"""The HTTP client: requests over connections that are kept and shared, through a proxy if there is one. For `fetch`.

Why birdlite has its own: docs/decisions/0004. It does what fetching pictures takes (GET, keep-alive, TLS, proxies) and
no more: no cookies, no redirects (`fetch` follows them), no HTTP/2.
"""

from __future__ import annotations

import binascii
import re
import threading
import time
from collections import deque

from birdlite.errors import PictureError
from birdlite.http.address import Address
from birdlite.http.connection import Connection, Response, phrase
from birdlite.http.network_backend import Patience, Trust, Wire, connect, secure
from birdlite.http.proxies import Proxies, find_proxies
from birdlite.http.retry import Setback

KEPT_S = 5.0
"""How long an idle connection is used again: Apache, the least patient of the common servers, hangs up after 5 s."""

_Route = tuple[Address | None, str, str, int]  # proxy, scheme, host, port: what a connection is good for


class Client:
    """Asks for addresses, for any number of threads at once. TLS certificates are always checked."""

    def __init__(self, user_agent: str, kept: int) -> None:
        """Keep up to `kept` idle connections.

        Raises:
            UsageError: a proxy variable of the environment holds something that cannot be used.
        """
        self._fields = f"User-Agent: {user_agent}\r\nAccept: */*\r\nAccept-Encoding: identity\r\n"
        self._kept = kept
        self._proxies: Proxies | None = find_proxies()
        self._trust = Trust()
        self._lock = threading.Lock()
        self._idle: deque[tuple[_Route, Connection, float]] = deque()  # the longest idle first, and since when, in s
        self._closed = False

    def get(self, target: Address, patience: Patience) -> Response:
        """Ask for an address. The response is to be closed.

        Raises:
            PictureError: out of time, called off, nobody there, or a `Setback` where another try may help.
        """
        proxy = None if self._proxies is None else self._proxies.on_the_way_to(target)
        route = (proxy, *((target.scheme, target.host, target.port) if _tunnels(proxy, target) else ("", "", 0)))
        request = self._request(target, proxy)
        while kept := self._take(route):
            try:
                return _ask(kept, request, patience)
            except Setback as setback:
                if kept.answered or setback.kind != "network":
                    raise
                # The server has hung up in the very moment in which it was asked. That is nobody's fault.
        return _ask(self._open(route, target, patience), request, patience)

    def close(self) -> None:
        """Close the idle connections; those in use are closed when their answers are."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, deque()
        for _, connection, _ in idle:
            connection.close()

    def _request(self, target: Address, proxy: Address | None) -> bytes:
        asked, more = target.target, _authorization("Authorization", target)
        if proxy is not None and not _tunnels(proxy, target):
            asked = str(target._replace(userinfo=""))
            more += _authorization("Proxy-Authorization", proxy)
        return f"GET {asked} HTTP/1.1\r\nHost: {target.netloc}\r\n{self._fields}{more}\r\n".encode("ascii")

    def _open(self, route: _Route, target: Address, patience: Patience) -> Connection:
        """Connect to the target, or to the proxy and through it to the target."""
        proxy = route[0]
        nearest = target if proxy is None else proxy
        if "https" in (nearest.scheme, target.scheme):
            self._trust.prepare()
        wire: Wire = connect(nearest.host, nearest.port, patience)
        if nearest.scheme == "https":
            wire = secure(wire, nearest.host, self._trust, patience)
        if proxy is not None and target.scheme == "https":
            _tunnel(wire, proxy, target, patience)
            wire = secure(wire, target.host, self._trust, patience)
        return Connection(wire, lambda connection: self._put(route, connection))

    def _take(self, route: _Route) -> Connection | None:
        """Take the connection on a route that was used last, if one is still good."""
        while True:
            with self._lock:
                found = next((entry for entry in reversed(self._idle) if entry[0] == route), None)
                if found is None:
                    return None
                self._idle.remove(found)
            _, connection, since = found
            if time.monotonic() - since < KEPT_S and connection.is_usable():
                return connection
            connection.close()

    def _put(self, route: _Route, connection: Connection) -> None:
        """Keep a connection whose answer was closed, if it can be used again."""
        surplus: Connection | None = connection
        if connection.is_usable():
            with self._lock:
                if not self._closed:
                    self._idle.append((route, connection, time.monotonic()))
                    surplus = self._idle.popleft()[1] if len(self._idle) > self._kept else None
        if surplus is not None:
            surplus.close()


def _ask(connection: Connection, request: bytes, patience: Patience) -> Response:
    try:
        return connection.ask(request, patience)
    except BaseException:
        connection.close()
        raise


def _tunnels(proxy: Address | None, target: Address) -> bool:
    """Whether a connection leads to the target and nowhere else: without a proxy, and with TLS through one."""
    return proxy is None or target.scheme == "https"


def _tunnel(wire: Wire, proxy: Address, target: Address, patience: Patience) -> None:
    """Have a proxy connect the wire to the target. The wire is closed if it does not.

    Raises:
        PictureError: `network`; it refuses. Or what `Connection.ask` raises.
    """
    place = f"[{target.host}]:{target.port}" if ":" in target.host else f"{target.host}:{target.port}"
    more = _authorization("Proxy-Authorization", proxy)
    request = f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n{more}\r\n".encode("ascii")
    status = _ask(Connection(wire, lambda _: None), request, patience).status
    if not 200 <= status < 300:
        wire.close()
        raise PictureError("network", f"the proxy does not lead to {target.host}: {phrase(status)}")


def _authorization(name: str, place: Address) -> str:
    """Make the header field with the user name and password of an address, if it has them."""
    if not place.userinfo:
        return ""
    user, _, password = place.userinfo.partition(":")
    words = _unquoted(user) + b":" + _unquoted(password)
    return f"{name}: Basic {binascii.b2a_base64(words, newline=False).decode('ascii')}\r\n"


def _unquoted(text: str) -> bytes:
    return re.sub(rb"%([0-9A-Fa-f]{2})", lambda match: bytes((int(match[1], 16),)), text.encode("ascii"))
