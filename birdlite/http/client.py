"""HTTP on httpx, over connections of our own: the only module (but `digest`) that imports httpx. For `fetcher`.

httpcore keeps the connections and h11 reads the answers; both are reached through their public interfaces only.

- `Backend` opens connections when httpcore wants one, and `Connection` is what httpcore reads and writes. Both run in
  the thread that asks, and find there (`_Asking`) how long its request may still take. So one deadline bounds every
  single read, and a cancelled request ends within a tenth of a second.
- `Connection` mends the heads of answers and withholds what a server sends behind a body (`framing`). httpcore drops a
  connection that has unread bytes.
- `Transport` takes httpx's requests to a pool of httpcore's, and `Client` decides which: the one that asks hosts (and
  proxies, for http hosts), or one that builds tunnels through a proxy.

A request may have been sent already, before httpx was imported (`network.Early`). Its `Connection` then does not write
it again, and reads on from where it was sent.
"""

from __future__ import annotations

import re
import ssl
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from birdlite.errors import PictureError, one_line
from birdlite.http.address import Address
from birdlite.http.body import finish
from birdlite.http.framing import BodyEnd, mend_head
from birdlite.http.network import Early, Fields, Network, authorization, request_fields
from birdlite.http.politeness import may_pass, phrase
from birdlite.http.proxies import Proxies
from birdlite.http.sockets import Stream, Timeouts, TransientError

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

_LONGEST_HEAD = 100 * 1024  # bytes; servers that send 8 KiB of cookies and policies are known
_MOST_INTERIM = 20  # answers such as 103 Early Hints before the real one
_END_OF_HEAD = re.compile(rb"\n\r{0,3}\n")


class _Asking(threading.local):
    """The request that this thread makes."""

    timeouts: Timeouts
    early: Early | None = None


class Connection(httpcore.NetworkStream):
    """A stream as httpcore uses it."""

    def __init__(self, stream: Stream, network: Network, asking: _Asking) -> None:
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
        return _invalid(self._stream.host, what)


class Backend(httpcore.NetworkBackend):
    """Opens connections for httpcore."""

    def __init__(self, network: Network, asking: _Asking) -> None:
        self._network = network
        self._asking = asking

    def connect_tcp(self, host: str, port: int, *args: Any, **kwargs: Any) -> httpcore.NetworkStream:
        """Connect to a host, or give the connection on which the request was sent already."""
        early = self._asking.early
        stream = early.stream if early else self._network.connect(host.strip("[]"), port, self._asking.timeouts)
        return Connection(stream, self._network, self._asking)


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
        self._asking = _Asking()
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
        raise _invalid(host, one_line(error)) from error
    except httpx.TimeoutException as error:
        raise TransientError("timeout", f"{host} does not answer in time: {one_line(error)}") from error
    except httpx.HTTPError as error:
        raise TransientError("network", f"no answer from {host}: {one_line(error)}") from error


def _invalid(host: str, what: str) -> TransientError:
    return TransientError("network", f"invalid or incomplete answer from {host}: {what}")
