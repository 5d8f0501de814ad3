"""One picture through the classifier, for the event loop. The app awaits `classify` for each picture of a request."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress

from birdlite.demo import PICTURES_FOLDER
from birdlite.errors import BirdliteError
from birdlite.results import Failure, Result
from birdlite.run.classifier import Classifier
from birdlite.run.pipeline import WAKE_S
from birdlite.serve.admission import Admission, Lane, Overloaded
from birdlite.settings import Settings
from birdlite.targets import BadTarget, Target
from birdlite.timing import Timeline, clock

TRY_AGAIN_S = 5.0


class Pictures:
    """The classifier of a service, and who may use it when."""

    def __init__(self, classifier: Classifier, settings: Settings, queue: int) -> None:
        """Nothing is loaded yet. At most `queue` pictures wait."""
        self.classifier = classifier
        self.settings = settings
        self.admission = Admission(queue, uploads=2 * settings.threads, urls=settings.fetch.downloads)
        self.ready = False  # the model is loaded, and has classified a picture
        self.broken: BaseException | None = None  # what keeps all pictures from being classified
        path = os.path.join(PICTURES_FOLDER, min(os.listdir(PICTURES_FOLDER)))
        self._first = Target(path, "file", path)
        self.count: Callable[[Result, float], object] = lambda *_: None  # called with each result, and s in the queue

    def load(self) -> None:
        """Load the model and classify a picture of the demo, in the calling thread.

        Raises:
            ModelError: the model cannot be opened.
            EngineError: no runtime can run it.
        """
        result = self.classifier.classify(self._first.location)
        self.ready = result.ok

    async def look_after(self) -> None:
        """For ever: give up pictures that take too long to decode, and try broken engines again."""
        next_try = 0.0
        while True:
            await asyncio.sleep(WAKE_S)
            self.classifier.look_for_overdue()
            if self.broken is not None and clock() >= next_try:
                next_try = clock() + TRY_AGAIN_S
                with suppress(Overloaded, BirdliteError):
                    await self.classify(self._first, self.settings, Timeline(), clock() + TRY_AGAIN_S)

    async def classify(
        self, target: Target | BadTarget, settings: Settings, timeline: Timeline, until: float
    ) -> Result:
        """The result of one picture, in its turn. `until` is on `timing.clock`; then the result is `timeout`.

        If the caller is cancelled, so is the picture.

        Raises:
            Overloaded: it cannot wait.
            BirdliteError: the engine is broken.
        """
        if isinstance(target, BadTarget):
            result = Result(target.index, target.name, target.failure)
            self.count(result, 0.0)
            return result
        lane: Lane = "upload" if target.kind == "file" else "url"
        came, queued = clock(), 0.0
        try:
            await self.admission.enter(lane, until)
            queued = clock() - came
            timeline.add("queue", came, came + queued, target.index)
            result = await self._run(target, lane, settings, timeline, until)
        except asyncio.TimeoutError:
            result = Result(target.index, target.name, Failure("timeout", f"{target.name}: the request's time is up"))
        self.count(result, queued)
        return result

    async def _run(self, target: Target, lane: Lane, settings: Settings, timeline: Timeline, until: float) -> Result:
        """Let it have its turn, which ends when the pipeline has let go of it."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Result] = loop.create_future()
        began = clock()

        def settle(outcome: Result | BaseException | None) -> None:
            if outcome is None:
                self.admission.leave(lane, clock() - began)
            elif answer.done():
                return
            elif isinstance(outcome, Result):
                self.broken = None
                answer.set_result(outcome)
            else:
                self.broken = outcome
                answer.set_exception(outcome)

        single = self.classifier.submit(
            target, settings, timeline, lambda outcome: loop.call_soon_threadsafe(settle, outcome)
        )
        try:
            return await asyncio.wait_for(answer, max(0.0, until - clock()))
        finally:
            single.cancel()
