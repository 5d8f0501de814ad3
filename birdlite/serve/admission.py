"""Who may wait, and who is told at once to come back later. The app asks before it reads a body, and for each picture.

A picture that is admitted either runs at once or waits its turn, first come, first served. At most `queue` wait. Who
would wait longer than its request has time is refused too: its answer would come too late, and only cost the others.
Everything here belongs to the event loop, so there are no locks.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from typing import Literal

from birdlite.timing import clock

Lane = Literal["upload", "url"]
"""Uploads need a worker at once; URLs are waited for first, so more of them run."""

_WEIGHT = 0.1  # of the newest time in the moving average
_FIRST_GUESS_S = 0.05


class Overloaded(Exception):
    """The picture cannot be taken on now."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"too many pictures are waiting; try again in {retry_after} s")
        self.retry_after = retry_after  # s


class Admission:
    """Counts the pictures that run and wait."""

    def __init__(self, queue: int, *, uploads: int, urls: int) -> None:
        """At most `queue` pictures wait. So many of each lane run at once."""
        self.queue = queue
        self.waiting = 0
        self._lanes = {"upload": _Lane(uploads), "url": _Lane(urls)}

    @property
    def running(self) -> int:
        """Pictures that are under way."""
        return sum(lane.running for lane in self._lanes.values())

    def check(self, lane: Lane, pictures: int, seconds: float) -> None:
        """Refuse what cannot be taken on anyway, before its body is read.

        Raises:
            Overloaded: `pictures` more do not fit in, or would wait longer than `seconds`.
        """
        chosen = self._lanes[lane]
        more = max(0, pictures - chosen.free)
        wait = chosen.wait(more)
        if self.waiting + more > self.queue or wait > seconds:
            raise Overloaded(max(1, math.ceil(min(wait, 60.0))))

    async def enter(self, lane: Lane, until: float) -> None:
        """Wait for the turn of one picture; `until` is on `timing.clock`. `leave` must follow.

        Raises:
            Overloaded: it cannot wait.
            asyncio.TimeoutError: `until` came first.
        """
        self.check(lane, 1, until - clock())
        chosen = self._lanes[lane]
        if chosen.free:
            chosen.running += 1
        else:
            await self._wait(chosen, until)

    def leave(self, lane: Lane, took: float) -> None:
        """Hand the place of a picture, which had its turn for so many s, to the next one."""
        self._lanes[lane].leave(took)

    async def _wait(self, lane: _Lane, until: float) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        lane.waiting.append(turn)
        self.waiting += 1
        try:
            await asyncio.wait_for(asyncio.shield(turn), max(0.0, until - clock()))
        except BaseException:
            if turn.done():
                lane.leave(None)  # the turn came at the same moment
            else:
                lane.waiting.remove(turn)
            raise
        finally:
            self.waiting -= 1


class _Lane:
    """The pictures of one kind."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._takes = _FIRST_GUESS_S  # s for a picture, from its turn to its result: a moving average
        self.running = 0
        self.waiting: deque[asyncio.Future[None]] = deque()

    @property
    def free(self) -> int:
        """How many could run at once."""
        return 0 if self.waiting else self._limit - self.running

    def wait(self, more: int) -> float:
        """How long the last one of `more` pictures would wait, in s."""
        return (len(self.waiting) + more) * self._takes / self._limit if more else 0.0

    def leave(self, took: float | None) -> None:
        """Hand the place of a picture to the next one. `took` is None if it did not run."""
        if took is not None:
            self._takes += _WEIGHT * (took - self._takes)
        if self.waiting:
            self.waiting.popleft().set_result(None)
        else:
            self.running -= 1
