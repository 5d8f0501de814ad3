"""What is away is asked for again, until it is back or the time is over."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from birdlite import log, retries
from birdlite.errors import OutputError
from birdlite.retries import Retries


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "FIRST_S", 0.001)
    monkeypatch.setattr(retries, "LONGEST_S", 0.001)


@pytest.fixture
def said() -> list[str]:
    """What the log says."""
    lines: list[str] = []
    log.to(lambda level, message, fields: lines.append(message))
    return lines


class Bucket:
    """Is away for some calls."""

    def __init__(self, away: int, *, temporary: bool = True) -> None:
        self.away = away
        self.calls = 0
        self.temporary = temporary

    def ask(self) -> str:
        self.calls += 1
        if self.calls <= self.away:
            raise OutputError("the store is away", temporary=self.temporary)
        return "there"


def test_what_comes_back_is_not_an_error(said: list[str]) -> None:
    bucket = Bucket(away=7)

    assert Retries(60, threading.Event()).call(bucket.ask) == "there"
    assert bucket.calls == 8
    (line,) = said  # not seven
    assert line.startswith("the store is away; trying again for up to 60 s (--startup-timeout)")


def test_the_error_says_how_long_it_was_tried(said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(0, 1000, 10))
    monkeypatch.setattr(retries, "time", SimpleNamespace(monotonic=lambda: float(next(now))))

    with pytest.raises(OutputError, match=r"^the store is away; given up after 25 s \(--startup-timeout\)$"):
        Retries(25, threading.Event()).call(Bucket(away=99).ask)


def test_what_went_before_the_first_failure_may_count_too(monkeypatch: pytest.MonkeyPatch, said: list[str]) -> None:
    monkeypatch.setattr(retries, "time", SimpleNamespace(monotonic=lambda: 100.0))
    bucket = Bucket(away=99)

    with pytest.raises(OutputError):
        Retries(60, threading.Event(), since=40.0).call(bucket.ask)
    assert bucket.calls == 1


def test_what_will_not_pass_is_not_tried_again(said: list[str]) -> None:
    bucket = Bucket(away=1, temporary=False)

    with pytest.raises(OutputError, match="the store is away"):
        Retries(60, threading.Event()).call(bucket.ask)
    assert bucket.calls == 1
    assert said == []


def test_the_time_is_over_once_for_all_calls(monkeypatch: pytest.MonkeyPatch, said: list[str]) -> None:
    now = iter(range(0, 1000, 10))
    monkeypatch.setattr(retries, "time", SimpleNamespace(monotonic=lambda: float(next(now))))
    one, another = Bucket(away=99), Bucket(away=99)
    waiting = Retries(25, threading.Event())

    for bucket in (one, another):
        with pytest.raises(OutputError):
            waiting.call(bucket.ask)

    assert (one.calls, another.calls) == (4, 1)  # at 0, 10, 20 and 30 s, and then no more


def test_no_time_means_no_second_try(said: list[str]) -> None:
    bucket = Bucket(away=1)

    with pytest.raises(OutputError):
        Retries(0, threading.Event()).call(bucket.ask)
    assert bucket.calls == 1


def test_a_run_that_is_interrupted_waits_no_longer(monkeypatch: pytest.MonkeyPatch, said: list[str]) -> None:
    monkeypatch.setattr(retries, "FIRST_S", 1000.0)
    monkeypatch.setattr(retries, "LONGEST_S", 1000.0)
    stop = threading.Event()
    bucket = Bucket(away=99)

    def ask() -> str:
        stop.set()
        return bucket.ask()

    with pytest.raises(OutputError):
        Retries(3600, stop).call(ask)
    assert bucket.calls == 1


@pytest.mark.parametrize("fraction", [0.0, 0.5, 0.999])
def test_pauses_grow_to_a_ceiling_and_are_drawn_below_it(
    monkeypatch: pytest.MonkeyPatch, said: list[str], fraction: float
) -> None:
    monkeypatch.setattr(retries, "FIRST_S", 0.5)
    monkeypatch.setattr(retries, "LONGEST_S", 15.0)
    monkeypatch.setattr(retries, "random", SimpleNamespace(random=lambda: fraction))
    monkeypatch.setattr(retries, "time", SimpleNamespace(monotonic=lambda: 0.0))
    pauses: list[float] = []
    event = threading.Event()

    def wait(seconds: float) -> bool:
        pauses.append(seconds)
        return False

    monkeypatch.setattr(event, "wait", wait)

    Retries(3600, event).call(Bucket(away=8).ask)

    assert pauses == [pytest.approx(fraction * ceiling) for ceiling in (0.5, 1, 2, 4, 8, 15, 15, 15)]
