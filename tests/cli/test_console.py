"""Log lines and the progress line share standard error without tearing each other."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace

import pytest

from birdlite import log
from birdlite.cli import console as console_room
from birdlite.cli.console import CLEAR_LINE, Console
from birdlite.results import Progress


class Screen(io.StringIO):
    """A terminal that remembers what was written to it."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    screen = Screen()
    monkeypatch.setattr(console_room, "sys", SimpleNamespace(stderr=screen))  # pytest puts its own into sys
    monkeypatch.setenv("TERM", "xterm")
    return screen


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time on the console's clock, for the test to set."""
    now = [100.0]
    monkeypatch.setattr(console_room, "clock", lambda: now[0])
    return now


def test_progress_begins_late_and_comes_at_most_ten_times_a_second(screen: Screen, now: list[float]) -> None:
    console = Console()
    for done, time in enumerate((100.1, 100.4, 100.6, 100.65, 100.75), start=1):
        now[0] = time
        console.progress(Progress(done, 0, None), time - 100)

    assert screen.getvalue() == f"{CLEAR_LINE}3 done, 5.0/s{CLEAR_LINE}5 done, 6.7/s"


@pytest.mark.parametrize(("done", "left"), [(100, "1:30"), (4, "41:30"), (1, "2:46:30")])
def test_progress_says_how_long_the_rest_takes_where_the_number_of_targets_is_known(
    screen: Screen, now: list[float], done: int, left: str
) -> None:
    console = Console()
    now[0] = 110.0
    console.progress(Progress(done, 0, 1000), 10.0)

    assert screen.getvalue() == f"{CLEAR_LINE}{done} of 1000, {done / 10:.1f}/s, {left} left"


def test_a_log_line_takes_the_progress_line_away_first(screen: Screen, now: list[float]) -> None:
    console = Console()
    now[0] = 101.0
    console.progress(Progress(7, 2, None), 1.0)
    log.warning("no cache")

    assert screen.getvalue() == f"{CLEAR_LINE}7 done, 2 failed, 7.0/s{CLEAR_LINE}birdlite: warning: no cache\n"


@pytest.mark.parametrize("reason", ["pipe", "dumb", "json", "quiet"])
def test_there_is_no_progress_line_where_nobody_could_use_it(
    screen: Screen, now: list[float], monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    if reason == "pipe":
        monkeypatch.setattr(screen, "isatty", lambda: False)
    if reason == "dumb":
        monkeypatch.setenv("TERM", "dumb")
    console = Console("json" if reason == "json" else "text", threshold=log.ERROR if reason == "quiet" else log.INFO)
    now[0] = 200.0
    console.progress(Progress(7, 0, None), 1.0)

    assert screen.getvalue() == ""


def test_lines_below_the_threshold_are_not_said(screen: Screen) -> None:
    Console()
    log.debug("retry")
    log.info("fetched", bytes=7)

    assert screen.getvalue() == "birdlite: fetched (bytes=7)\n"


def test_a_json_line_holds_the_fields(screen: Screen) -> None:
    Console("json", threshold=log.DEBUG)
    log.debug("retry", wait_s=0.5)

    line = json.loads(screen.getvalue())
    assert (line["level"], line["message"], line["wait_s"]) == ("debug", "retry", 0.5)
    assert line["time"].endswith("+00:00")


def test_control_characters_from_outside_do_not_reach_the_terminal(screen: Screen) -> None:
    Console()
    log.info("from \x1b[31mserver")

    assert "\x1b[31m" not in screen.getvalue()


def test_a_standard_error_that_is_gone_does_not_end_the_run(screen: Screen) -> None:
    Console()
    screen.close()

    log.info("to nobody")
    assert not log.has_sink()
