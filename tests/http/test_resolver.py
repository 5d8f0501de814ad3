"""Names are looked up within the deadline, whatever the name server does."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

import pytest

from birdlite.deadline import Deadline
from birdlite.errors import PictureError
from birdlite.http.fetcher import Fetcher
from birdlite.http.resolver import MOST_LOOKUPS, Resolver
from tests.fetching import SETTINGS, Time, failure_of, until
from tests.origin import PATIENCE


class NameServer:
    """Answers no question until `answer` is set."""

    def __init__(self) -> None:
        self.answer = threading.Event()
        self.asked: list[object] = []
        self.takes: Callable[[], object] = lambda: None

    def getaddrinfo(self, host: object, port: int, *others: object, **more: object) -> list[tuple[object, ...]]:
        self.asked.append(host)
        self.takes()
        self.answer.wait(PATIENCE)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", port))] * 2


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServer]:
    server = NameServer()
    monkeypatch.setattr(socket, "getaddrinfo", server.getaddrinfo)
    yield server
    server.answer.set()
    until(lambda: not [thread for thread in threading.enumerate() if thread.name == "birdlite-resolve"])


def plenty(*stops: threading.Event) -> Deadline:
    return Deadline(PATIENCE, stops or (threading.Event(),))


class Watched(Deadline):
    """Has plenty of time, and tells when somebody who waits asks how much."""

    def __init__(self) -> None:
        super().__init__(PATIENCE, (threading.Event(),))
        self.asked = threading.Event()

    def left(self) -> float:
        self.asked.set()
        return super().left()


def test_a_silent_name_server_takes_no_longer_than_the_deadline(
    silent: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Time(monkeypatch)
    silent.takes = lambda: clock.let_pass(200.0)
    fetcher = Fetcher(SETTINGS)
    failure = failure_of(fetcher, "http://a.example/b.jpg", timeout=100.0)
    assert not silent.answer.is_set()
    assert failure.kind == "timeout"
    assert str(failure) == "timed out after 100 s: waiting for the address of a.example"
    fetcher.close()


def test_a_lookup_is_cancelled_at_once(silent: NameServer) -> None:
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        fetch = pool.submit(Resolver().places, "a.example", 80, plenty(stop))
        until(lambda: bool(silent.asked))
        stop.set()
        with pytest.raises(PictureError) as caught:
            fetch.result(PATIENCE)
    assert caught.value.kind == "cancelled"


def test_who_asks_for_the_same_host_shares_one_lookup(silent: NameServer) -> None:
    resolver = Resolver()
    for _ in range(3):
        with pytest.raises(PictureError, match="timed out"):
            resolver.places("a.example", 80, Deadline(0.01, (threading.Event(),)))
    with ThreadPoolExecutor(1) as pool:
        deadline = Watched()
        fetch = pool.submit(resolver.places, "a.example", 80, deadline)
        assert deadline.asked.wait(PATIENCE)
        silent.answer.set()
        assert fetch.result(PATIENCE) == [(socket.AF_INET, socket.SOCK_STREAM, 6, ("192.0.2.1", 80))]
    assert silent.asked == [b"a.example"]


def test_a_bounded_number_of_lookups_is_left_behind(silent: NameServer) -> None:
    resolver = Resolver()
    for number in range(MOST_LOOKUPS + 5):
        with pytest.raises(PictureError, match="timed out"):
            resolver.places(f"{number}.example", 80, Deadline(0.001, (threading.Event(),)))
    assert len(silent.asked) <= MOST_LOOKUPS
    silent.answer.set()
    assert resolver.places("last.example", 80, plenty())


def test_an_address_needs_no_lookup(silent: NameServer) -> None:
    silent.answer.set()
    names: list[str] = []
    original = silent.getaddrinfo

    def getaddrinfo(*arguments: object, **more: object) -> list[tuple[object, ...]]:
        names.append(threading.current_thread().name)
        return original(*arguments, **more)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", getaddrinfo)
        for host in ("127.0.0.1", "::1"):
            Resolver().places(host, 80, plenty())
    assert names == [threading.current_thread().name] * 2


def failing(error: Exception) -> Callable[..., NoReturn]:
    def fail(*arguments: object, **options: object) -> NoReturn:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "not_found"),
        (socket.gaierror(socket.EAI_NODATA, "No address associated with hostname"), "not_found"),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), "network"),  # no network at all
        (socket.gaierror(socket.EAI_FAIL, "Non-recoverable failure in name resolution"), "network"),
        (OSError(101, "Network is unreachable"), "network"),
        (OSError(24, "Too many open files"), "network"),
    ],
)
def test_no_network_is_told_apart_from_an_unknown_host(
    monkeypatch: pytest.MonkeyPatch, error: Exception, kind: str
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", failing(error))
    with pytest.raises(PictureError) as caught:
        Resolver().places("a.example", 80, plenty())
    assert caught.value.kind == kind


def test_a_host_that_cannot_be_reached_is_the_networks_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket.socket, "connect", failing(OSError(101, "Network is unreachable")))
    fetcher = Fetcher(SETTINGS._replace(retries=0))
    failure = failure_of(fetcher, "http://192.0.2.1/a")
    assert (failure.kind, str(failure)) == ("network", "no connection to 192.0.2.1: Network is unreachable")
    fetcher.close()
