"""The bodies of requests within bounds: bytes of one, and bytes of all that are in memory. `intake` reads them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from birdlite.serve.problems import Overloaded, Problem

if TYPE_CHECKING:
    from starlette.requests import Request


class Bodies:
    """The bytes of all bodies that are in memory. What does not fit in is refused."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0


class Room:
    """What one request has of `Bodies`, until it is given back."""

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies
        self.taken = 0

    def check(self, size: int) -> None:
        """Look whether there is room for `size` bytes more. Who only promises to send them has no claim to it yet.

        Raises:
            Problem: there never is.
            Overloaded: there is none now.
        """
        limit = self._bodies.limit
        if self.taken + size > limit:
            raise Problem(413, f"there is memory for {limit} bytes; the body has more", kind="too_large")
        if self._bodies.held + size > limit:
            raise Overloaded("there is no memory for this body now")

    def take(self, size: int) -> None:
        """Take room for `size` bytes more.

        Raises:
            Problem: as for `check`.
        """
        self.check(size)
        self._bodies.held += size
        self.taken += size

    def give_back(self) -> None:
        """Give back all of it."""
        self._bodies.held -= self.taken
        self.taken = 0


async def whole(request: Request, most: int, room: Room) -> bytes:
    """A body of at most `most` bytes.

    Raises:
        Problem: as for `pieces`.
    """
    parts = [part async for part in pieces(request, most, room)]
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def pieces(request: Request, most: int, room: Room) -> AsyncGenerator[bytes, None]:
    """The pieces of a body, as they arrive.

    Raises:
        Problem: it has more than `most` bytes, or there is no room for it.
        ClientDisconnect: the client has gone.
    """
    length = int(request.headers.get("content-length", "0"))  # the connection has refused what is no number
    if length > most:
        raise Problem(413, f"the body has {length} bytes; at most {most} are taken", kind="too_large")
    room.check(length)
    came = 0
    async for part in request.stream():
        came += len(part)
        if came > most:
            raise Problem(413, f"the body has more than the {most} bytes that are taken", kind="too_large")
        room.take(len(part))
        if part:
            yield part
