"""When a fetch is given up. The time is the tests' own."""

from __future__ import annotations

import threading

import pytest

from birdlite.deadline import POLL_S, Deadline
from birdlite.errors import PictureError


class Clock:
    """The monotonic clock, which stands still until somebody waits."""

    def __init__(self) -> None:
        self.now = 1000.0

    def stop(self, *, after: float | None = None) -> Stop:
        """An event that whoever waits for it finds set after so many seconds."""
        return Stop(self, None if after is None else self.now + after)


class Stop(threading.Event):
    """Waiting for it takes time on the clock, and none of ours."""

    def __init__(self, clock: Clock, at: float | None) -> None:
        super().__init__()
        self._clock, self._at = clock, at

    def is_set(self) -> bool:
        return super().is_set() or (self._at is not None and self._clock.now >= self._at)

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self._clock.now += timeout
        return self.is_set()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("time.monotonic", lambda: clock.now)
    return clock


def test_time_runs_out() -> None:
    deadline = Deadline(0.0, (threading.Event(),))
    deadline.doing = "waiting for a.example"
    with pytest.raises(PictureError, match=r"timed out after 0 s: waiting for a\.example") as failure:
        deadline.left()
    assert failure.value.kind == "timeout"


def test_an_answer_must_come_by_its_own_time_and_then_the_rest_of_it_need_not(clock: Clock) -> None:
    deadline = Deadline(60.0, (threading.Event(),))
    deadline.answer_by(clock.now)
    deadline.doing = "waiting for a.example"
    with pytest.raises(PictureError, match=r"no answer in time: waiting for a\.example") as failure:
        deadline.left()
    assert failure.value.temporary

    deadline.answered = True
    assert deadline.left() == 60.0


def test_time_that_is_left_is_told_in_seconds(clock: Clock) -> None:
    deadline = Deadline(60.0, (threading.Event(),))
    clock.now += 18.0
    assert deadline.left() == 42.0


def test_any_of_the_events_calls_a_fetch_off_also_when_its_time_is_up() -> None:
    first, second = threading.Event(), threading.Event()
    deadline = Deadline(0.0, (first, second))
    second.set()
    with pytest.raises(PictureError) as failure:
        deadline.left()
    assert failure.value.kind == "cancelled"


def test_a_wait_lasts_as_long_as_it_should(clock: Clock) -> None:
    Deadline(60.0, (clock.stop(),)).wait(2.02)
    assert clock.now == pytest.approx(1002.02)


@pytest.mark.parametrize("which", [0, 1])
def test_a_wait_ends_when_the_fetch_is_called_off(clock: Clock, which: int) -> None:
    stops = [clock.stop(), clock.stop()]
    stops[which] = clock.stop(after=5.0)
    with pytest.raises(PictureError) as failure:
        Deadline(60.0, tuple(stops)).wait(60.0)
    assert failure.value.kind == "cancelled"
    assert 1005.0 <= clock.now <= 1005.0 + POLL_S


def test_a_wait_ends_with_the_time(clock: Clock) -> None:
    with pytest.raises(PictureError) as failure:
        Deadline(2.02, (clock.stop(),)).wait(60.0)
    assert failure.value.kind == "timeout"
    assert clock.now == pytest.approx(1002.02)
