"""Digest authentication (RFC 7616), which most cameras ask for, by httpx. Only `client` uses it, after a 401.

A first request carries the user name and password as Basic, which many servers take. One that asks for Digest gets
the answer to its challenge. The challenge is remembered, so that the next picture from there needs one request only.
"""

from __future__ import annotations

import re
import threading
from urllib.parse import unquote_to_bytes

import httpx

from birdlite.http.address import Address
from birdlite.http.network import Fields

_MOST_KNOWN = 1000  # servers whose challenge is remembered
_NEXT_CHALLENGE = re.compile(r",\s*(?=[A-Za-z][A-Za-z0-9-]*\s+[A-Za-z0-9-]+\s*=)")

Signed = tuple[Address, Fields]
"""What to ask for, without the user name and password, and the header that stands for them."""


class Digests:
    """The challenges of all servers that asked for Digest. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # the counts of requests in `_known` must not be used twice
        self._known: dict[Address, httpx.DigestAuth] = {}

    def before(self, target: Address) -> Signed | None:
        """Sign a request to a server that asked for Digest before."""
        with self._lock:
            auth = self._known.get(_server(target))
            return None if auth is None else _sign(auth, target)

    def after(self, target: Address, refusal: httpx.Response) -> Signed | None:
        """Answer the challenge of a 401; None if it has none that httpx can answer."""
        user, _, password = target.userinfo.partition(":")
        for challenge in challenges(refusal):
            auth = httpx.DigestAuth(unquote_to_bytes(user), unquote_to_bytes(password))
            try:
                signed = _sign(auth, target, challenge)
            except (StopIteration, LookupError, ValueError, NotImplementedError, httpx.ProtocolError):
                continue  # Basic, an algorithm that httpx does not know, or a parameter without a value
            with self._lock:
                if len(self._known) >= _MOST_KNOWN:
                    self._known.clear()
                self._known[_server(target)] = auth
            return signed
        return None


def challenges(refusal: httpx.Response) -> list[str]:
    """Give the ways in which a server that answered 401 would know its users, each with its parameters."""
    fields = refusal.headers.get_list("WWW-Authenticate")
    return [challenge.strip() for field in fields for challenge in _NEXT_CHALLENGE.split(field)]


def _sign(auth: httpx.DigestAuth, target: Address, challenge: str | None = None) -> Signed:
    """Let httpx sign a request. It signs the path as it writes it, so that path is asked for."""
    flow = auth.auth_flow(httpx.Request("GET", str(target._replace(userinfo=""))))
    request = next(flow)
    if challenge is not None:
        request = flow.send(httpx.Response(401, headers={"WWW-Authenticate": challenge}, request=request))
    asked = target._replace(userinfo="", target=request.url.raw_path.decode("ascii"))
    return asked, [("Authorization", request.headers["Authorization"])]


def _server(target: Address) -> Address:
    return target._replace(target="")
