"""Who may wait, and who is told at once to come back later. The app asks before it reads a body, and `pictures` then.

A picture that is admitted has a `Place`: it runs at once, or waits for its turn, first come, first served. Pictures
that are sent and pictures that are fetched wait apart, so slow servers of others do not keep those that are sent from
being classified. At most `queue` wait in each lane. Who would wait longer than there is time for is refused too: the
answer would come too late, and only cost the others.

How long they would wait is a guess, by what the last pictures took and how long those that run have taken by now. So
that `max_wait` is a promise all the same, a request of which no picture has its turn by then is refused then.

A queue evens out chance, and nothing else. If more comes than can be answered, it only makes all wait as long as the
longest. So pictures wait for at most `max_wait`, and for less the more requests had to be refused lately. When those
are two in five, only a picture that need not wait is taken on, and it is answered as fast as ever. When no more came
for a while than could be answered, the overload is over, whatever had to be refused: bursts may fill the queue again.

Everything here belongs to the event loop, so there are no locks.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Literal, get_args

from birdlite.serve.problems import Overloaded, Problem
from birdlite.timing import clock

if TYPE_CHECKING:
    from birdlite.run.single import Single

Lane = Literal["upload", "url"]
LANES: tuple[Lane, ...] = get_args(Lane)

TOO_MANY = "too many pictures are waiting"

_WEIGHT = 0.1  # of the newest time in the moving average
_FIRST_GUESS_S = 0.05
_OVERLOAD = 0.4  # of the requests are refused: nothing may wait any more
_LOOK_S = 5.0  # of requests, by which it is judged whether all could be answered
_NEWEST = 0.02  # the weight of the newest request in that; with a larger one, the wait swings between all and nothing


class Admission:
    """The pictures that run and wait."""

    def __init__(self, queue: int, max_wait: float, *, uploads: int, urls: int) -> None:
        """At most `queue` pictures wait in each lane, for at most `max_wait` s, and so many run at once.

        As many as `uploads` keep all workers busy.
        """
        self.queue = queue
        self._max_wait = max_wait
        self._enough = uploads
        self._slots = uploads + urls
        self._lanes: dict[Lane, _Lane] = {"upload": _Lane(uploads), "url": _Lane(urls)}
        self._looked = clock()  # s on it; when the overload was looked at last

    def running(self, lane: Lane) -> int:
        """How many pictures are under way."""
        return len(self._lanes[lane].running)

    def waiting(self, lane: Lane) -> int:
        """How many pictures wait for their turn."""
        return len(self._lanes[lane].waiting)

    def check(self, lane: Lane, pictures: int, until: float) -> None:
        """Refuse what cannot be taken on. `until`, on `timing.clock`, is when the answer must be there.

        Raises:
            Problem: so many never fit in.
            Overloaded: so many more do not fit in now, or would have their turn too late.
        """
        chosen = self._lanes[lane]
        most = chosen.limit + self.queue
        if pictures > most:
            raise Problem(413, f"{pictures} pictures; at most {most} can run and wait at once", kind="too_large")
        self._look()
        more = max(0, pictures - chosen.free)
        wait = chosen.time_for(len(chosen.waiting) + more) if more else 0.0
        if self._is_too_much(chosen, more):
            chosen.count(refused=True)
            chosen.came += max(pictures, chosen.usual)  # its body is not read, so there are as many as usual in it
            raise Overloaded(TOO_MANY, wait)
        if wait > until - clock():
            raise Overloaded("the pictures that wait take longer than this request has time", wait)

    def _is_too_much(self, lane: _Lane, more: int) -> bool:
        """Whether so many pictures more, beyond those that can run at once, would wait too long, or let others wait."""
        ahead, slack = len(lane.waiting), lane.slack
        if ahead + more > self.queue or (ahead and lane.time_for(ahead) > slack * self._max_wait):
            return True
        if not slack and not lane.free:
            return True
        return self._at_workers() > self._enough - 0.5 + slack * self._slots  # to the nearest whole one

    def _look(self) -> None:
        """Now and then: an overload is over for those who ask for no more than can be answered."""
        passed = clock() - self._looked
        if passed < _LOOK_S:
            return
        lanes = self._lanes.values()
        work = sum(lane.work for lane in lanes)  # s of places at the workers
        for lane in lanes:
            lane.begin_anew(all_fit=work < self._enough * passed and lane.fits_in(passed))
        self._looked = clock()

    def _at_workers(self) -> float:
        """About how many pictures are with the workers: those that are sent, and of the others those that are here."""
        return len(self._lanes["upload"].running) + self._lanes["url"].here

    def enter(self, lane: Lane, pictures: int, until: float) -> list[Place]:
        """Take on all pictures of a request, or none of them. Each place must be left.

        Raises:
            Problem: as for `check`.
        """
        if pictures:
            self.check(lane, pictures, until)
            self._lanes[lane].take_on(pictures)
        places: list[Place] = []
        for _ in range(pictures):
            places.append(self._lanes[lane].enter(self._max_wait, places[0] if places else None))
        return places


class Place:
    """What an admitted picture has: its turn, at once or later."""

    def __init__(self, lane: _Lane, max_wait: float, first: Place | None) -> None:
        """`first` is that of the request's first picture; None: this is it. It waits for `max_wait` s at most."""
        self._lane = lane
        self._first = first
        self._patience = clock() + max_wait
        self._turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.began: float | None = None  # s on `clock`; when it had its turn
        self.fetched: float | None = None  # s that it took to fetch it, if it came
        self.single: Single | None = None  # the picture, when the pipeline has it, and says when it has let go of it
        self._left = False

    async def turn(self, until: float) -> None:
        """Wait for it.

        Raises:
            asyncio.TimeoutError: `until`, on `timing.clock`, came first.
            Overloaded: no picture of the request had its turn within `max_wait`.
        """
        first = self._first or self
        if not await first._comes(min(until, first._patience)) and first._patience < until:
            if not first._left:
                self._lane.count(refused=True)
                first.leave()
            raise Overloaded(TOO_MANY, self._lane.time_for(len(self._lane.waiting)))
        if not await self._comes(until):
            raise asyncio.TimeoutError

    async def _comes(self, until: float) -> bool:
        """Wait for it; False if `until` comes first."""
        if not self._turn.done():  # at low load it is
            await asyncio.wait([self._turn], timeout=max(0.0, until - clock()))
        return self._turn.done()

    def begin(self) -> None:
        """Have the turn now."""
        self.began = clock()
        self._turn.set_result(None)

    def age(self, now: float) -> float:
        """How long ago it had its turn, in s."""
        return 0.0 if self.began is None else now - self.began

    @property
    def is_fetched(self) -> bool:
        """Whether the picture's bytes are here, or were."""
        return self.fetched is not None or (self.single is not None and self.single.is_fetched)

    def leave(self) -> None:
        """Let the next picture have it. Only the first call counts."""
        if not self._left:
            self._left = True
            self._lane.leave(self)
            self.single = None  # they know each other


class _Lane:
    """The pictures of one kind."""

    def __init__(self, limit: int) -> None:
        self.limit = limit  # so many run at once
        self._takes = _FIRST_GUESS_S  # s for a picture, from its turn to its result: a moving average
        self._fetching = 0.0  # s of them until its bytes are here
        self._shed = 0.0  # of the requests, in [0, 1]: a moving average
        self.usual = 1.0  # pictures in a request that is taken on: a moving average
        self.came = 0.0  # pictures since the overload was looked at, refused or not
        self.running: set[Place] = set()
        self.waiting: OrderedDict[Place, None] = OrderedDict()

    @property
    def free(self) -> int:
        """How many could run at once."""
        return 0 if self.waiting else self.limit - len(self.running)

    @property
    def slack(self) -> float:
        """1 if no request had to be refused lately, 0 when overloaded."""
        return max(0.0, 1 - self._shed / _OVERLOAD)

    @property
    def here(self) -> float:
        """About how many of those that run are not being fetched any more. Of a slow server's, it is known."""
        now = clock()
        slow = sum(place.age(now) > self._takes and not place.is_fetched for place in self.running)
        return (len(self.running) - slow) * (1 - self._fetching / self._takes)

    def time_for(self, pictures: int) -> float:
        """How long so many pictures take, in s, if those that run take as long as others, or at least their age."""
        now = clock()
        ended_in_1_s = sum(1 / max(self._takes, place.age(now)) for place in self.running)
        return pictures / (ended_in_1_s + (self.limit - len(self.running)) / self._takes)

    @property
    def work(self) -> float:
        """How long all that came would be at the workers, in s."""
        return self.came * (self._takes - self._fetching)

    def fits_in(self, seconds: float) -> bool:
        """Whether all that came could run in that time."""
        return self.came * self._takes < self.limit * seconds

    def begin_anew(self, *, all_fit: bool) -> None:
        """Count what comes from now on; and forget what had to be refused, if all of it could have been answered."""
        self.came = 0.0
        if all_fit:
            self._shed = 0.0

    def count(self, *, refused: bool) -> None:
        """Take note of a request."""
        self._shed += _NEWEST * (refused - self._shed)

    def take_on(self, pictures: int) -> None:
        """Take note of a request that is taken on, with its pictures."""
        self.count(refused=False)
        self.usual += _WEIGHT * (pictures - self.usual)
        self.came += pictures

    def enter(self, max_wait: float, first: Place | None) -> Place:
        place = Place(self, max_wait, first)
        if self.free:
            self.running.add(place)
            place.begin()
        else:
            self.waiting[place] = None
        return place

    def leave(self, place: Place) -> None:
        if place.began is None:
            self.waiting.pop(place, None)
            return
        self.learn(clock() - place.began, place.fetched)
        self.running.remove(place)
        if self.waiting:
            following, _ = self.waiting.popitem(last=False)
            self.running.add(following)
            following.begin()

    def learn(self, took: float, fetched: float | None) -> None:
        """How long a picture took, and its download; None: it has not come."""
        self._takes += _WEIGHT * (took - self._takes)
        self._fetching += _WEIGHT * (took - self._fetching if fetched is None else fetched - self._fetching)
