"""Threads start as work comes, never more than the limit, and one that prepares counts as free."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from queue import SimpleQueue

import pytest

from birdlite.run import worker_pool
from birdlite.run.worker_pool import WorkerPool
from tests.cli.test_faults import no_thread
from tests.fetching import until
from tests.origin import PATIENCE


class NotingPool:
    """A pool whose threads note what they do, and hold each job until the test lets go."""

    def __init__(self, limit: int) -> None:
        self.started: SimpleQueue[str] = SimpleQueue()
        self.taken: SimpleQueue[int] = SimpleQueue()
        self.go = threading.Semaphore(0)
        self.done: list[int] = []
        self.by: list[str] = []  # the thread that did each of them
        self.ready = threading.Event()
        self.pool: WorkerPool[int] = WorkerPool("noting", limit, self.body)

    def body(self, jobs: Iterator[int]) -> None:
        self.started.put(threading.current_thread().name)
        self.ready.wait(PATIENCE)
        for job in jobs:
            self.taken.put(job)
            self.go.acquire(timeout=PATIENCE)
            self.by.append(threading.current_thread().name)
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


def test_threads_that_could_not_start_are_tried_again_with_later_jobs(
    monkeypatch: pytest.MonkeyPatch, warnings_said: list[str]
) -> None:
    noting = NotingPool(3)
    noting.ready.set()
    noting.pool.put(0)
    assert noting.taken.get(timeout=PATIENCE) == 0
    with monkeypatch.context() as patched:
        no_thread(patched, "noting")
        noting.pool.put(1)
        noting.pool.put(2)

    noting.pool.put(3)
    noting.pool.put(4)

    assert {noting.taken.get(timeout=PATIENCE) for _ in range(2)} == {1, 2}
    (said,) = warnings_said
    assert said.endswith("1 of 3 noting threads run until it has")
    noting.go.release(5)
    noting.pool.stop(timeout=PATIENCE)
    assert sorted(noting.done) == [0, 1, 2, 3, 4]


def two_busy(noting: NotingPool) -> list[threading.Thread]:
    """Two threads that have the jobs 0 and 1."""
    noting.ready.set()
    for job in range(2):
        noting.pool.put(job)
        noting.taken.get(timeout=PATIENCE)
    names = {noting.started.get(timeout=PATIENCE) for _ in range(2)}
    return [thread for thread in threading.enumerate() if thread.name in names]


def test_the_only_thread_is_not_let_go() -> None:
    noting = NotingPool(2)
    first, second = two_busy(noting)

    assert noting.pool.let_go(second)
    assert not noting.pool.let_go(first)
    assert (noting.pool.has(first), noting.pool.has(second)) == (True, False)
    noting.go.release(2)
    noting.pool.stop(timeout=PATIENCE)


@pytest.mark.parametrize(("grow_again_s", "more"), [(1e6, 0), (0.0, 1)])
def test_a_thread_that_was_let_go_is_replaced_after_some_time(
    monkeypatch: pytest.MonkeyPatch, grow_again_s: float, more: int
) -> None:
    monkeypatch.setattr(worker_pool, "GROW_AGAIN_S", grow_again_s)
    noting = NotingPool(2)
    _, second = two_busy(noting)
    noting.pool.let_go(second)

    noting.pool.put(2)

    noting.go.release(3)
    noting.pool.stop(timeout=PATIENCE)
    second.join(PATIENCE)
    assert sorted(noting.done) == [0, 1, 2]
    assert noting.started.qsize() == more


def test_a_thread_that_is_let_go_while_it_waits_takes_nothing_from_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_pool, "GROW_AGAIN_S", 1e6)
    noting = NotingPool(2)
    first, second = two_busy(noting)
    noting.go.release(2)
    until(lambda: noting.pool._free == 2)
    noting.pool.let_go(second)

    noting.go.release(10)
    for job in range(2, 12):
        noting.pool.put(job)
    noting.pool.stop(timeout=PATIENCE)
    second.join(PATIENCE)

    assert noting.by[2:] == [first.name] * 10
    assert not second.is_alive()
