"""The guard of `--public-only`: URLs of strangers lead to public addresses at usual ports only. `fetcher` makes one.

A stranger's URL must not reach what this process can reach and the stranger cannot. `check` looks at every URL before
it is asked for, and `permit` at every address before it is connected to: see `public` for what is refused. Refusals are
`blocked`, and say no more than what to do.

What the operator has named himself is trusted, exactly by host and port: the mirror, `--allow-host`, the URL of a model
on the command line, and proxies as proxies.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterable

from birdlite import log
from birdlite.deadline import Deadline
from birdlite.errors import PictureError, UsageError
from birdlite.http.address import Address, address
from birdlite.http.public import Ip, why_not_public, why_not_public_name
from birdlite.settings import FetchSettings

USUAL_PORTS = frozenset({80, 443})

NOT_PUBLIC = "no public address (private, or unknown here); --allow-host HOST:PORT opens a private one"
"""What a stranger is told of a host that is private, unknown or not to be reached for any other reason of ours."""

_NOT_THIS_PORT = "not at port 80 or 443; --allow-port opens others"
_LOOKUP_S = 2.0  # networks with a proxy often know no names of the Internet, and some never answer
_MOST_PASSED = 10_000  # servers that are remembered
_HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/?#@\[\]*]+)(:\d{1,5})?")

LookUp = Callable[[Deadline], object]
"""Resolves a host, and lets `Guard.permit` see its addresses."""


class Guard:
    """What one fetcher may connect to. Any thread may use it."""

    def __init__(self, settings: FetchSettings, named: Iterable[Address], proxies: Iterable[Address]) -> None:
        """`named` are URLs of the operator, whose servers are trusted.

        Raises:
            UsageError: a value of --allow-host is not HOST or HOST:PORT.
        """
        self._ports = USUAL_PORTS | set(settings.allow_ports)
        self._servers = {(_plain(place.host), place.port) for place in named}
        self._hosts = set[str]()  # at every permitted port
        self._proxies = {(_plain(place.host), place.port) for place in proxies}
        self._passed = set[tuple[str, int]]()  # behind a proxy
        for value in ",".join(settings.allow_hosts).split(","):
            if value.strip():
                self._allow(value.strip())

    def check(self, target: Address, *, mirrored: bool = False) -> None:
        """Look at a URL before it is asked for: its port, and what its host is called.

        The port of a URL that a mirror answers is only a part of a path.

        Raises:
            PictureError: `blocked`.
        """
        if self._trusts(target.host, target.port):
            return
        why = why_not_public_name(target.host)
        if why is None and (_plain(target.host), target.port) in self._proxies:
            why = "a proxy"
        if why is not None:
            raise _refusal(NOT_PUBLIC, target.host, why)
        if target.port not in self._ports and not mirrored:
            raise _refusal(_NOT_THIS_PORT, target.host, f"port {target.port}")

    def permit(self, host: str, port: int, found: Iterable[Ip]) -> None:
        """Look at all addresses of a host before a connection is made to any of them.

        Raises:
            PictureError: `blocked`; one of them is not public.
        """
        if self._trusts(host, port) or (_plain(host), port) in self._proxies:
            return
        for one in found:
            why = why_not_public(one)
            if why is not None:
                raise _refusal(NOT_PUBLIC, host, f"{one}: {why}")

    def check_behind_proxy(self, target: Address, look_up: LookUp, deadline: Deadline) -> None:
        """Look up a host that a proxy will connect to, once a run. A host that is not known here is left to the proxy.

        Raises:
            PictureError: `blocked`, one of its addresses is not public; `cancelled`.
        """
        server = _plain(target.host), target.port
        if server in self._passed:
            return
        try:
            look_up(deadline.part(_LOOKUP_S))
        except PictureError as error:
            if error.kind in ("blocked", "cancelled"):
                raise
        if len(self._passed) >= _MOST_PASSED:
            self._passed.clear()
        self._passed.add(server)

    def _trusts(self, host: str, port: int) -> bool:
        host = _plain(host)
        return (host, port) in self._servers or (host in self._hosts and port in self._ports)

    def _allow(self, value: str) -> None:
        """Take one value of --allow-host."""
        text = f"[{value}]" if value.count(":") > 1 and not value.startswith("[") else value
        parts = _HOST_AND_PORT.fullmatch(text)
        try:
            place = address(f"http://{text}/")
        except PictureError:
            place = None
        if parts is None or place is None:
            raise UsageError(f"--allow-host {value!a}: must be HOST or HOST:PORT")
        if parts[2]:
            self._servers.add((_plain(place.host), place.port))
        else:
            self._hosts.add(_plain(place.host))


def _plain(host: str) -> str:
    """A host in one spelling: names without a dot at the end, addresses of IPv6 as digits behind a colon."""
    return f":{socket.inet_pton(socket.AF_INET6, host).hex()}" if ":" in host else host.lower().rstrip(".")


def _refusal(words: str, host: str, why: str) -> PictureError:
    """Make the failure. Only the operator's log says why."""
    log.debug("blocked", host=host, reason=why)
    return PictureError("blocked", words)
