"""A URL in parts: which host to connect to, and what to ask it for. `fetcher` makes one of every URL and redirect.

With a mirror, `https://HOST/PATH` is asked for at `BASE/HOST/PATH`. A static file server over folders named after hosts
is a mirror. The escapes of PATH stay as they are: the server decodes them.

Not `urllib.parse`, and not httpx's URL: importing either takes longer than sending a request.
"""

from __future__ import annotations

import re
import socket
from typing import Literal

from birdlite.errors import PictureError, UsageError
from birdlite.namedtuple import NamedTuple

_LONGEST = 65_536  # characters: no server takes more
_PORTS = {"http": 80, "https": 443}
_NOT_IN_A_HOST = re.compile(r"""[\s"%<>\\^`{|}\[\]@/?#]""")
_ILLEGAL = re.compile(rb"%(?![0-9A-Fa-f]{2})|[^!#$%&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~]")  # RFC 3986; [] as browsers do


class Address(NamedTuple):
    """A URL that can be fetched, all of it ASCII."""

    scheme: Literal["http", "https"]
    host: str  # lower case; an IPv6 address without its brackets
    port: int
    target: str  # path and query, escaped
    userinfo: str = ""  # "user:password", escaped; or ""

    @property
    def netloc(self) -> str:
        """The host as in a URL and in the header Host: IPv6 in brackets, and the port unless it is the default one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def path(self) -> str:
        """The path without the query."""
        return self.target.partition("?")[0]

    @property
    def shown(self) -> str:
        """The URL for the log, without its secrets."""
        from birdlite.redaction import redacted

        return redacted(str(self))

    def __str__(self) -> str:
        at = "@" if self.userinfo else ""
        return f"{self.scheme}://{self.userinfo}{at}{self.netloc}{self.target}"


def address(url: str) -> Address:
    """Parse a URL. Spaces and non-ASCII letters are escaped, the host name becomes ASCII, a fragment is dropped.

    Raises:
        PictureError: `unsupported`; not http or https, or not a URL.
    """
    try:
        return _parse(url)
    except ValueError as error:
        raise PictureError("unsupported", f"not a URL: {error}") from error


def join(base: Address, location: str) -> Address:
    """Resolve the value of a Location header against the URL that was asked for.

    The user name and password stay only with the same scheme, host and port.

    Raises:
        PictureError: `http_status`, it is not a URL; or `unsupported`, it cannot be fetched.
    """
    from urllib.parse import urljoin  # only a redirect needs it

    try:
        url = urljoin(str(base), location)
    except ValueError:  # whose message may quote all of it
        raise PictureError("http_status", "not a URL") from None
    try:
        joined = _parse(url)
    except ValueError as error:
        raise PictureError("http_status", f"not a URL: {error}") from error
    return joined._replace(userinfo=joined.userinfo or base.userinfo) if joined[:3] == base[:3] else joined


def mirror_address(base: str) -> Address:
    """Parse `--mirror`. A user name and password stay: stores in closed networks ask for them.

    Raises:
        UsageError: not an http or https URL, or one with a query or a fragment: paths cannot be appended to it.
    """
    base = base.strip()
    from birdlite.redaction import redacted

    shown = redacted(base).encode("unicode_escape").decode("ascii")  # one line, without secrets
    if re.search(r"[?#\s\x00-\x1f\x7f]", base):
        raise UsageError(f"--mirror {shown}: a mirror's URL has no query, no fragment and no spaces")
    try:
        mirror = address(base)
    except PictureError as error:
        raise UsageError(f"--mirror {shown}: a mirror is an http:// or https:// URL") from error
    return mirror._replace(target=mirror.target.rstrip("/") + "/")


def under_mirror(target: Address, mirror: Address) -> Address:
    """Find where a mirror has `target`: with its port, unless it is the default one, and its query.

    A target that is under the mirror already stays as it is, so that redirects within the mirror work.

    Raises:
        PictureError: `unsupported`; its path climbs, perhaps out of the mirror's own.
    """
    if re.search(r"(?:^|[/\\]|%2f|%5c)(?:\.|%2e){2}(?=[/\\;]|%2f|%5c|$)", target.path, re.IGNORECASE):
        raise PictureError("unsupported", "a mirror is not asked for a path with ..")
    if target[:3] == mirror[:3] and target.target.startswith(mirror.target):
        return target._replace(userinfo=mirror.userinfo)
    return mirror._replace(target=f"{mirror.target}{target.netloc}{target.target}")


def quote(text: str) -> str:
    """Percent-encode what a URL must not contain, and leave existing escapes alone. `targets` uses it too.

    Raises:
        UnicodeEncodeError: it holds half of a surrogate pair, as JSON text may.
    """
    octets = text.encode("utf-8", "surrogateescape")
    return _ILLEGAL.sub(lambda match: b"%%%02X" % ord(match[0]), octets).decode("ascii")


def _parse(url: str) -> Address:
    """Do the work of `address`.

    Raises:
        ValueError: it is not a URL. The message says why.
        PictureError: `unsupported`; it is a URL that cannot be fetched.
    """
    if len(url) > _LONGEST:
        raise ValueError("URL too long")
    url.encode()  # raises for half of a surrogate pair
    if re.search(r"[\x00-\x1f\x7f]", url):
        raise ValueError("Invalid non-printable ASCII character in it")
    parts = re.fullmatch(r"([A-Za-z][A-Za-z0-9+.\-]*):(?://([^/?#]*))?([^#]*)(?:#.*)?", url)
    scheme = parts[1].lower() if parts else ""
    if parts is None or scheme not in _PORTS:
        raise PictureError("unsupported", f"{scheme[:40] or 'no scheme'}: only http and https can be fetched")
    userinfo, _, place = (parts[2] or "").rpartition("@")
    host, port = _host_and_port(place, _PORTS[scheme])
    target = quote(parts[3] if parts[3].startswith("/") else f"/{parts[3]}")
    return Address("https" if scheme == "https" else "http", host, port, target, quote(userinfo))


def _host_and_port(place: str, default: int) -> tuple[str, int]:
    if place.startswith("["):
        host, bracket, rest = place[1:].partition("]")
        if not bracket or not _is_address(socket.AF_INET6, host) or rest[:1] not in ("", ":"):
            raise ValueError("Invalid IPv6 address")
        host, port = host.lower(), rest[1:]
    else:
        name, _, port = place.partition(":")
        host = _ascii(name)
    if port and not (port.isascii() and port.isdigit()):
        raise ValueError("Invalid port")  # which may be a part of a password
    if port and not 0 < int(port[:7]) < 65536:
        raise PictureError("unsupported", "no such port")
    return host, int(port) if port else default


def _ascii(name: str) -> str:
    """Give the host name in ASCII."""
    if not name.strip("."):
        raise PictureError("unsupported", "the URL names no host")
    if not name.isascii():
        import idna  # IDNA 2008; Python's own codec knows only the rules of 2003

        try:
            name = idna.encode(name.lower()).decode("ascii")
        except idna.IDNAError as error:
            raise ValueError("Invalid IDNA hostname") from error
    if _NOT_IN_A_HOST.search(name):
        raise ValueError("Invalid character in the host's name")
    if re.fullmatch(r"\d+\.\d+\.\d+\.\d+", name) and not _is_address(socket.AF_INET, name):
        raise ValueError("Invalid IPv4 address")
    return name.lower()


def _is_address(family: int, text: str) -> bool:
    try:
        socket.inet_pton(family, text)
    except OSError:
        return False
    return True
