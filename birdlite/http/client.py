"""HTTP on httpx, over connections of our own: the only module (but `digest`) that imports httpx. For `fetcher`.

httpcore keeps the connections (`connection`) and h11 reads the answers; both are reached through their public
interfaces only. `Transport` takes httpx's requests to a pool of httpcore's, and `Client` decides which: the one that
asks hosts (and proxies, for http hosts), or one that builds tunnels through a proxy.
"""

from __future__ import annotations

import re
import ssl
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

from birdlite.errors import PictureError, one_line
from birdlite.http.address import Address
from birdlite.http.body import finish
from birdlite.http.connection import Asking, Backend, invalid
from birdlite.http.network import Early, Fields, Network, authorization, request_fields
from birdlite.http.politeness import may_pass, phrase
from birdlite.http.proxies import Proxies
from birdlite.http.sockets import Timeouts, TransientError

if TYPE_CHECKING:
    from birdlite.http.digest import Digests, Signed

# httpx tolerates that its command line is missing, and imports click and rich if it is there. A fetch needs neither.
_UNUSED = "httpx._main"
if _UNUSED not in sys.modules:
    sys.modules[_UNUSED] = None  # type: ignore[assignment]  # Python's way to say that a module cannot be imported
import httpcore  # noqa: E402
import httpx  # noqa: E402

if sys.modules[_UNUSED] is None:
    del sys.modules[_UNUSED]

KEPT_S = 5.0
"""How long an idle connection is used again: Apache, the least patient of the common servers, closes it after 5 s."""


class Transport(httpx.BaseTransport):
    """httpx's way to a pool of httpcore's."""

    def __init__(self, pool: httpcore.ConnectionPool) -> None:
        self._pool = pool

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, and give the answer as soon as its head is there. Raises httpcore's errors."""
        host = request.url.raw_host
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=b"[%b]" % host if b":" in host else host,
            port=request.url.port,
            target=request.extensions["target"],
        )
        answer = self._pool.handle_request(httpcore.Request(request.method, url, headers=request.headers.raw))
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer, host.decode("ascii")))

    def close(self) -> None:
        """Close every connection."""
        self._pool.close()


class _Body(httpx.SyncByteStream):
    """Reads a body from a host. Raises `PictureError`s: it does not come, or ends early."""

    def __init__(self, answer: httpcore.Response, host: str) -> None:
        self._answer = answer
        self._host = host

    def __iter__(self) -> Iterator[bytes]:
        with _as_ours(self._host):
            yield from self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()


class Client:
    """Asks for addresses, for any number of threads at once. TLS certificates are always checked."""

    def __init__(self, network: Network, proxies: Proxies | None, *, user_agent: str, kept: int) -> None:
        """Keep up to `kept` idle connections."""
        self._network = network
        self._proxies = proxies
        self._user_agent = user_agent
        self._kept = kept
        self._asking = Asking()
        self._lock = threading.Lock()  # around the transports
        self._digests: Digests | None = None
        self._transports: dict[Address | None, httpx.BaseTransport] = {}  # by the proxy that they build tunnels through

    def get(self, target: Address, timeouts: Timeouts, early: Early | None = None) -> httpx.Response:
        """Ask for an address; `early` if the request was sent already.

        The body is still to come. The response is to be closed: its connection is used again only then, if at all.

        Raises:
            PictureError: out of time, cancelled, not reachable, or a `TransientError` where another try may help.
        """
        signed = None if self._digests is None else self._digests.before(target)
        response = self._ask(*(signed or (target, authorization("Authorization", target))), timeouts, early)
        if response.status_code == 401 and target.userinfo:
            signed = self._answer(target, response)
            if signed is not None:
                return self._ask(*signed, timeouts, None)
        return response

    def _answer(self, target: Address, refusal: httpx.Response) -> Signed | None:
        """Sign the request that a server refused, if it asks for Digest; then the refusal is read and closed."""
        from birdlite.http.digest import Digests  # few servers ask for it

        self._digests = self._digests or Digests()
        signed = self._digests.after(target, refusal)
        if signed is not None:
            with closing(refusal), suppress(TransientError):
                finish(refusal)
        return signed

    def _ask(self, target: Address, known_as: Fields, timeouts: Timeouts, early: Early | None) -> httpx.Response:
        """Make one request; `known_as` tells the host who asks."""
        self._asking.timeouts, self._asking.early = timeouts, early
        proxy = None if self._proxies is None else self._proxies.on_the_way_to(target)
        if "https" in (target.scheme, proxy and proxy.scheme):
            self._network.prepare_tls()
        tunnel = target.scheme == "https"
        request = self._request(target, known_as, None if tunnel else proxy)
        try:
            with _as_ours(target.host):
                return self._transport(proxy if tunnel else None).handle_request(request)
        finally:
            unused, self._asking.early = self._asking.early, None
            if unused is not None:
                unused.stream.close()

    def close(self) -> None:
        """Close every connection."""
        with self._lock:
            transports, self._transports = self._transports, {}
        for transport in transports.values():
            transport.close()

    def _request(self, target: Address, known_as: Fields, proxy: Address | None) -> httpx.Request:
        """Make the request for a target, or the one that asks a proxy for its whole URL.

        httpx would change some paths, so the path stands beside the URL.
        """
        fields, asked, path = request_fields(target, self._user_agent) + known_as, target, target.target
        if proxy is not None:
            fields += authorization("Proxy-Authorization", proxy)
            asked, path = proxy, str(target._replace(userinfo=""))
        url = str(asked._replace(userinfo="", target="/"))
        return httpx.Request("GET", url, headers=fields, extensions={"target": path.encode("ascii")})

    def _transport(self, proxy: Address | None) -> httpx.BaseTransport:
        """Find or make the transport that builds tunnels through a proxy, or builds none."""
        with self._lock:
            if proxy not in self._transports:
                self._transports[proxy] = Transport(self._pool(proxy))
            return self._transports[proxy]

    def _pool(self, proxy: Address | None) -> httpcore.ConnectionPool:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts no certificate, and is not used: see `start_tls`
        tunnels = None
        if proxy is not None:
            tunnels = httpcore.Proxy(
                str(proxy._replace(userinfo="")),
                headers=authorization("Proxy-Authorization", proxy),
                ssl_context=context if proxy.scheme == "https" else None,
            )
        return httpcore.ConnectionPool(
            context,
            tunnels,
            max_connections=None,
            max_keepalive_connections=self._kept,
            keepalive_expiry=KEPT_S,
            network_backend=Backend(self._network, self._asking),
        )


@contextmanager
def _as_ours(host: str) -> Generator[None, None, None]:
    """Raise errors of httpx and httpcore as ours. Our streams raise ours already; most others are h11's refusals."""
    try:
        yield
    except (httpcore.ProxyError, httpx.ProxyError) as error:
        status = re.match(r"\d{3}", str(error))
        words = phrase(int(status[0])) if status else one_line(error)
        may_be_back = status is None or may_pass(int(status[0]))
        raise PictureError(
            "network", f"the proxy refuses to connect to {host}: {words}", temporary=may_be_back
        ) from error
    except (httpcore.ProtocolError, httpx.ProtocolError) as error:
        raise invalid(host, one_line(error)) from error
    except httpx.TimeoutException as error:
        raise TransientError("timeout", f"{host} does not answer in time: {one_line(error)}") from error
    except httpx.HTTPError as error:
        raise TransientError("network", f"no answer from {host}: {one_line(error)}") from error
