"""URLs of targets: http(s) ones encoded as a server wants them, `file:` ones as paths. `expand` calls it."""

from __future__ import annotations

import os
import re


def location(url: str, scheme: str) -> str:
    """Encode characters that are not allowed in a URL.

    Percent-encoded characters stay as they are. A host outside ASCII stays too: the HTTP client turns it into IDNA.

    Raises:
        ValueError: no server can be asked for this URL; a clause for the user.
    """
    if re.fullmatch(_PLAIN_URL, url):
        return url
    if scheme not in ("http", "https"):
        raise ValueError(f"{scheme}: is not supported, only http, https, s3, gs and az")
    rest = url.partition("#")[0].partition(":")[2]
    authority = re.split("[/?]", rest[2:], maxsplit=1)[0]
    tail = rest[2 + len(authority) :]
    user, at, place = authority.rpartition("@")
    host_and_port = re.fullmatch(_HOST_AND_PORT, place)
    if not rest.startswith("//") or host_and_port is None or not place.isprintable():
        raise ValueError("no usable host in this URL")
    if host_and_port[1] and not 0 < int(host_and_port[1]) < 1 << 16:
        raise ValueError("no such port")
    if not tail.startswith("/"):
        tail = "/" + tail
    from birdlite.http.address import quote

    try:
        return f"{scheme}://{quote(user)}{at}{place}{quote(tail)}"
    except UnicodeEncodeError:  # half of a surrogate pair, from JSON
        raise ValueError("broken characters in this URL") from None


def file_path(url: str) -> str:
    """The path of a `file:` URL of this machine, as file managers and browsers give it.

    Raises:
        ValueError: it is of another machine; a clause for the user.
    """
    from urllib.parse import unquote_to_bytes

    rest = url.partition(":")[2]
    if rest.startswith("//"):
        host, slash, rest = rest[2:].partition("/")
        if host.lower() not in ("", "localhost", "127.0.0.1"):
            raise ValueError(f"the file is on another machine, {host}")
        rest = slash + rest
    try:
        return os.fsdecode(unquote_to_bytes(rest.encode("utf-8", "surrogateescape")))
    except UnicodeEncodeError:
        raise ValueError("broken characters in this URL") from None


_PLAIN_URL = r"https?://[A-Za-z0-9.-]+(?::[1-9][0-9]{0,3})?/[A-Za-z0-9/._~!$&'()*+,;=:@?-]*"
"""URLs that need no encoding, as nearly all. Speed matters: every shard reads all lines of a list."""

_HOST_AND_PORT = r"""(?:\[[0-9A-Fa-f:.]+\]|[^\s"%<>\\^`{|}\[\]:]+)(?::([0-9]{0,5}))?"""
