"""Targets in, results out: pictures are fetched, decoded and classified at the same time, in bounded memory.

    targets ──▶ feeder ──URLs──▶ downloaders ──bytes──▶ workers ──results──▶ inbox ──▶ caller ──▶ results, in order
                  └────────────────files──────────────────▲

The methods of `Pipeline` stand in this order.

1. The **feeder** reads the targets lazily. It takes a slot for each picture, so only a few are under way at once. It
   stays at most `WINDOW` pictures ahead of the caller, so results do not pile up behind one slow download.
2. **Downloaders** start as URLs come, at most `downloads`. They also decode the first pictures while the model is not
   there yet.
3. **Workers** start as pictures come, at most `workers`. Each has its own engine and decodes its first picture while
   that is loaded. The first worker starts with the run: its engine loads while the first bytes are on their way. ctypes
   and Pillow release the GIL, so workers really run in parallel.
4. The **caller's thread** imports what all need, the network first; then it puts the results in order. Everything
   reaches it through one queue, `inbox`, even the request to stop: a signal handler may call `cancel`. It also gives
   up pictures that take too long to decode (`decoding`).

Before a file is read and before it is decoded, its thread waits for memory (`memory_budget`).

All threads are daemons: an interrupted run does not wait for a server that never answers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from queue import Empty, SimpleQueue
from typing import TypeAlias

from birdlite import local_file
from birdlite.errors import PictureError
from birdlite.images import picture
from birdlite.models.labels import top_k
from birdlite.namedtuple import NamedTuple
from birdlite.results import Failure, Prediction, Result
from birdlite.run.decoding import Decoding, Guard, Job, LeftBehind
from birdlite.run.engine_pool import EnginePool, Loading, NoEngine
from birdlite.run.memory_budget import Held, MemoryBudget
from birdlite.run.remote import Remote
from birdlite.run.worker_pool import WorkerPool
from birdlite.settings import Settings
from birdlite.targets import BadTarget, Target
from birdlite.timing import Timeline, clock

WINDOW = 1024  # pictures that may be ahead of the one whose turn it is: their results take about 1 MB
WAKE_S = 0.1  # a signal is noticed at least this often
STOP_S = 0.4  # to wait for both pools at the end of a run: they are idle by then, unless the run was interrupted


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
    """The run cannot go on: no model, no engine, an unreadable list, or a bug."""

    error: BaseException


class _Stop:
    """`cancel` was called."""


_Message: TypeAlias = "_First | _Finished | _End | _Fatal | _Stop"


class Pipeline:
    """One run over one stream of targets: made, iterated once, thrown away."""

    def __init__(
        self,
        engines: EnginePool,
        remote: Remote,
        settings: Settings,
        timeline: Timeline,
        memory: MemoryBudget | None = None,
    ) -> None:
        """Prepare a run. `remote` reads the pictures that are not local files; `memory` is shared with earlier runs."""
        self._engines = engines
        self._remote = remote
        self._settings = settings
        self._timeline = timeline
        self._inbox: SimpleQueue[_Message] = SimpleQueue()
        self._downloaders: WorkerPool[Job] = WorkerPool("birdlite-fetch", settings.fetch.downloads, self._download)
        self._workers: WorkerPool[Job] = WorkerPool("birdlite-classify", settings.threads, self._classify)
        self._slots = threading.Semaphore(settings.fetch.downloads + 2 * settings.threads)
        self._window = threading.Semaphore(WINDOW)
        self._early = threading.Semaphore(settings.threads)  # downloaders that may decode at once
        self._memory = memory or MemoryBudget(settings)
        self._decoding = Decoding(settings, self._memory, timeline)
        self._wake = min(WAKE_S, settings.decode_timeout)
        self._next_look = clock() + self._wake
        self._under_way: dict[int, Job] = {}  # jobs that were begun and whose results have not reached the caller
        self._over = False
        self.total: int | None = None  # targets of the run, once the list was read to its end

    def cancel(self) -> None:
        """Stop soon: finished pictures are still handed out, those under way become `cancelled`."""
        self._over = True
        self._inbox.put(_Stop())

    def run(self, targets: Iterable[Target | BadTarget], guard: Guard | None = None) -> Generator[Result, None, None]:
        """Hand out one result a target, in the targets' order unless the settings say otherwise.

        Raises:
            BirdliteError: nothing can run: no model, no engine, an unreadable list.
        """
        self._decoding.guard = guard
        with self._timeline.span("threads"):  # the first ones take a virtual machine milliseconds
            self._workers.start_one()
            threading.Thread(target=self._feed, args=(targets,), name="birdlite-feed", daemon=True).start()
        try:
            yield from self._collect()
        finally:
            self._over = True
            self._slots.release()  # the feeder may be waiting for either
            self._window.release()
            until = clock() + STOP_S
            for pool in (self._downloaders, self._workers):
                pool.stop(timeout=until - clock())

    def _is_over(self) -> bool:
        return self._over

    # 1. The feeder

    def _feed(self, targets: Iterable[Target | BadTarget]) -> None:
        count = 0
        try:
            for target in targets:
                if count == 0:
                    self._inbox.put(_First(_remote_location(target)))
                self._window.acquire()
                self._slots.acquire()
                if self._over:
                    return
                self._send(count, target)
                count += 1
            self.total = count
            self._inbox.put(_End(count))
        except BaseException as error:  # noqa: BLE001 - the caller's thread raises it
            self._inbox.put(_Fatal(error))

    def _send(self, turn: int, target: Target | BadTarget) -> None:
        if isinstance(target, BadTarget):
            self._inbox.put(_Finished(turn, Result(target.index, target.name, target.failure)))
            self._slots.release()
        elif target.kind == "file":
            self._workers.put(Job(turn, target, Held(self._memory.files, self._is_over)))
        else:
            self._downloaders.put(Job(turn, target, Held(self._memory.downloads, self._is_over)))

    # 2. A downloader

    def _download(self, jobs: Iterator[Job]) -> None:
        try:
            for job in jobs:
                if self._attempt(job, self._fetch_remote) and not self._workers.put(job):
                    job.held.let_go()
        except LeftBehind:
            return
        except BaseException as error:  # noqa: BLE001 - as in `_feed`
            self._inbox.put(_Fatal(error))

    def _fetch_remote(self, job: Job) -> None:
        """Fetch a picture; while there is no engine yet, and processors are idle, decode it too."""
        self._remote.connect(job.target.location)
        self._fetch(job)
        side = self._engines.early_side
        if side is not None and self._early.acquire(blocking=False):
            try:
                self._decoding.decode(job, side, self._is_over)
            finally:
                self._early.release()

    # 3. A worker

    def _classify(self, jobs: Iterator[Job]) -> None:
        loading = Loading(self._engines, lambda error: self._inbox.put(_Fatal(error)))
        try:
            try:
                for job in jobs:
                    self._attempt(job, lambda job: self._answer(job, loading))
                self._engines.give_back(loading.engine)
            except LeftBehind:
                loading.engine.close()
        except NoEngine:
            return

    def _answer(self, job: Job, loading: Loading) -> None:
        """Do with a picture whatever is still to do."""
        if job.data is None and job.pixels is None:
            self._fetch(job)
        if job.pixels is None:
            self._decoding.decode(job, loading.side, self._is_over)
        pixels, job.pixels = job.pixels or b"", None
        engine, labels = loading.engine, loading.model.labels
        with self._timeline.span("inference", job.target.index) as span:
            scores = engine.run(pixels)[0]
            predictions = top_k(scores, labels, self._settings.top, self._settings.min_score)
        job.infer_ms = span.ms
        self._finish(job, predictions)

    # Steps of downloaders and workers

    def _attempt(self, job: Job, step: Callable[[Job], None]) -> bool:
        """Do one step with a picture. A failure of the picture becomes its result; any other error ends the run."""
        if not self._over:
            self._under_way[job.turn] = job
            try:
                step(job)
            except PictureError as error:
                self._finish(job, Failure(error.kind, f"{job.target.name}: {error}{_hint(job.target, error)}"))
            except (NoEngine, LeftBehind):
                raise
            except BaseException as error:  # noqa: BLE001 - as in `_feed`
                self._inbox.put(_Fatal(error))
            else:
                return True
        job.held.let_go()
        return False

    def _fetch(self, job: Job) -> None:
        with self._timeline.span("image fetch", job.target.index) as span:
            if job.target.kind == "file":
                job.data = local_file.read(job.target.location, self._settings.fetch.max_bytes, job.held.hold)
            else:
                job.data = self._remote.read(job.target.location, job.held.room)
                job.held.hold(len(job.data))
        job.fetch_ms = span.ms

    def _finish(self, job: Job, outcome: tuple[Prediction, ...] | Failure) -> None:
        self._inbox.put(_Finished(job.turn, job.result(outcome)))
        self._slots.release()

    # 4. The caller's thread

    def _collect(self) -> Iterator[Result]:
        waiting: dict[int, Result] = {}  # finished before their turn
        turn = 0  # of the next result to hand out; in an unordered run, how many were
        targets: int | None = None
        while turn != targets:
            message = self._next_message()
            if isinstance(message, _Finished):
                self._under_way.pop(message.turn, None)
                waiting[message.turn if self._settings.ordered else turn] = message.result
                while turn in waiting:
                    self._window.release()
                    yield waiting.pop(turn)
                    turn += 1
            elif isinstance(message, _First):
                self._prepare(message.remote)
            elif isinstance(message, _End):
                targets = message.targets
            elif isinstance(message, _Fatal):
                raise message.error
            else:
                yield from self._leftovers(waiting)
                return

    def _next_message(self) -> _Message:
        """Wait for a message. Look up now and then: a signal that comes just before the wait is only seen after it."""
        while True:
            if clock() >= self._next_look:
                self._give_up_overdue()
            try:
                return self._inbox.get(timeout=self._wake)
            except Empty:
                continue

    def _give_up_overdue(self) -> None:
        """Give their results to pictures that take too long to decode, and other threads to those who wait."""
        for job, thread in self._decoding.overdue():
            for pool in (self._workers, self._downloaders):
                pool.leave_behind(thread)
            limit = f"{self._settings.decode_timeout:g} s (--decode-timeout)"
            self._finish(job, Failure("timeout", f"{job.target.name}: decoding it takes more than {limit}"))
        self._next_look = clock() + self._wake

    def _prepare(self, remote: str | None) -> None:
        """Import what the first picture will need, while the first worker loads its engine: the network first."""
        if remote is not None:
            self._remote.connect(remote)
        with self._timeline.span("imports"):
            picture.preload()
        self._decoding.ready.set()
        self._engines.loader.preload()

    def _leftovers(self, waiting: dict[int, Result]) -> Iterator[Result]:
        """After `cancel`: what is finished or under way, in the order of the targets."""
        while not self._inbox.empty():
            message = self._inbox.get()
            if isinstance(message, _Finished):
                self._under_way.pop(message.turn, None)
                waiting[message.turn] = message.result
        for job in list(self._under_way.values()):
            waiting[job.turn] = job.result(Failure("cancelled", f"{job.target.name}: the run was interrupted"))
        for turn in sorted(waiting):
            yield waiting[turn]


def _hint(target: Target, error: PictureError) -> str:
    """What to do about a list that was named like a picture."""
    is_list = target.kind == "file" and str(error).startswith(("this is text", "this is JSON"))
    return "; if it is a list of pictures, give it with --from" if is_list else ""


def _remote_location(target: Target | BadTarget) -> str | None:
    return target.location if isinstance(target, Target) and target.kind != "file" else None
