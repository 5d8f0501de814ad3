"""Pictures through the classifier, for the event loop. The app begins those of a request, and gets their results."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from birdlite import log
from birdlite.errors import BirdliteError, EngineError, ModelError
from birdlite.namedtuple import NamedTuple
from birdlite.results import Failure, Result
from birdlite.run.classifier import Classifier
from birdlite.run.pipeline import WAKE_S
from birdlite.serve.admission import Admission, Lane, Place
from birdlite.serve.first_picture import FIRST, with_usual_bounds
from birdlite.serve.problems import Overloaded, log_fault
from birdlite.settings import Settings
from birdlite.targets import BadTarget, Target
from birdlite.timing import Timeline, clock

TRY_AGAIN_S = 5.0
"""s between two tries of an engine that is broken."""

BROKEN = (EngineError, ModelError)
"""Errors that keep all pictures from being classified. Any other one is that of one picture."""


class Begun(NamedTuple):
    """The pictures of a request."""

    tasks: list[asyncio.Task[Result]]
    first: Place | None  # of the first one; None: there is nothing to classify


class Pictures:
    """The classifier of a service, and who may use it when."""

    def __init__(self, classifier: Classifier, settings: Settings, queue: int, max_wait: float) -> None:
        """Nothing is loaded yet. At most `queue` pictures of each kind wait, for at most `max_wait` s."""
        self.classifier = classifier
        self.settings = settings
        # No more than the pipeline has slots for, so `submit` never waits.
        self.admission = Admission(queue, max_wait, uploads=2 * settings.threads, urls=settings.fetch.downloads)
        self.loaded = False  # the model has classified a picture
        self.broken: BirdliteError | None = None  # what keeps all pictures from being classified
        self._next_try = 0.0  # s on `clock`
        self.count: Callable[[Result, float, bool], object] = lambda *_: None  # see `Metrics.count`

    @property
    def ready(self) -> bool:
        """Whether pictures can be classified now."""
        return self.loaded and self.broken is None

    async def look_after(self) -> None:
        """For ever: give up pictures that take too long to decode, and try broken engines again."""
        while True:
            await asyncio.sleep(WAKE_S)
            try:
                self.classifier.look_for_overdue()
                await self._try_again()
            except Exception as error:  # noqa: BLE001 - an error in birdlite itself; it looks again
                log_fault(error)

    async def _try_again(self) -> None:
        """Try an engine that is broken, if it is time to."""
        if self.broken is not None and clock() >= self._next_try:
            self._next_try = clock() + TRY_AGAIN_S
            with suppress(Overloaded, BirdliteError):
                await self.begin([FIRST], with_usual_bounds(self.settings), Timeline(), self._next_try).tasks[0]

    def begin(
        self, targets: Sequence[Target | BadTarget], settings: Settings, timeline: Timeline, until: float
    ) -> Begun:
        """Begin all pictures of a request, or none of them. `until` is on `timing.clock`; then a result is `timeout`.

        A task that is cancelled cancels its picture. One raises BirdliteError if the engine is broken, and Overloaded
        if no picture of the request had its turn in time.

        Raises:
            Problem: there is no place for all of them, now or ever.
        """
        good = [target for target in targets if isinstance(target, Target)]
        lane: Lane = "url" if any(target.kind != "file" for target in good) else "upload"
        places = self.admission.enter(lane, len(good), until)
        following = iter(places)
        tasks = [
            asyncio.ensure_future(self._refuse(target))
            if isinstance(target, BadTarget)
            else self._task(target, next(following), settings, timeline, until)
            for target in targets
        ]
        return Begun(tasks, places[0] if places else None)

    def _task(
        self, target: Target, place: Place, settings: Settings, timeline: Timeline, until: float
    ) -> asyncio.Task[Result]:
        task = asyncio.ensure_future(self._classify(target, place, settings, timeline, until))

        def ended(task: asyncio.Task[Result]) -> None:
            if place.single is None:
                place.leave()  # a task that is cancelled before it begins runs none of its own code
            if not task.cancelled():
                task.exception()  # looked at, even if nobody waits for it any more

        task.add_done_callback(ended)
        return task

    async def _refuse(self, target: BadTarget) -> Result:
        result = Result(target.index, target.name, target.failure)
        self.count(result, 0.0, False)
        return result

    async def _classify(
        self, target: Target, place: Place, settings: Settings, timeline: Timeline, until: float
    ) -> Result:
        came = clock()
        try:
            await place.turn(until)
            timeline.add("queue", came, clock(), target.index)
            result = await self._run(target, place, settings, timeline, until)
        except asyncio.TimeoutError:
            result = Result(target.index, target.name, Failure("timeout", f"{target.name}: the request's time is up"))
        if target is not FIRST:  # that is the service's own
            queued = max(0.0, (place.began or clock()) - came)
            self.count(result, queued, target.kind == "url" and place.began is not None and not place.is_fetched)
        return result

    async def _run(self, target: Target, place: Place, settings: Settings, timeline: Timeline, until: float) -> Result:
        """Let it have its turn, which ends when the pipeline has let go of it."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Result] = loop.create_future()

        def settle(outcome: Result | BaseException | None) -> None:
            if outcome is None:
                place.leave()
            elif isinstance(outcome, Result):
                if outcome.times is not None and outcome.times.fetch is not None:
                    place.fetched = outcome.times.fetch / 1e3
                place.leave()  # first: who has the answer may send as many again
                if outcome.ok and self.broken is not None:
                    log.info("ready again")
                    self.broken = None
                if not answer.done():
                    answer.set_result(outcome)
            else:
                self._take_note(outcome)
                if not answer.done():
                    answer.set_exception(outcome)

        def tell(outcome: Result | BaseException | None) -> None:
            with suppress(RuntimeError):  # the event loop has ended, and with it the service
                loop.call_soon_threadsafe(settle, outcome)

        def expire() -> None:
            if not answer.done():
                answer.set_exception(asyncio.TimeoutError())

        place.single = single = self.classifier.submit(target, settings, timeline, tell)
        late = loop.call_later(max(0.0, until - clock()), expire)
        try:
            return await answer
        finally:
            late.cancel()
            single.cancel()

    def _take_note(self, error: BaseException) -> None:
        """Without an engine, no picture can be classified."""
        if isinstance(error, BROKEN):
            if self.broken is None:
                log.error(f"not ready: {error}")
            self.broken = error
