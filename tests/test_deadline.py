"""When a fetch is given up."""

from __future__ import annotations

import threading
import time

import pytest

from birdlite.deadline import Deadline
from birdlite.errors import PictureError


def test_time_runs_out() -> None:
    deadline = Deadline(0.0, (threading.Event(),))
    deadline.doing = "waiting for a.example"
    with pytest.raises(PictureError, match=r"timed out after 0 s: waiting for a\.example") as failure:
        deadline.left()
    assert failure.value.kind == "timeout"


def test_an_answer_must_come_by_its_own_time_and_then_the_rest_of_it_need_not() -> None:
    deadline = Deadline(60.0, (threading.Event(),))
    deadline.answer_by(time.monotonic())
    deadline.doing = "waiting for a.example"
    with pytest.raises(PictureError, match=r"no answer in time: waiting for a\.example") as failure:
        deadline.left()
    assert failure.value.temporary

    deadline.answered = True
    assert 59.0 < deadline.left() <= 60.0


def test_time_that_is_left_is_told_in_seconds() -> None:
    assert 59.0 < Deadline(60.0, (threading.Event(),)).left() <= 60.0


def test_any_of_the_events_calls_a_fetch_off_also_when_its_time_is_up() -> None:
    first, second = threading.Event(), threading.Event()
    deadline = Deadline(0.0, (first, second))
    second.set()
    with pytest.raises(PictureError) as failure:
        deadline.left()
    assert failure.value.kind == "cancelled"


def test_a_wait_lasts_as_long_as_it_should() -> None:
    began = time.monotonic()
    Deadline(60.0, (threading.Event(),)).wait(0.02)
    assert time.monotonic() - began >= 0.02


@pytest.mark.parametrize("which", [0, 1])
def test_a_wait_ends_when_the_fetch_is_called_off(which: int) -> None:
    stops = (threading.Event(), threading.Event())
    threading.Timer(0.01, stops[which].set).start()
    began = time.monotonic()
    with pytest.raises(PictureError) as failure:
        Deadline(60.0, stops).wait(60.0)
    assert failure.value.kind == "cancelled"
    assert time.monotonic() - began < 10


def test_a_wait_ends_with_the_time() -> None:
    began = time.monotonic()
    with pytest.raises(PictureError) as failure:
        Deadline(0.02, (threading.Event(),)).wait(60.0)
    assert failure.value.kind == "timeout"
    assert time.monotonic() - began < 10
