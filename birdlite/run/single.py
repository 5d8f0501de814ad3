"""One picture through the pipeline, for a caller that does not wait in a thread: the service.

The result goes to a function, which any thread may call. `Classifier.submit` makes one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from birdlite.results import Failure, Prediction, Result
from birdlite.run.job import Job, Owner
from birdlite.run.pipeline import Pipeline
from birdlite.settings import Settings
from birdlite.targets import Target
from birdlite.timing import Timeline

NICE = 5
"""The priority of the threads that decode and classify; 0 is normal, and 19 the lowest (nice(2))."""

Done = Callable[["Result | BaseException | None"], object]


class Single(Owner):
    """One picture on its way. It ends with its result, with an error, or with `cancel`."""

    def __init__(self, pipeline: Pipeline, settings: Settings, timeline: Timeline, done: Done) -> None:
        """`done` is called at the end, once: with the result, or with None if it was cancelled or nothing can run.

        The picture takes nothing of the pipeline any more then. Before, `done` is called with what keeps all from
        running.
        """
        self.settings = settings
        self.guard = _behind_the_caller
        self.timeline = timeline
        self.over = False
        self.cancelled = threading.Event()
        self.under_way = {}
        self._was_fetched = False  # when it was let go
        self._pipeline = pipeline
        self._done = done

    def start(self, target: Target) -> None:
        """Send it on its way. Waits as long as the pipeline has no slot for it.

        Raises:
            RuntimeError: the system has no thread left. `done` is not called.
        """
        try:
            self._pipeline.begin(self)
            taken = self._pipeline.put(0, target, self)
        except BaseException:
            self._pipeline.end(self)
            raise
        if not taken:
            self._let_go(None)

    @property
    def is_fetched(self) -> bool:
        """Whether its bytes are here, or were."""
        job = self.under_way.get(0)
        return self._was_fetched or (job is not None and job.fetch_ms is not None)

    def finish(self, job: Job, outcome: tuple[Prediction, ...] | Failure) -> None:
        """Hand out the result, if somebody still waits for it."""
        self._let_go(job.result(outcome) if self._end() else None)

    def drop(self, job: Job) -> None:  # noqa: ARG002 - there is only one
        """Say that it is gone."""
        self._let_go(None)

    def fail(self, error: BaseException) -> None:
        """Hand out the error, if somebody still waits for the picture."""
        if self._end():
            self._done(error)

    def cancel(self) -> None:
        """Nobody waits for it any more: it ends at its next step."""
        self.over = True
        self.cancelled.set()
        self._pipeline.end(self)

    def close(self) -> None:
        """As `cancel`."""
        self.cancel()

    def _end(self) -> bool:
        """End it; False if it had ended."""
        if self.over:
            return False
        self.over = True
        self._pipeline.end(self)
        return True

    def _let_go(self, result: Result | None) -> None:
        self._was_fetched = self.is_fetched
        self.under_way.clear()  # they know each other: the picture's bytes would wait for the garbage collector
        self._done(result)


@contextmanager
def _behind_the_caller(_target: Target) -> Iterator[None]:
    """Let this thread, from now on, wait for the caller's if there is processor time for one of them only.

    So a refusal, or the answer to a probe, does not wait for pictures.
    """
    thread = threading.get_native_id()
    with suppress(OSError):  # a system whose threads have no priorities of their own
        if os.getpriority(os.PRIO_PROCESS, thread) < NICE:
            os.setpriority(os.PRIO_PROCESS, thread, NICE)
    yield
