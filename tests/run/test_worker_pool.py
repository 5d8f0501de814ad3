"""Threads start as work comes, never more than the limit, and one that prepares counts as free."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from queue import SimpleQueue

from birdlite.run.worker_pool import WorkerPool
from tests.fetching import until
from tests.origin import PATIENCE


class NotingPool:
    """A pool whose threads note what they do, and hold each job until the test lets go."""

    def __init__(self, limit: int) -> None:
        self.started: SimpleQueue[str] = SimpleQueue()
        self.taken: SimpleQueue[int] = SimpleQueue()
        self.go = threading.Semaphore(0)
        self.done: list[int] = []
        self.ready = threading.Event()
        self.pool: WorkerPool[int] = WorkerPool("noting", limit, self.body)

    def body(self, jobs: Iterator[int]) -> None:
        self.started.put(threading.current_thread().name)
        self.ready.wait(PATIENCE)
        for job in jobs:
            self.taken.put(job)
            self.go.acquire(timeout=PATIENCE)
            self.done.append(job)


def test_no_thread_before_there_is_work() -> None:
    noting = NotingPool(3)

    assert noting.started.empty()
    noting.pool.stop(timeout=PATIENCE)


def test_every_job_is_done_once_by_at_most_the_limit_of_threads() -> None:
    noting = NotingPool(3)
    noting.ready.set()
    noting.go.release(50)

    for job in range(50):
        noting.pool.put(job)
    noting.pool.stop(timeout=PATIENCE)

    assert sorted(noting.done) == list(range(50))
    assert noting.started.qsize() <= 3


def test_jobs_without_a_free_thread_start_threads_up_to_the_limit() -> None:
    noting = NotingPool(3)
    noting.ready.set()
    for job in range(5):
        noting.pool.put(job)

    assert {noting.taken.get(timeout=PATIENCE) for _ in range(3)} == {0, 1, 2}
    assert noting.taken.empty()
    assert noting.started.qsize() == 3
    noting.go.release(5)
    noting.pool.stop(timeout=PATIENCE)
    assert sorted(noting.done) == list(range(5))


def test_a_thread_that_is_still_preparing_takes_the_first_job_alone() -> None:
    noting = NotingPool(3)
    noting.pool.start_first()
    noting.started.get(timeout=PATIENCE)

    noting.pool.put(0)

    assert noting.started.empty()
    noting.ready.set()
    noting.go.release()
    noting.pool.stop(timeout=PATIENCE)
    assert noting.done == [0]


def test_a_free_thread_is_used_again_before_another_starts() -> None:
    noting = NotingPool(3)
    noting.ready.set()
    for job in range(4):
        noting.pool.put(job)
        noting.taken.get(timeout=PATIENCE)
        noting.go.release()
        until(lambda: noting.pool._free == 1)

    noting.pool.stop(timeout=PATIENCE)
    assert noting.started.qsize() == 1


def test_after_stop_no_thread_starts_and_jobs_are_dropped() -> None:
    noting = NotingPool(3)
    noting.pool.stop(timeout=PATIENCE)

    noting.pool.put(0)

    assert noting.started.empty()
    assert noting.pool._threads == []
