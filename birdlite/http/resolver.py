"""Finds the addresses of hosts within a deadline. `network` asks it before it connects.

The system's `getaddrinfo` cannot be interrupted, and waits 10 s and more for a name server that is silent. So it runs
in a thread of its own, which is left behind when the time is up. Requests that ask for the same host at the same time
share one thread, and there are at most `MOST_LOOKUPS` of them.
"""

from __future__ import annotations

import socket
import threading

from birdlite.deadline import POLL_S, Deadline
from birdlite.errors import PictureError, one_line
from birdlite.http.sockets import TransientError, reason

MOST_LOOKUPS = 32
"""Threads that look up names. A silent name server may hold all of them until the system gives up."""

_LONGEST_LABEL, _LONGEST_NAME = 63, 253  # RFC 1035: characters between two dots, and in all
_NO_SUCH_HOST = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}

Place = tuple[int, int, int, tuple[str, int]]
"""Family, type, protocol, and an address as `socket.connect` takes it."""


class Resolver:
    """Looks up names for any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: dict[tuple[str, int], _Lookup] = {}

    def places(self, host: str, port: int, deadline: Deadline) -> list[Place]:
        """Find the addresses of a host.

        Raises:
            PictureError: `not_found` if there is no such host; out of time, cancelled; or a `TransientError` if the
                name service does not answer.
        """
        labels = host.removesuffix(".").split(".")
        if len(host) > _LONGEST_NAME or not all(0 < len(label) <= _LONGEST_LABEL for label in labels):
            raise PictureError("not_found", f"{one_line(host)} is not a valid host name")
        if _is_address(host):
            lookup = _Lookup(host, port)
            lookup.run()
        else:
            lookup = self._wait(host, port, deadline)
        if lookup.error is not None:
            raise _failure(host, lookup.error) from lookup.error
        return list(dict.fromkeys(lookup.places))

    def _wait(self, host: str, port: int, deadline: Deadline) -> _Lookup:
        """Give a finished lookup."""
        doing, deadline.doing = deadline.doing, f"waiting for the address of {host}"
        while (lookup := self._begun(host, port)) is None:
            deadline.wait(POLL_S)
        while not lookup.done.wait(min(POLL_S, deadline.left())):
            pass
        deadline.doing = doing
        return lookup

    def _begun(self, host: str, port: int) -> _Lookup | None:
        """Join or begin a lookup; None if too many are under way."""
        key = host, port
        with self._lock:
            lookup = self._under_way.get(key)
            if lookup is None and len(self._under_way) < MOST_LOOKUPS:
                lookup = _Lookup(host, port)
                threading.Thread(target=self._run, args=(key, lookup), name="birdlite-resolve", daemon=True).start()
                self._under_way[key] = lookup
            return lookup

    def _run(self, key: tuple[str, int], lookup: _Lookup) -> None:
        try:
            lookup.run()
        finally:
            with self._lock:
                del self._under_way[key]
            lookup.done.set()


class _Lookup:
    """One question to the system, and its answer."""

    def __init__(self, host: str, port: int) -> None:
        self._asked = host, port
        self.done = threading.Event()
        self.places: list[Place] = []
        self.error: OSError | None = None

    def run(self) -> None:
        host, port = self._asked
        try:
            # As bytes: for text, Python would import its codec for international names, and this one is ASCII.
            found = socket.getaddrinfo(host.encode("ascii"), port, type=socket.SOCK_STREAM)
        except OSError as error:
            self.error = error
            return
        self.places = [(family, kind, protocol, place) for family, kind, protocol, _, place in found]  # type: ignore[misc]


def _failure(host: str, error: OSError) -> PictureError:
    if not isinstance(error, socket.gaierror):
        return TransientError("network", f"no connection to {host}: {reason(error)}")
    if error.errno in _NO_SUCH_HOST:
        return PictureError("not_found", f"cannot resolve {host} (no network?)", temporary=True)
    return TransientError("network", f"cannot resolve {host} at the moment: {error.strerror}")


def _is_address(host: str) -> bool:
    """True if there is nothing to look up. `1.2.3.4` and `::1` are addresses."""
    return ":" in host or host.replace(".", "").isdigit()
