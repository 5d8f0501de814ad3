"""Pictures are fetched, decoded and classified at the same time, in bounded memory: the threads that all streams share.

    stream ──URLs──▶ downloaders ──bytes──▶ workers ──results──▶ stream
      └────────────────files──────────────────▲

A `Classifier` has one pipeline for all its streams (`stream`), so what runs at once is bounded by the pipeline, not by
how many threads call it. The methods of `Pipeline` stand in this order.

1. A stream **puts** a picture when there is a slot for it: only a few are under way at once. Files have slots of their
   own, so a file does not wait for slow servers, nor behind all that may be downloaded at once.
2. **Downloaders** start as URLs come, at most `downloads`. They also decode the first pictures while the model is not
   there yet.
3. **Workers** start as pictures come, at most `workers`. Each has its own engine and decodes its first picture while
   that is loaded. The first worker starts with the first stream: its engine loads while the first bytes are on their
   way. ctypes and Pillow release the GIL, so workers really run in parallel. They stay for the next stream.

Before a file is read and before it is decoded, its thread waits for memory (`memory_budget`).

All threads are daemons: an interrupted run does not wait for a server that never answers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from birdlite import local_file, log
from birdlite.errors import ModelError, PictureError, UsageError
from birdlite.images import picture
from birdlite.models.labels import top_k
from birdlite.namedtuple import NamedTuple
from birdlite.results import Failure, Prediction
from birdlite.run.decoding import Decoding, LeftBehind
from birdlite.run.engine_pool import EnginePool, Loading, NoEngine
from birdlite.run.job import Job, Owner
from birdlite.run.memory_budget import Held, MemoryBudget, Share
from birdlite.run.remote import Remote
from birdlite.run.worker_pool import WorkerPool
from birdlite.settings import Settings
from birdlite.targets import Target
from birdlite.timing import Timeline, clock

WAKE_S = 0.1  # a signal, and a picture that takes too long, is noticed at least this often
STOP_S = 0.4  # to wait for both pools at the end: they are idle by then, unless a stream was interrupted


class _Entrance(NamedTuple):
    """Where pictures of one kind go in."""

    slots: threading.Semaphore  # one is taken by each picture that is under way
    share: Share  # memory for their files
    pool: WorkerPool[Job]  # whose threads get them first


def slots(settings: Settings) -> tuple[int, int]:
    """How many files, and how many pictures that are downloaded, are under way at once, at most."""
    files = 2 * settings.threads  # each worker has one, and the next one is there when it is done
    return files, settings.fetch.downloads + files


class Pipeline:
    """Threads, engines and memory for any number of streams at once."""

    def __init__(
        self,
        engines: EnginePool,
        remote: Remote,
        settings: Settings,
        timeline: Timeline,
        memory: MemoryBudget | None = None,
    ) -> None:
        """No thread starts yet. `remote` reads the pictures that are not local files."""
        self._engines = engines
        self._remote = remote
        self.timeline = timeline
        self._downloaders: WorkerPool[Job] = WorkerPool("birdlite-fetch", settings.fetch.downloads, self._download)
        self._workers: WorkerPool[Job] = WorkerPool("birdlite-classify", settings.threads, self._classify)
        self._early = threading.Semaphore(settings.threads)  # downloaders that may decode at once
        memory = memory or MemoryBudget(settings)
        files, downloads = map(threading.Semaphore, slots(settings))
        self._for_files = _Entrance(files, memory.files, self._workers)
        self._for_downloads = _Entrance(downloads, memory.downloads, self._downloaders)
        self._decoding = Decoding(settings, memory)
        self._decode_timeout = settings.decode_timeout  # s
        self._wake = min(WAKE_S, settings.decode_timeout)
        self._next_look = clock() + self._wake
        self._closed = False
        self._not_loaded: BaseException | None = None  # why one worker less runs, until it is told
        self._streams: dict[Owner, None] = {}  # in the order in which they began; without a lock, for signal handlers

    @property
    def streams(self) -> list[Owner]:
        """The streams that are under way."""
        return list(self._streams)

    def refuse(self) -> None:
        """Take no stream any more. Those that were taken are in `streams`."""
        self._closed = True

    def close(self) -> None:
        """End the threads when the queues are empty, and wait a little for them."""
        self.refuse()
        until = clock() + STOP_S
        for pool in (self._downloaders, self._workers):
            pool.stop(timeout=until - clock())

    # 1. For streams

    def begin(self, stream: Owner) -> None:
        """Take a stream. The first one starts the first worker.

        Raises:
            UsageError: it is closed: no thread is left that would answer.
        """
        self._streams[stream] = None  # before the look: who closes either stops this stream, or is seen here
        if self._closed:
            self.end(stream)
            raise UsageError("this Classifier is closed: make another")
        if not self._workers.started:
            with self.timeline.span("threads"):  # the first one takes a virtual machine milliseconds
                self._workers.start_first()

    def end(self, stream: Owner) -> None:
        """Let a stream go. Its pictures that are still under way are dropped by the threads that have them."""
        self._streams.pop(stream, None)

    def prepare(self, remote: str | None) -> None:
        """Import what the first picture will need, while the first worker loads its engine: the network first."""
        if remote is not None:
            self._remote.connect(remote)
        if not self._decoding.ready.is_set():
            with self.timeline.span("imports"):
                picture.preload()
            self._decoding.ready.set()
            self._engines.loader.preload()

    def put(self, turn: int, target: Target, stream: Owner) -> bool:
        """Send a picture on its way when there is a slot for it; False if the stream is over by then.

        Raises:
            RuntimeError: the system has no thread left, not even for the first one.
        """
        entrance = self._entrance(target)
        while not entrance.slots.acquire(timeout=WAKE_S):
            if stream.over:
                return False
        taken = False
        try:
            job = Job(turn, target, Held(entrance.share, stream.is_over), stream)
            taken = not stream.over and entrance.pool.put(job)
        finally:
            if not taken:
                entrance.slots.release()
        return taken

    def _entrance(self, target: Target) -> _Entrance:
        return self._for_files if target.kind == "file" else self._for_downloads

    def look_for_overdue(self) -> None:
        """Now and then: give their results to pictures that take too long to decode, and other threads to who waits.

        Raises:
            RuntimeError: the system has no thread left, not even one to take the place of the only worker.
        """
        if clock() < self._next_look:
            return
        self._next_look = clock() + self._wake
        for job, thread in self._decoding.overdue():
            limit = f"{self._decode_timeout:g} s (--decode-timeout)"
            self._finish(job, Failure("timeout", f"{job.target.name}: decoding it takes more than {limit}"))
            for pool in (self._workers, self._downloaders):
                pool.leave_behind(thread)

    # 2. A downloader

    def _download(self, jobs: Iterator[Job]) -> None:
        try:
            for job in jobs:
                if self._attempt(job, self._fetch_remote):
                    self._hand_over(job)
                del job  # its picture is not kept while the next one is waited for
        except LeftBehind:
            return
        except BaseException as error:  # noqa: BLE001 - the callers' threads raise it
            self._fail_all(error)

    def _hand_over(self, job: Job) -> None:
        """Give a picture that was fetched, or that one of them has no engine for, to the workers."""
        taken = False
        try:
            taken = self._workers.put(job)
        except RuntimeError as error:  # the system has no thread left, not even for the first worker
            job.owner.fail(error)
        if not taken:
            self._drop(job)

    def _fetch_remote(self, job: Job) -> None:
        """Fetch a picture; while there is no engine yet, and processors are idle, decode it too."""
        self._remote.connect(job.target.location)
        self._fetch(job)
        side = self._engines.early_side
        if side is not None and self._early.acquire(blocking=False):
            try:
                self._decoding.decode(job, side)
            finally:
                self._early.release()

    # 3. A worker

    def _classify(self, jobs: Iterator[Job]) -> None:
        loading = Loading(self._engines, self._has_no_engine)
        try:
            for job in jobs:
                if loading.failed and not job.owner.over:  # for an earlier stream
                    loading = Loading(self._engines, self._has_no_engine)
                self._attempt(job, lambda job, loading=loading: self._answer(job, loading))  # type: ignore[misc]
                del job
            if not loading.failed:
                self._engines.give_back(loading.engine)
        except LeftBehind:
            loading.discard()
        except NoEngine:
            return

    def _answer(self, job: Job, loading: Loading) -> None:
        """Do with a picture whatever is still to do."""
        if job.fetch_ms is None and job.target.image is None:
            self._fetch(job)
        if job.pixels is None:
            self._decoding.decode(job, loading.side)
        engine, labels, settings = loading.engine, loading.model.labels, job.owner.settings
        self._tell_of_fewer_workers()
        pixels, job.pixels = job.pixels or b"", None
        with job.owner.timeline.span("inference", job.target.index) as span:
            scores = engine.run(pixels)[0]
            predictions = top_k(scores, labels, settings.top, settings.min_score)
        job.infer_ms = span.ms
        self._finish(job, predictions)

    def _has_no_engine(self, worker: threading.Thread, error: BaseException) -> None:
        """Let a worker go that cannot load its engine. If no other one may have one, no stream can go on.

        A model that cannot be opened is that of all of them. Of an engine, it is told when another one works.
        """
        if (isinstance(error, ModelError) and not self._engines.loaded) or not self._workers.let_go(worker):
            self._not_loaded = None
            self._fail_all(error)
        else:
            self._not_loaded = error

    def _tell_of_fewer_workers(self) -> None:
        error = self._not_loaded
        if error is not None:  # looked at first: another worker may write it meanwhile
            self._not_loaded = None
            log.warning_once(f"an engine cannot be loaded, so fewer pictures are classified at once: {error}")

    def _fail_all(self, error: BaseException) -> None:
        """No engine can be loaded, or no worker started, so no stream can go on."""
        for stream in self.streams:
            stream.fail(error)

    # Steps of downloaders and workers

    def _attempt(self, job: Job, step: Callable[[Job], None]) -> bool:
        """Do one step with a picture; False if it goes no further. An error that is not its own ends its stream."""
        if job.owner.over:
            self._drop(job)
            return False
        job.owner.under_way[job.turn] = job
        try:
            return self._succeeds(job, step)
        except NoEngine:
            if self._workers.has(threading.current_thread()):
                self._drop(job)  # its stream knows already
            else:
                self._hand_over(job)
        except LeftBehind:
            raise
        except BaseException as error:  # noqa: BLE001 - the caller's thread raises it
            job.owner.fail(error)
            self._drop(job)
        return False

    def _succeeds(self, job: Job, step: Callable[[Job], None]) -> bool:
        """Do the step. A failure of the picture becomes its result."""
        try:
            step(job)
        except PictureError as error:
            job.held.let_go()
            self._finish(job, _failure(job, error))
            return False
        return True

    def _fetch(self, job: Job) -> None:
        with job.owner.timeline.span("image fetch", job.target.index) as span:
            if job.data is not None:
                job.held.hold(len(job.data))  # it came with the target
            elif job.target.kind == "file":
                job.data = _read_file(job.target, job.owner.settings.fetch.max_bytes, job.held)
            else:
                job.data = self._remote.read(job.target.location, job.owner.cancelled, job.held.room)
                job.held.hold(len(job.data))
        job.fetch_ms = span.ms

    def _finish(self, job: Job, outcome: tuple[Prediction, ...] | Failure) -> None:
        """Give a picture its result. Each job is finished or dropped."""
        self._release(job)
        job.owner.finish(job, outcome)

    def _drop(self, job: Job) -> None:
        """Forget a picture: nobody waits for it."""
        job.held.let_go()
        self._release(job)
        job.owner.drop(job)

    def _release(self, job: Job) -> None:
        """Give its slot back, once: an error in finishing it drops it."""
        if job.has_slot:
            job.has_slot = False
            self._entrance(job.target).slots.release()


def _failure(job: Job, error: PictureError) -> Failure:
    """Why a picture has no answer, in the words that its record may have."""
    target = job.target
    if target.kind == "url" and job.owner.settings.fetch.public_only:
        from birdlite.http.quiet import quiet

        log.debug("failed", target=target.name, kind=error.kind, reason=str(error))
        error = quiet(error)
    return Failure(error.kind, f"{target.name}: {error}{_hint(target, error)}")


def _read_file(target: Target, max_bytes: int, held: Held) -> bytes:
    """The bytes of a local picture. A file from a stranger's list is opened where it was allowed, and nowhere else."""
    inside = target.inside
    if inside is None:
        return local_file.read(target.location, max_bytes, held.hold)
    from birdlite.targets.list_rules import open_inside

    return local_file.read(target.location, max_bytes, held.hold, lambda path, flags: open_inside(inside, path, flags))


def _hint(target: Target, error: PictureError) -> str:
    """What to do about a list that was named like a picture."""
    is_list = target.kind == "file" and target.data is None and str(error).startswith(("this is text", "this is JSON"))
    return "; if it is a list of pictures, give it with --from" if is_list else ""
