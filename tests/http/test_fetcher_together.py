"""Many fetches at once: limits per host, and how they are called off."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from birdlite.deadline import Deadline
from birdlite.http.fetcher import Fetcher, PerHost
from tests.fetching import BODY, PATIENT, SETTINGS, Time, failure_of, fetchers, until
from tests.origin import PATIENCE, Exchange, Origin, message


@pytest.fixture
def make() -> Iterator[Callable[..., Fetcher]]:
    """Makes fetchers, and closes them after the test."""
    with fetchers() as make:
        yield make


# Limits, and the end


def test_a_host_gets_as_many_requests_at_once_as_its_limit_and_no_more(
    origin: Origin, make: Callable[..., Fetcher]
) -> None:
    fetcher = make(SETTINGS._replace(per_host=PerHost(general=3)))
    release = origin.hold("/a", BODY)
    with ThreadPoolExecutor(12) as pool:
        bodies = [pool.submit(fetcher.get, origin.url(f"/a?{number}")) for number in range(12)]
        origin.wait_for(3)
        until(lambda: fetcher.hosts.counts() == {"127.0.0.1": (3, 9)})
        release.set()
        assert [body.result(PATIENCE) for body in bodies] == [BODY] * 12
    assert origin.peak() == 3
    assert fetcher.hosts.counts() == {}


def test_a_named_host_has_its_own_limit(origin: Origin, make: Callable[..., Fetcher]) -> None:
    fetcher = make(SETTINGS._replace(per_host=PerHost(general=8, named={"127.0.0.1": 2})))
    release = origin.hold("/a", BODY)
    with ThreadPoolExecutor(8) as pool:
        bodies = [pool.submit(fetcher.get, origin.url("/a")) for _ in range(8)]
        origin.wait_for(2)
        until(lambda: fetcher.hosts.counts() == {"127.0.0.1": (2, 6)})
        release.set()
        assert [body.result(PATIENCE) for body in bodies] == [BODY] * 8
    assert (origin.peak(), origin.connections()) == (2, 2)


def test_a_pause_keeps_nobody_else_from_the_host(
    origin: Origin, make: Callable[..., Fetcher], monkeypatch: pytest.MonkeyPatch
) -> None:
    origin.serve("/a", BODY)
    origin.serve("/b", b"meanwhile")
    meanwhile: list[bytes] = []

    def wait(clock: Deadline, seconds: float) -> None:
        meanwhile.append(alone.get(origin.url("/b")))  # would wait for ever if the pause kept the turn

    monkeypatch.setattr(Deadline, "wait", wait)
    alone = make(SETTINGS._replace(per_host=PerHost(1)))
    assert alone.get(origin.fail("/a", [503])) == BODY
    assert meanwhile == [b"meanwhile"]


def test_waiting_for_a_turn_does_not_count_towards_the_deadline(
    origin: Origin, make: Callable[..., Fetcher], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Time(monkeypatch)
    fetcher = make(SETTINGS._replace(per_host=PerHost(1)))
    origin.hold("/slow", BODY)
    origin.serve("/next", BODY)
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(failure_of, fetcher, origin.url("/slow"), timeout=100)
        origin.wait_for(1)
        queued = pool.submit(fetcher.get, origin.url("/next"), timeout=50)
        until(lambda: fetcher.hosts.counts() == {"127.0.0.1": (1, 1)})
        clock.let_pass(1000.0)  # the first runs out of time; the second has waited far longer than its own 50 s

        assert slow.result(PATIENCE).kind == "timeout"
        assert queued.result(PATIENCE) == BODY


@pytest.mark.parametrize("by", ["cancel", "close"])
def test_a_fetch_under_way_can_be_called_off(origin: Origin, make: Callable[..., Fetcher], by: str) -> None:
    cancel = threading.Event()
    fetcher = make(PATIENT, cancel)
    releases = origin.hold("/a"), origin.stall("/b", BODY, sent=10)
    with ThreadPoolExecutor(2) as pool:
        fetches = [pool.submit(failure_of, fetcher, origin.url(path)) for path in ("/a", "/b")]
        try:
            origin.wait_for(2)
            fetcher.close() if by == "close" else cancel.set()
            kinds = [fetch.result(PATIENCE).kind for fetch in fetches]
        finally:
            for release in releases:
                release.set()
    assert kinds == ["cancelled", "cancelled"]


def test_the_last_fetch_to_be_called_off_closes_the_connections(origin: Origin, make: Callable[..., Fetcher]) -> None:
    fetcher = make()
    fetcher.get(origin.serve("/a", BODY))  # its connection stays open for the next request
    origin.drip("/b", b"HTTP/1.1 200 OK\r\n", b"x")
    with ThreadPoolExecutor(1) as pool:
        fetch = pool.submit(failure_of, fetcher, origin.url("/b"))
        origin.wait_for(1)
        fetcher.get(origin.url("/a"))
        fetcher.close()
        assert fetch.result(PATIENCE).kind == "cancelled"
    origin.wait_for_hang_up()


@pytest.mark.parametrize("by", ["cancel", "close"])
def test_a_pause_can_be_called_off(origin: Origin, make: Callable[..., Fetcher], by: str) -> None:
    cancel = threading.Event()
    fetcher = make(SETTINGS, cancel)

    def answer(exchange: Exchange) -> None:
        exchange.finish(message(503, {"Retry-After": "10"}, b""))
        fetcher.close() if by == "close" else cancel.set()

    assert failure_of(fetcher, origin.answer("/a", answer)).kind == "cancelled"
    assert origin.hits("/a") == 1


def test_after_the_end_nothing_is_fetched(origin: Origin, make: Callable[..., Fetcher]) -> None:
    fetcher = make()
    fetcher.get(origin.serve("/a", BODY))
    fetcher.close()
    fetcher.close()
    assert failure_of(fetcher, origin.url("/a")).kind == "cancelled"
    assert origin.hits("/a") == 1
