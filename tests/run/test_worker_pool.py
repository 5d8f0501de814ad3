"""Threads start as work comes, never more than the limit, and one that prepares counts as free."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from queue import SimpleQueue

from birdlite.run.worker_pool import WorkerPool

PATIENCE = 20.0  # s before a test that waits for a thread has failed


class Bench:
    """A pool whose members note who does what, and hold each job until the test lets go."""

    def __init__(self, limit: int) -> None:
        self.started: SimpleQueue[str] = SimpleQueue()
        self.taken: SimpleQueue[int] = SimpleQueue()
        self.go = threading.Semaphore(0)
        self.done: list[int] = []
        self.ready = threading.Event()
        self.pool: WorkerPool[int] = WorkerPool("bench", limit, self.body)

    def body(self, jobs: Iterator[int]) -> None:
        self.started.put(threading.current_thread().name)
        self.ready.wait(PATIENCE)
        for job in jobs:
            self.taken.put(job)
            self.go.acquire(timeout=PATIENCE)
            self.done.append(job)


def test_no_thread_before_there_is_work() -> None:
    bench = Bench(3)

    assert bench.started.empty()
    bench.pool.stop(timeout=PATIENCE)


def test_every_job_is_done_once_by_at_most_the_limit_of_threads() -> None:
    bench = Bench(3)
    bench.ready.set()
    bench.go.release(50)

    for job in range(50):
        bench.pool.put(job)
    bench.pool.stop(timeout=PATIENCE)

    assert sorted(bench.done) == list(range(50))
    assert bench.started.qsize() <= 3


def test_jobs_without_a_free_thread_start_threads_up_to_the_limit() -> None:
    bench = Bench(3)
    bench.ready.set()
    for job in range(5):
        bench.pool.put(job)

    assert {bench.taken.get(timeout=PATIENCE) for _ in range(3)} == {0, 1, 2}
    assert bench.taken.empty()
    assert bench.started.qsize() == 3
    bench.go.release(5)
    bench.pool.stop(timeout=PATIENCE)
    assert sorted(bench.done) == list(range(5))


def test_a_thread_that_is_still_preparing_takes_the_first_job_alone() -> None:
    bench = Bench(3)
    bench.pool.start_one()
    bench.started.get(timeout=PATIENCE)

    bench.pool.put(0)

    assert bench.started.empty()
    bench.ready.set()
    bench.go.release()
    bench.pool.stop(timeout=PATIENCE)
    assert bench.done == [0]


def test_a_free_thread_is_used_again_before_another_starts() -> None:
    bench = Bench(3)
    bench.ready.set()
    for job in range(4):
        bench.pool.put(job)
        bench.taken.get(timeout=PATIENCE)
        bench.go.release()
        while len(bench.done) <= job:
            pass
        with bench.pool._lock:  # it is free once it has said so under the lock
            pass

    bench.pool.stop(timeout=PATIENCE)
    assert bench.started.qsize() <= 2


def test_after_stop_no_thread_starts_and_jobs_are_dropped() -> None:
    bench = Bench(3)
    bench.pool.stop(timeout=PATIENCE)

    bench.pool.put(0)

    assert bench.started.empty()
    assert bench.pool._threads == []
