"""Decoding within bounds: no picture takes memory that is not there, and none takes longer than --decode-timeout.

The pipeline's threads call `decode`; its caller's thread calls `overdue` now and then. C code in a thread cannot be
interrupted. So a picture that takes too long is given up: its result is `timeout`, and its thread is left behind. That
thread keeps its memory until it really ends, and drops what it has then. At most `threads` may be left behind; the next
one that takes too long is waited for. The readers of each format bound the work before it begins, so all of this is
for what they overlook.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeAlias

from birdlite.images import picture
from birdlite.results import Failure, ImageInfo, Prediction, Result, Times
from birdlite.run.memory_budget import Held, MemoryBudget
from birdlite.settings import Settings
from birdlite.targets import Target
from birdlite.timing import Timeline, clock

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


Guard: TypeAlias = "Callable[[Target], AbstractContextManager[None]]"
"""Something around the decoding of each picture, in its thread. It may wait."""


class Job:
    """One picture on its way. Only the thread that took it off a queue touches it."""

    __slots__ = ("began", "data", "decode_ms", "fetch_ms", "held", "image", "infer_ms", "pixels", "target", "turn")

    def __init__(self, turn: int, target: Target, held: Held) -> None:
        self.turn = turn  # among the targets of this run, from 0; in a shard, it differs from the list position
        self.target = target
        self.held = held  # memory for the file
        self.began = clock()  # s; when the feeder sent it
        self.data = target.data  # the file, between fetching and decoding
        self.pixels: bytes | None = None  # the model's input, between decoding and inference
        self.image: ImageInfo | None = None
        self.fetch_ms: float | None = None
        self.decode_ms: float | None = None
        self.infer_ms: float | None = None

    def result(self, outcome: tuple[Prediction, ...] | Failure) -> Result:
        """The record of the picture."""
        total_ms = (clock() - self.began) * 1e3
        times = Times(self.fetch_ms, self.decode_ms, self.infer_ms, total_ms)
        return Result(self.target.index, self.target.name, outcome, self.image, times)


class LeftBehind(Exception):
    """The picture was given up meanwhile, so its thread must end."""


class Decoding:
    """The pictures of one run that are being decoded."""

    def __init__(self, settings: Settings, memory: MemoryBudget, timeline: Timeline) -> None:
        self._settings = settings
        self._memory = memory.decoding
        self._timeline = timeline
        # By turn: since when, in s on `clock`. Who takes an entry out decides what becomes of the picture.
        self._running: dict[int, tuple[Job, float, threading.Thread]] = {}
        self._left: list[threading.Thread] = []
        self.guard: Guard | None = None
        self.ready = threading.Event()  # the caller's thread has imported the decoder

    def decode(self, job: Job, side: int, over: Callable[[], bool]) -> None:
        """Turn the picture's bytes, which are let go, into the model's input. `over` says that the run is.

        Raises:
            PictureError: it cannot be decoded, or there is not enough memory for it.
            LeftBehind: it took too long and has its result already.
        """
        self.ready.wait()
        settings = self._settings
        data, job.data = job.data or b"", None
        try:
            with self._timeline.span("decode", job.target.index) as span:
                plan = picture.plan(data, resize=settings.resize, side=side, max_pixels=settings.max_pixels)
                self._memory.take(plan.memory, over)
                try:
                    if self.guard is None:
                        decoded = self._in_time(job, plan)
                    else:
                        with self.guard(job.target):
                            decoded = self._in_time(job, plan)
                finally:
                    self._memory.give_back(plan.memory)
        finally:
            job.held.let_go()
        job.decode_ms = span.ms
        job.image = ImageInfo(decoded.width, decoded.height, decoded.format, len(data))
        job.pixels = decoded.pixels

    def overdue(self) -> Iterator[tuple[Job, threading.Thread]]:
        """Give up the pictures that take too long; with the threads that are left behind."""
        if not self._running:
            return
        latest = clock() - self._settings.decode_timeout
        for turn, (job, since, thread) in list(self._running.items()):
            if since > latest:
                continue
            self._left = [left for left in self._left if left.is_alive()]
            if len(self._left) < self._settings.threads and self._running.pop(turn, None) is not None:
                self._left.append(thread)
                yield job, thread

    def _in_time(self, job: Job, plan: picture.Plan) -> picture.Picture:
        self._running[job.turn] = job, clock(), threading.current_thread()
        try:
            return plan.decode()
        finally:
            if self._running.pop(job.turn, None) is None:
                raise LeftBehind
