"""The breakdown of a run's time, as a table and as one line."""

from __future__ import annotations

import random
import re

import pytest

from birdlite.results import RunSummary
from birdlite.timing import STAGES, Breakdown, StageTime
from birdlite.writers.breakdown import breakdown_line, breakdown_text
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


# The line


def summary(ok: int, failed: int = 0) -> RunSummary:
    return RunSummary(ok + failed, ok, failed, 0.0, 0.0)


def cold_start(output_ms: float) -> Breakdown:
    times = (16.6, 106.5, 0.4, 0.0, 12.2, 7.3, 0.3, 0.1, 54.3, 8.2, output_ms)  # in the order of STAGES
    stages = tuple(StageTime(stage, ms, ms, 1) for stage, ms in zip(STAGES, times, strict=True))
    return Breakdown(sum(times) + 10.2, stages, 10.2)


def test_the_line_has_the_critical_path_in_whole_milliseconds() -> None:
    line = breakdown_line(summary(5), {}, cold_start(0.0))

    assert line == "5 of 5 in 216 ms: start 17, imports 107, model 20, fetch 0, decode 54, inference 8, other 10"


def test_the_line_names_failures_and_output_if_there_are_any() -> None:
    line = breakdown_line(summary(4, 1), {"not_found": 1}, cold_start(3.1))

    assert line.startswith("4 of 5, 1 failed (not_found 1), in 219 ms: start 17, imports 107, model 20, ")
    assert line.endswith(", inference 8, output 3, other 10")


def test_the_line_of_a_run_that_took_no_time_has_zeros() -> None:
    line = breakdown_line(summary(0), {}, Breakdown(0.0, (), 0.0))

    assert line == "0 of 0 in 0 ms: start 0, imports 0, model 0, fetch 0, decode 0, inference 0, other 0"


@pytest.mark.parametrize("seed", range(20))
def test_the_parts_of_the_line_always_add_up_and_are_off_by_less_than_one(seed: int) -> None:
    chance = random.Random(seed)
    times = {stage: chance.choice([0.0, chance.random(), chance.random() * 1e5]) for stage in STAGES}
    other = chance.choice([0.0, chance.random()])
    stages = tuple(StageTime(stage, ms, ms, 1) for stage, ms in times.items())

    line = breakdown_line(summary(1), {}, Breakdown(sum(times.values()) + other, stages, other))

    total, *parts = map(int, re.findall(r"(\d+)(?: ms|,|$)", line))
    assert sum(parts) == total
    assert abs(int(re.findall(r"decode (\d+)", line)[0]) - times["decode"]) < 1
