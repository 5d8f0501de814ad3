"""Decoding within bounds: no picture takes memory that is not there, and none takes longer than --decode-timeout.

The pipeline's threads call `decode`; its caller's thread calls `overdue` now and then. C code in a thread cannot be
interrupted. So a picture that takes too long is given up: its result is `timeout`, and its thread is left behind. That
thread keeps its memory until it really ends, and drops what it has then. At most `threads` may be left behind; the next
one that takes too long is waited for. The readers of each format bound the work before it begins, so all of this is
for what they overlook.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

from birdlite.images import picture
from birdlite.results import ImageInfo
from birdlite.run.job import Job
from birdlite.run.memory_budget import MemoryBudget
from birdlite.settings import Settings
from birdlite.targets import Target
from birdlite.timing import clock

if TYPE_CHECKING:
    from birdlite.images.opened import Opened


class LeftBehind(Exception):
    """The picture was given up meanwhile, so its thread must end."""


class Decoding:
    """The pictures that are being decoded."""

    def __init__(self, settings: Settings, memory: MemoryBudget) -> None:
        self._settings = settings
        self._memory = memory.decoding
        # Since when, in s on `clock`. Who takes an entry out decides what becomes of the picture.
        self._running: dict[Job, tuple[float, threading.Thread]] = {}
        self._left: list[threading.Thread] = []
        self.ready = threading.Event()  # a caller's thread has imported the decoder

    def decode(self, job: Job, side: int) -> None:
        """Turn the picture's bytes, which are let go, into the model's input.

        Raises:
            PictureError: it cannot be decoded, or there is not enough memory for it.
            LeftBehind: it took too long and has its result already.
        """
        self.ready.wait()
        settings, guard = job.owner.settings, job.owner.guard
        data, job.data = job.data or b"", None
        try:
            with job.owner.timeline.span("decode", job.target.index) as span:
                plan = _plan(job.target, data, side, settings)
                self._memory.take(plan.memory, job.owner.is_over)
                try:
                    if guard is None:
                        decoded = self._in_time(job, plan)
                    else:
                        with guard(job.target):
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
        for job, (since, thread) in list(self._running.items()):
            if since > latest:
                continue
            self._left = [left for left in self._left if left.is_alive()]
            if len(self._left) < self._settings.threads and self._running.pop(job, None) is not None:
                self._left.append(thread)
                yield job, thread

    def _in_time(self, job: Job, plan: picture.Plan) -> picture.Picture:
        self._running[job] = clock(), threading.current_thread()
        try:
            return plan.decode()
        finally:
            if self._running.pop(job, None) is None:
                raise LeftBehind


def _plan(target: Target, data: bytes, side: int, settings: Settings) -> picture.Plan:
    if target.image is not None:
        opened = cast("Opened", target.image)
        return picture.plan_opened(opened, resize=settings.resize, side=side, max_pixels=settings.max_pixels)
    return picture.plan(data, resize=settings.resize, side=side, max_pixels=settings.max_pixels)
