"""The breakdown as people see it."""

from __future__ import annotations

import pytest

from birdlite.timing import Breakdown, StageTime
from birdlite.writers.breakdown import breakdown_text
from birdlite.writers.terminal import Terminal

BREAKDOWN = Breakdown(
    312.44,
    (
        StageTime("interpreter start-up", 9.1, 9.1, 1),
        StageTime("labels", 0.0, 0.0, 0),
        StageTime("image fetch", 1209.12, 300.1, 5),
    ),
    3.24,
)


def test_the_table_names_each_stage_that_occurred_and_adds_up() -> None:
    assert breakdown_text(BREAKDOWN, Terminal()).splitlines() == [
        "stage                 times  spent ms  critical ms  share of the wall time",
        "interpreter start-up      1       9.1          9.1  █░░░░░░░░░░░░░░░░░░░",
        "image fetch               5    1209.1        300.1  ███████████████████░",
        "other                                          3.2  ░░░░░░░░░░░░░░░░░░░░",
        "total                                        312.4",
    ]


@pytest.mark.parametrize(
    ("width", "first", "second"),
    [
        (
            74,
            "stage                 times  spent ms  critical ms  share of the wall time",
            "interpreter start-up      1       9.1          9.1  #...................",
        ),
        (
            73,
            "stage                 times  spent ms  critical ms",
            "interpreter start-up      1       9.1          9.1",
        ),
        (
            50,
            "stage                 times  spent ms  critical ms",
            "interpreter start-up      1       9.1          9.1",
        ),
        (49, "stage                 spent ms  critical ms", "interpreter start-up       9.1          9.1"),
        (42, "stage                 critical ms", "interpreter start-up          9.1"),
        (30, "stage              critical ms", "interpreter star.          9.1"),
        (20, "stage    critical ms", "interp.          9.1"),
    ],
)
def test_a_narrow_terminal_gets_a_narrower_table(width: int, first: str, second: str) -> None:
    assert breakdown_text(BREAKDOWN, Terminal(width, encoding="ascii")).splitlines()[:2] == [first, second]


def test_colour_marks_the_frame_and_the_bars() -> None:
    lines = breakdown_text(Breakdown(10.0, (), 10.0), Terminal(80, colour=True)).splitlines()
    assert lines == [
        "\x1b[1mstage  times  spent ms  critical ms  share of the wall time\x1b[0m",
        "other                          10.0  \x1b[32m████████████████████\x1b[0m",
        "\x1b[1mtotal                          10.0\x1b[0m",
    ]


def test_a_run_that_took_no_time_has_a_table_too() -> None:
    assert "total" in breakdown_text(Breakdown(0.0, (), 0.0), Terminal())
