"""The room that knows httpx: opens the client, makes its addresses, and says in plain words what went wrong.

Importing this room imports httpx (50 to 200 ms), so only `fetch` does it, at the first URL.
"""

from __future__ import annotations

import errno
import socket
import ssl
import sys
from collections.abc import Iterator
from http import HTTPStatus
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

from birdlite import log
from birdlite.errors import PictureError, UsageError
from birdlite.network.retry import Setback
from birdlite.network.sockets import Backend, Current, Trust

if "httpx" not in sys.modules:
    # httpx imports its own command line with the rest: click, and rich and pygments where they are installed, 12 to
    # 100 ms. Without it httpx puts a stub in its place. The entry goes again, so that whoever wants it can have it.
    sys.modules["httpx._main"] = None  # type: ignore[assignment]
try:
    import httpx
finally:
    if sys.modules.get("httpx._main", ...) is None:
        del sys.modules["httpx._main"]

FAULTS = (httpx.HTTPError, httpx.InvalidURL, UnicodeError)
"""What sending a request or reading its answer may raise, beside PictureError; `explain` takes them."""

_NO_SUCH_HOST = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
_WORDS = 160  # characters of a library's own message: a server's garbage may be quoted in it


def open_client(user_agent: str, connections: int, current: Current) -> httpx.Client:
    """Open a client for any number of threads: keeps `connections` idle ones, no cookies, and follows no redirects.

    Proxies come from the environment, as everywhere. TLS certificates are always checked.

    Raises:
        UsageError: a proxy variable of the environment holds something that cannot be used.
    """
    nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts no certificate: `Trust` has the one that does
    client = _client(user_agent, connections, nobody)
    pools = _pools(client)
    if pools and all(hasattr(pool, "_network_backend") for pool in pools):
        backend = Backend(current, Trust(nobody, httpx.create_ssl_context))
        for pool in pools:
            pool._network_backend = backend
        return client
    log.debug("this httpx hides its sockets; deadlines hold only from part to part", httpx=httpx.__version__)
    client.close()
    return _client(user_agent, connections, httpx.create_ssl_context())


def _client(user_agent: str, connections: int, context: ssl.SSLContext) -> httpx.Client:
    try:
        return httpx.Client(
            headers={"User-Agent": user_agent, "Accept": "*/*", "Accept-Encoding": "identity"},
            verify=context,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=connections),
            # A million hosts' cookies would be memory, and an answer must not depend on what was fetched before.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            event_hooks={"response": [_keep_location]},
        )
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        raise UsageError(f"the proxy that the environment names cannot be used: {_brief(error)}") from error


def _pools(client: httpx.Client) -> list[Any]:
    """Find the connection pools of the client and its proxies. No public way leads there, so there may be none."""
    transports = (getattr(client, "_transport", None), *getattr(client, "_mounts", {}).values())
    return [transport._pool for transport in transports if hasattr(transport, "_pool")]


def _keep_location(response: httpx.Response) -> None:
    """Take Location away before httpx prepares a redirect of its own, which fails when it is malformed."""
    response.extensions["location"] = response.headers.pop("Location", None)


def address(url: str) -> httpx.URL:
    """Bring `url` into the form that can be asked for: spaces and other letters escaped, the host's name in ASCII.

    Raises:
        PictureError: `unsupported`; not http or https, or nothing that can be a URL.
    """
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError) as error:
        raise PictureError("unsupported", f"not a URL: {_brief(error)}") from error
    if parsed.scheme not in ("http", "https"):
        raise PictureError("unsupported", f"{parsed.scheme or 'no scheme'}: only http and https can be fetched")
    if not host_of(parsed).strip("."):
        raise PictureError("unsupported", "the URL names no host")
    if parsed.port is not None and not 0 < parsed.port < 65536:
        raise PictureError("unsupported", f"there is no port {parsed.port}")
    return parsed


def host_of(target: httpx.URL) -> str:
    """Give the host's name in ASCII: `URL.host` would decode it, and fail for names that are in use but not allowed."""
    return target.raw_host.decode("ascii")


def shown(target: httpx.URL) -> str:
    """Show a URL in the log: no password, and no query, which may be a signature."""
    path = target.raw_path.partition(b"?")[0]
    return f"{target.scheme}://{target.netloc.decode('ascii')}{path.decode('ascii')}"


def join(base: httpx.URL, location: str) -> str:
    """Make a URL of what a Location header says.

    Raises:
        PictureError: `http_status`; it is no URL.
    """
    try:
        return str(base.join(location))
    except (httpx.InvalidURL, UnicodeError) as error:
        raise PictureError("http_status", f"not a URL: {_brief(error)}") from error


def phrase(status: int) -> str:
    """Name a status, as in `404 Not Found`: in our own words, for a server's may be anything."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def explain(fault: Exception, host: str) -> PictureError:
    """Turn one of `FAULTS` into a failure of the picture: a `Setback` where another try may help."""
    host = host[:_WORDS]
    for cause in _causes(fault):
        if isinstance(cause, socket.gaierror):
            if cause.errno in _NO_SUCH_HOST:
                return PictureError("not_found", f"no host is called {host}")
            return Setback("network", f"the name {host} cannot be looked up now: {cause.strerror}")
        if isinstance(cause, UnicodeError):
            return PictureError("not_found", f"no host can be called {host}")
        if isinstance(cause, ssl.SSLCertVerificationError):
            return PictureError("network", f"the certificate of {host} is not to be trusted: {cause.verify_message}")
    reason = _reason(fault)
    if isinstance(fault, httpx.ConnectTimeout):
        return Setback("timeout", f"no connection to {host} in time")
    if isinstance(fault, httpx.TimeoutException):
        return Setback("timeout", f"{host} has stopped sending")
    if isinstance(fault, httpx.ConnectError):
        return Setback("network", f"no connection to {host}: {reason}")
    if isinstance(fault, httpx.NetworkError):
        return Setback("network", f"the connection to {host} broke: {reason}")
    if isinstance(fault, httpx.RemoteProtocolError):
        return Setback("network", f"{host} broke off, or does not speak HTTP: {reason}")
    if isinstance(fault, httpx.ProxyError):
        return PictureError("network", f"the proxy does not lead to {host}: {reason}")
    if isinstance(fault, (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError)):
        return PictureError("unsupported", f"cannot be asked for: {reason}")
    return PictureError("network", f"{host}: {reason}")


def _causes(fault: BaseException) -> Iterator[BaseException]:
    """Go from the fault to what it came from: httpx and httpcore wrap the system's errors twice."""
    link: BaseException | None = fault
    for _ in range(8):
        if link is None:
            return
        yield link
        link = link.__cause__ or link.__context__


def _reason(fault: Exception) -> str:
    """Find the system's own word for the fault, or else the library's."""
    for cause in _causes(fault):
        if isinstance(cause, OSError) and cause.errno in errno.errorcode and cause.strerror:
            return cause.strerror
    return _brief(fault)


def _brief(error: Exception) -> str:
    """Cut a library's message to one short line of printable characters."""
    text = "".join(c if c.isprintable() else " " for c in str(error)) or type(error).__name__
    return text if len(text) <= _WORDS else text[: _WORDS - 1] + "…"
