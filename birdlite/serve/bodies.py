"""The bodies of requests within bounds: bytes of one, and bytes of all that are in memory. `intake` reads them.

When connections are short, the body that comes most slowly is given up. So nobody keeps others out with many bodies
that hardly come. (A bound for each client's address would not do: behind a balancer, all have the same.)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from birdlite.serve.problems import Overloaded, Problem
from birdlite.timing import clock

if TYPE_CHECKING:
    from starlette.requests import Request

LEAST_RATE = 16 << 10
"""Bytes a second. A body that comes faster is never given up for another one."""

YOUNG_S = 1.0
"""s after its request's head in which a body is not called slow."""


class Bodies:
    """The bytes of all bodies that are in memory. What does not fit in is refused."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0
        self.coming: dict[Room, Callable[[], object]] = {}  # bodies that are read, and how to stop that

    def give_up_slowest(self) -> bool:
        """Give up the body that comes most slowly, unless all come fast enough: then it is False."""
        now = clock()
        rates = {room: room.rate(now) for room in self.coming if now - room.began > YOUNG_S}
        slowest = min(rates, key=rates.__getitem__, default=None)
        if slowest is None or rates[slowest] >= LEAST_RATE:
            return False
        slowest.give_up("the body comes too slowly, and others need the connection")
        return True


class Room:
    """What one request has of `Bodies`, until it is given back."""

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies
        self.taken = 0
        self.began = clock()
        self._given_up = ""  # why

    def rate(self, now: float) -> float:
        """Bytes a second, until now."""
        return self.taken / (now - self.began)

    def give_up(self, why: str) -> None:
        """Do not wait for the rest of the body."""
        if stop := self._bodies.coming.pop(self, None):
            self._given_up = why
            stop()

    @contextmanager
    def filling(self, seconds: float) -> Iterator[None]:
        """While the body is read, for at most so many s. It may be given up before.

        Raises:
            Problem: it was.
        """
        if task := asyncio.current_task():
            self._bodies.coming[self] = task.cancel
        late = asyncio.get_running_loop().call_later(
            seconds, self.give_up, f"the body did not arrive within {seconds:g} s"
        )
        try:
            yield
        except asyncio.CancelledError:
            if not self._given_up:
                raise
            raise Problem(408, self._given_up, kind="timeout") from None
        finally:
            late.cancel()
            self.expect_no_more()

    def expect_no_more(self) -> None:
        """All of the body is here, or nobody waits for it: it is not given up any more."""
        self._bodies.coming.pop(self, None)

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
    room.expect_no_more()
