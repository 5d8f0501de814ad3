"""Threads that share a queue and start as work comes. The pipeline has two pools: downloaders and workers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Generic, TypeVar

from birdlite.timing import clock

Work = TypeVar("Work")


class WorkerPool(Generic[Work]):
    """At most `limit` daemon threads, each running `body` over the jobs that it gets.

    A new thread starts when a job comes and no thread is free to take it; a thread that is still preparing
    (loading its engine) counts as free, so one picture never makes two threads prepare.
    """

    def __init__(self, name: str, limit: int, body: Callable[[Iterator[Work]], None]) -> None:
        self._name = name
        self._limit = limit
        self._body = body
        self._queue: SimpleQueue[Work | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._free = 0
        self._queued = 0
        self._started = 0
        self._stopped = False

    def put(self, job: Work) -> bool:
        """Queue a job, and start a thread for it if none is free. After `stop`, jobs are dropped, and it is False.

        Raises:
            RuntimeError: the system has no thread left, not even for the first one.
        """
        with self._lock:
            if self._stopped:
                return False
            if self._queued >= self._free and len(self._threads) < self._limit:
                self._start()  # first: without a thread, the job stays with the caller
            self._queued += 1
            self._queue.put(job)
            return True

    @property
    def started(self) -> bool:
        """Whether there is a thread."""
        return bool(self._threads)

    def start_first(self) -> None:
        """Start the first thread, if there is none, before there is work, so that it can prepare."""
        with self._lock:
            if not self._threads and not self._stopped:
                self._start()

    def stop(self, *, timeout: float) -> None:
        """End the threads when the queue is empty, and wait for them up to `timeout` s in all."""
        until = clock() + timeout
        with self._lock:
            self._stopped = True
            threads = list(self._threads)
        for _ in threads:
            self._queue.put(None)
        for thread in threads:
            thread.join(max(0.0, until - clock()))

    def leave_behind(self, thread: threading.Thread) -> None:
        """Give up a thread that does not come back from its job: another takes its place. Ignores foreign threads.

        Raises:
            RuntimeError: the system has no thread left, and the pool has none; the next job tries again.
        """
        with self._lock:
            if thread in self._threads:
                self._threads.remove(thread)
                if self._queued > self._free and not self._stopped:
                    self._start()

    def _start(self) -> None:
        name = f"{self._name}-{self._started}"
        thread = threading.Thread(target=self._body, args=(self._jobs(),), name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system has no thread left
            if not self._threads:
                raise
            self._limit = len(self._threads)
            return
        self._free += 1
        self._started += 1
        self._threads.append(thread)

    def _jobs(self) -> Iterator[Work]:
        while (job := self._queue.get()) is not None:
            with self._lock:
                self._free -= 1
                self._queued -= 1
            yield job
            with self._lock:
                self._free += 1
