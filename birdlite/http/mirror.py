"""Where a fetch goes when there is a mirror: `https://HOST/PATH` is asked for at `BASE/HOST/PATH`.

`fetcher` sends every URL through here, and every hop of a redirect. A static file server over folders named after hosts
is a mirror. The escapes of PATH stay as they are: the server decodes them.
"""

from __future__ import annotations

import re

from birdlite.errors import PictureError, UsageError

_DEFAULT_PORTS = {"http": "80", "https": "443"}


def check_mirror(base: str) -> str:
    """Normalise `base` for `rewrite`: lower case, no default port, no slash at the end.

    A user name and password stay: stores in closed networks ask for them.

    Raises:
        UsageError: not an http or https URL, or one with a query or a fragment: paths cannot be appended to it.
    """
    parts = _split(base.strip())
    if parts is None:
        raise UsageError(f"--mirror {_shown(base)}: a mirror is an http:// or https:// URL")
    scheme, userinfo, authority, rest = parts
    if "?" in rest or "#" in base or re.search(r"[\s\x00-\x1f\x7f]", base.strip()):
        raise UsageError(f"--mirror {_shown(base)}: a mirror's URL has no query, no fragment and no spaces")
    return f"{scheme}://{userinfo}{authority}{rest.rstrip('/')}"


def rewrite(url: str, base: str) -> str:
    """Give the address of `url` under `base`, a mirror from `check_mirror`.

    The port stays unless it is the default one (`BASE/HOST:PORT/PATH`), and the query stays; user names and fragments
    are dropped. A URL that is under `base` already stays as it is, so that redirects within the mirror work.

    Raises:
        PictureError: `unsupported`; not http or https, or without a host name. Nothing is fetched past the mirror.
    """
    parts, home = _split(url), _split(base)
    if parts is None or home is None:
        raise PictureError("unsupported", "not an http or https URL with a host name")
    scheme, _, authority, rest = parts
    home_scheme, _, home_authority, home_path = home
    if (scheme, authority) == (home_scheme, home_authority) and rest.startswith(home_path + "/"):
        return base + rest[len(home_path) :]
    return f"{base}/{authority}{rest}"


def _split(url: str) -> tuple[str, str, str, str] | None:
    """Split into (scheme, "user:password@" or "", host and port, path and query from "/"); None: not http(s)."""
    match = re.fullmatch(r"(https?)://([^/?#]*)([^#]*)(?:#.*)?", url, re.IGNORECASE | re.DOTALL)
    if match is None:
        return None
    scheme, netloc, rest = match[1].lower(), match[2], match[3]
    userinfo, at, authority = netloc.rpartition("@")
    authority = authority.lower()
    host, colon, port = authority.rpartition(":")
    if colon and port in ("", _DEFAULT_PORTS[scheme]):
        authority = host
    if not authority.strip("."):  # a host called ".." would lead out of the mirror
        return None
    return scheme, userinfo + at, authority, rest if rest.startswith("/") else "/" + rest


def _shown(base: str) -> str:
    """Show `base` in a message: on one line, and without a password."""
    return re.sub(r"//[^/?#]*@", "//", base).encode("unicode_escape").decode("ascii")
