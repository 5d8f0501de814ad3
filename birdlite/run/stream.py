"""One stream of targets through the pipeline: fed, put in order, handed out. `Classifier` makes one for each call.

1. The **feeder** reads the targets lazily, in a thread of its own. It takes one of the pipeline's slots for each
   picture, so only a few are under way at once, of all streams together. It stays at most `WINDOW` pictures ahead of
   the caller, so results do not pile up behind one slow download.
2. The **caller's thread** imports what all need, the network first; then it puts the results in order. Everything
   reaches it through one queue, `inbox`, even the request to stop: a signal handler may call `cancel`. It also gives
   up pictures that take too long to decode (`decoding`).
"""

from __future__ import annotations

import threading
from _weakref import ref  # what `weakref` gives on, without the rest of it
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TypeAlias

from birdlite.namedtuple import NamedTuple
from birdlite.results import Failure, Prediction, Result
from birdlite.run.job import Guard, Job, Owner
from birdlite.run.pipeline import WAKE_S, Pipeline
from birdlite.settings import Settings
from birdlite.targets import BadTarget, Target

WINDOW = 1024  # pictures that may be ahead of the one whose turn it is: their results take about 1 MB


class _First(NamedTuple):
    """The first target is known; `remote` is its location if it must be fetched."""

    remote: str | None


class _Finished(NamedTuple):
    """One target has its result."""

    turn: int
    result: Result


class _End(NamedTuple):
    """The feeder sent the last target."""

    targets: int


class _Fatal(NamedTuple):
    """The stream cannot go on: no model, no engine, an unreadable list, or a bug."""

    error: BaseException


class _Stop:
    """`cancel` was called."""


_Message: TypeAlias = "_First | _Finished | _End | _Fatal | _Stop"


class Stream(Owner):
    """Targets in, results out: made, iterated once, thrown away."""

    def __init__(self, pipeline: Pipeline, settings: Settings, guard: Guard | None = None) -> None:
        """Nothing is done before the results are asked for. `guard` is entered around the decoding of each picture."""
        self.settings = settings
        self.guard = guard
        self.timeline = pipeline.timeline
        self.over = False
        self.cancelled = threading.Event()
        self.under_way = {}
        self.total: int | None = None  # targets, once the list was read to its end
        # As long as they are handed out. Weak: an iterator that its caller forgets ends, as if it were closed.
        self.results: ref[Generator[Result, None, None]] | None = None
        self._pipeline = pipeline
        self._inbox: SimpleQueue[_Message] = SimpleQueue()
        self._window = threading.Semaphore(WINDOW)

    def cancel(self) -> None:
        """Stop soon: finished pictures are still handed out, those under way become `cancelled`."""
        self.over = True
        self._inbox.put(_Stop())
        self.cancelled.set()

    def close(self) -> None:
        """Stop now, for good. A thread that waits for a result meanwhile gets what `cancel` leaves."""
        self.cancel()
        results = None if self.results is None else self.results()
        if results is not None:
            with suppress(ValueError):  # another thread waits in it
                results.close()

    def run(self, targets: Iterable[Target | BadTarget]) -> Generator[Result, None, None]:
        """Hand out one result a target, in the targets' order unless the settings say otherwise.

        Raises:
            BirdliteError: nothing can run: no model, no engine, an unreadable list.
        """
        results = self._run(targets)
        self.results = ref(results)
        return results

    def finish(self, job: Job, outcome: tuple[Prediction, ...] | Failure) -> None:
        """Take the result of one of the jobs."""
        self._inbox.put(_Finished(job.turn, job.result(outcome)))

    def drop(self, job: Job) -> None:
        """Nothing is to be done: jobs are dropped when the stream is over, and `_leftovers` has those under way."""

    def fail(self, error: BaseException) -> None:
        """End with this error."""
        self._inbox.put(_Fatal(error))

    def _run(self, targets: Iterable[Target | BadTarget]) -> Generator[Result, None, None]:
        self._pipeline.begin(self)
        try:
            if isinstance(targets, (list, tuple)) and len(targets) == 1:
                self._feed(targets)  # a thread would take longer than that
            else:
                threading.Thread(target=self._feed, args=(targets,), name="birdlite-feed", daemon=True).start()
            yield from self._collect()
        finally:
            self.over = True
            self.cancelled.set()
            self._window.release()  # the feeder may be waiting
            self._pipeline.end(self)
            self.results = None

    # 1. The feeder

    def _feed(self, targets: Iterable[Target | BadTarget]) -> None:
        count = 0
        try:
            for target in targets:
                if count == 0:
                    self._inbox.put(_First(_remote_location(target)))
                self._window.acquire()
                if not self._send(count, target):
                    return
                count += 1
            self.total = count
            self._inbox.put(_End(count))
        except BaseException as error:  # noqa: BLE001 - the caller's thread raises it
            self.fail(error)

    def _send(self, turn: int, target: Target | BadTarget) -> bool:
        """Send a target on its way; False if the stream is over."""
        if isinstance(target, BadTarget):
            self._inbox.put(_Finished(turn, Result(target.index, target.name, target.failure)))
            return not self.over
        return self._pipeline.put(turn, target, self)

    # 2. The caller's thread

    def _collect(self) -> Iterator[Result]:
        waiting: dict[int, Result] = {}  # finished before their turn
        turn = 0  # of the next result to hand out; in an unordered stream, how many were
        targets: int | None = None
        while turn != targets:
            message = self._next_message()
            if isinstance(message, _Finished):
                self.under_way.pop(message.turn, None)
                waiting[message.turn if self.settings.ordered else turn] = message.result
                while turn in waiting:
                    self._window.release()
                    yield waiting.pop(turn)
                    turn += 1
            elif isinstance(message, _First):
                self._pipeline.prepare(message.remote)
            elif isinstance(message, _End):
                targets = message.targets
            elif isinstance(message, _Fatal):
                raise message.error
            else:
                yield from self._leftovers(waiting)
                return

    def _next_message(self) -> _Message:
        """Wait for a message. Look up now and then: a signal that comes just before the wait is only seen after it."""
        wake = min(WAKE_S, self.settings.decode_timeout)
        while True:
            self._pipeline.look_for_overdue()
            try:
                return self._inbox.get(timeout=wake)
            except Empty:
                continue

    def _leftovers(self, waiting: dict[int, Result]) -> Iterator[Result]:
        """After `cancel`: what is finished or under way, in the order of the targets."""
        while not self._inbox.empty():
            message = self._inbox.get()
            if isinstance(message, _Finished):
                self.under_way.pop(message.turn, None)
                waiting[message.turn] = message.result
        for job in list(self.under_way.values()):
            waiting[job.turn] = job.result(Failure("cancelled", f"{job.target.name}: the run was interrupted"))
        for turn in sorted(waiting):
            yield waiting[turn]


def _remote_location(target: Target | BadTarget) -> str | None:
    return target.location if isinstance(target, Target) and target.kind != "file" else None
