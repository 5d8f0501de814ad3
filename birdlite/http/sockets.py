"""TCP connections to hosts, within deadlines. `network` opens them, `tls` encrypts them, `client` speaks HTTP on them.

A wait asks the `Deadline` of its fetch and lasts at most a tenth of a second at a time. So a server that sends one byte
every nine seconds delays no fetch beyond its deadline, and an interrupted run drops all its connections at once. Two
waits cannot be interrupted and have timeouts of their own: resolving a name and making a connection.

Errors are `PictureError`s that name the host; a `TransientError` where another try may help.
"""

from __future__ import annotations

import errno
import select
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from birdlite.deadline import POLL_S, Deadline
from birdlite.errors import PictureError
from birdlite.http.retry import TransientError
from birdlite.namedtuple import NamedTuple

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

    Permit = Callable[[IPv4Address | IPv6Address], None]
    """Raises a `PictureError` for an address that must not be connected to."""

_PIECE = 64 * 1024  # bytes received at once
_SHOWN = 160  # characters of a name or of a library's message: either may be a server's garbage
_LONGEST_LABEL, _LONGEST_NAME = 63, 253  # RFC 1035: characters between two dots, and in all
_NO_SUCH_HOST = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}

_Place = tuple[int, int, int, tuple[str, int]]  # family, type, protocol, address as `socket.connect` takes it


class Timeouts(NamedTuple):
    """How long one request may wait, in s."""

    deadline: Deadline  # for everything
    connect: float  # for one of a host's addresses
    read: float  # without a byte from the server


class Stream(Protocol):
    """A connection to a host, encrypted or not."""

    host: str

    def send(self, data: bytes, timeouts: Timeouts) -> None:
        """Send all of `data`.

        Raises:
            PictureError: out of time, cancelled, or a `TransientError`.
        """

    def receive(self, timeouts: Timeouts) -> bytes:
        """Wait for bytes and return some; b"" at the end of the connection. Raises as `send` does."""

    def is_readable(self) -> bool:
        """True if unread data or the end of the connection is pending."""

    def close(self) -> None:
        """Close the connection."""


class Tcp:
    """A connection that is not encrypted. Made by `connect`."""

    def __init__(self, host: str, connected: socket.socket) -> None:
        self.host = host
        self._socket = connected

    def send(self, data: bytes, timeouts: Timeouts) -> None:
        """See `Stream`."""
        self._socket.settimeout(min(timeouts.deadline.left(), timeouts.read))
        try:
            self._socket.sendall(data)
        except TimeoutError:
            raise TransientError("timeout", f"{self.host} has stopped receiving") from None
        except OSError as error:
            raise broken(self.host, error) from error

    def receive(self, timeouts: Timeouts) -> bytes:
        """See `Stream`."""
        until = time.monotonic() + timeouts.read
        while True:
            self._socket.settimeout(min(timeouts.deadline.left(), max(0.001, until - time.monotonic()), POLL_S))
            try:
                return self._socket.recv(_PIECE)
            except TimeoutError:
                if time.monotonic() >= until:
                    raise TransientError("timeout", f"{self.host} has stopped sending") from None
            except OSError as error:
                raise broken(self.host, error) from error

    def is_readable(self) -> bool:
        """See `Stream`. Leaves the socket's timeout alone: another thread may be about to use it."""
        poll = select.poll()
        try:
            poll.register(self._socket, select.POLLIN)
        except ValueError:  # it is closed
            return True
        return bool(poll.poll(0))

    def close(self) -> None:
        """See `Stream`."""
        self._socket.close()


def connect(host: str, port: int, timeouts: Timeouts, permit: Permit | None = None) -> Tcp:
    """Try the host's addresses in turn, all of them within the deadline.

    `permit` is called with every address of the host before the first is tried, and may raise. The name is resolved
    once: the addresses that were checked are the ones that are connected to.

    Raises:
        PictureError: `not_found` if the name does not resolve; out of time, cancelled; what `permit` raises; or a
            `TransientError`.
    """
    places = _resolve(host, port)
    if permit is not None:
        _check(places, permit)
    failure = TransientError("network", f"no connection to {brief(host)}: it has no address")
    for family, kind, protocol, place in places:
        connected = socket.socket(family, kind, protocol)
        try:
            connected.settimeout(min(timeouts.connect, timeouts.deadline.left()))
            connected.connect(place)
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except TimeoutError:
            failure = TransientError("timeout", f"no connection to {host} in time")
        except OSError as error:
            failure = TransientError("network", f"no connection to {host}: {reason(error)}")
        except PictureError:
            connected.close()
            raise
        else:
            return Tcp(host, connected)
        connected.close()
    raise failure


def _resolve(host: str, port: int) -> list[_Place]:
    """Find the addresses of a host."""
    labels = host.removesuffix(".").split(".")
    if len(host) > _LONGEST_NAME or not all(0 < len(label) <= _LONGEST_LABEL for label in labels):
        raise PictureError("not_found", f"{brief(host)} is not a valid host name")
    try:
        # As bytes: for text, Python would import its codec for international names, and this one is ASCII.
        found = socket.getaddrinfo(host.encode("ascii"), port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno in _NO_SUCH_HOST:
            raise PictureError("not_found", f"cannot resolve {host} (no network?)") from error
        raise TransientError("network", f"cannot resolve {host} at the moment: {error.strerror}") from error
    except OSError as error:
        raise TransientError("network", f"no connection to {host}: {reason(error)}") from error
    places = ((family, kind, protocol, place) for family, kind, protocol, _, place in found)
    return list(dict.fromkeys(places))  # type: ignore[arg-type]  # places of internet sockets: (host, port, …)


def _check(places: list[_Place], permit: Permit) -> None:
    from ipaddress import ip_address  # only a guarded run needs it

    for *_, place in places:
        permit(ip_address(place[0]))


def broken(host: str, error: OSError) -> TransientError:
    """Make the failure of a connection that worked until now."""
    return TransientError("network", f"the connection to {host} broke: {reason(error)}")


def reason(error: OSError) -> str:
    """Describe an error in the system's own words, or else the library's."""
    if error.errno in errno.errorcode and error.strerror:
        return error.strerror
    return brief(str(error) or type(error).__name__)


def brief(text: str) -> str:
    """Cut `text` to one short line of printable characters."""
    text = "".join(c if c.isprintable() else " " for c in text)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
