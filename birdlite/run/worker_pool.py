"""Threads that share a queue and start as work comes. The pipeline has two pools: downloaders and workers."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from birdlite import log
from birdlite.timing import clock

Work = TypeVar("Work")

GROW_AGAIN_S = 10.0
"""s after a thread was let go in which no other one takes its place. A try to load an engine may take a second. What it
lacked, such as memory, may be there later."""


class WorkerPool(Generic[Work]):
    """At most `limit` daemon threads, each running `body` over the jobs that it gets.

    A new thread starts when a job comes and no thread is free to take it; a thread that is still preparing
    (loading its engine) counts as free, so one picture never makes two threads prepare.
    """

    def __init__(self, name: str, limit: int, body: Callable[[Iterator[Work]], None]) -> None:
        self._name = name
        self._limit = limit
        self._body = body
        self._changed = threading.Condition()
        self._queue: deque[Work] = deque()
        self._threads: list[threading.Thread] = []
        self._busy: set[threading.Thread] = set()  # those of them that have a job
        self._started = 0
        self._grow_after = 0.0  # s on `clock`
        self._stopped = False

    def put(self, job: Work) -> bool:
        """Queue a job, and start a thread for it if none is free. After `stop`, jobs are dropped, and it is False.

        Raises:
            RuntimeError: the system has no thread left, not even for the first one.
        """
        with self._changed:
            if self._stopped:
                return False
            if len(self._queue) >= self._free and self._may_grow():
                self._start()  # first: without a thread, the job stays with the caller
            self._queue.append(job)
            self._changed.notify()
            return True

    @property
    def started(self) -> bool:
        """Whether there is a thread."""
        return bool(self._threads)

    def start_first(self) -> None:
        """Start the first thread, if there is none, before there is work, so that it can prepare."""
        with self._changed:
            if not self._threads and not self._stopped:
                self._start()

    def stop(self, *, timeout: float) -> None:
        """End the threads when the queue is empty, and wait for them up to `timeout` s in all."""
        until = clock() + timeout
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
            threads = list(self._threads)
        for thread in threads:
            thread.join(max(0.0, until - clock()))

    def leave_behind(self, thread: threading.Thread) -> None:
        """Give up a thread that does not come back from its job: another takes its place. Ignores foreign threads.

        Raises:
            RuntimeError: the system has no thread left, and the pool has none; the next job tries again.
        """
        with self._changed:
            if thread in self._threads:
                self._remove(thread)
                if len(self._queue) > self._free and not self._stopped:
                    self._start()

    def let_go(self, thread: threading.Thread) -> bool:
        """End a thread that cannot do its work: the others do it. False if it is the only one, which stays."""
        with self._changed:
            if self._threads == [thread]:
                return False
            if thread in self._threads:
                self._remove(thread)
                self._grow_after = clock() + GROW_AGAIN_S
                self._changed.notify_all()
            return True

    def has(self, thread: threading.Thread) -> bool:
        """Whether it is one of its threads: neither let go nor left behind."""
        return thread in self._threads

    @property
    def _free(self) -> int:
        return len(self._threads) - len(self._busy)

    def _may_grow(self) -> bool:
        return not self._threads or (len(self._threads) < self._limit and clock() >= self._grow_after)

    def _remove(self, thread: threading.Thread) -> None:
        self._threads.remove(thread)
        self._busy.discard(thread)

    def _start(self) -> None:
        name = f"{self._name}-{self._started}"
        thread = threading.Thread(target=self._body, args=(self._jobs(),), name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system has no thread left; the next job tries again
            if not self._threads:
                raise
            log.warning_once(
                f"the system has no thread left (ulimit -u, or a container's limit of processes): "
                f"{len(self._threads)} of {self._limit} {self._name} threads run until it has"
            )
            return
        self._started += 1
        self._threads.append(thread)

    def _jobs(self) -> Iterator[Work]:
        thread = threading.current_thread()
        while True:
            with self._changed:
                self._busy.discard(thread)
                while self.has(thread) and not self._queue and not self._stopped:
                    self._changed.wait()
                if not self.has(thread) or not self._queue:
                    return
                job = self._queue.popleft()
                self._busy.add(thread)
            yield job
            del job  # else the thread would keep it while it waits for the next one
