"""The breakdown adds up, whatever overlapped."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading

import pytest

from birdlite import timing
from birdlite.timing import FOLD_AT, STAGES, TRACED, Breakdown, Span, Stage, Timeline, critical_path

MAIN, HELPER = 1, 2


def divided(spans: list[Span], start: float, end: float) -> tuple[dict[Stage, float], float]:
    """Seconds that the run waited for each stage, and seconds that no span explains."""
    sums: dict[Stage, float] = {}
    for piece in critical_path(spans, start, end):
        sums[piece.stage] = sums.get(piece.stage, 0.0) + piece.end - piece.start
    return sums, end - start - sum(sums.values())


def test_a_chain_is_critical_from_end_to_end() -> None:
    spans = [
        Span("interpreter start-up", 0.0, 1.0, MAIN, None),
        Span("imports", 1.0, 3.0, MAIN, None),
        Span("decode", 3.0, 4.0, MAIN, 0),
        Span("inference", 4.0, 6.0, MAIN, 0),
    ]

    stages, other = divided(spans, 0.0, 6.0)

    assert stages == {"interpreter start-up": 1.0, "imports": 2.0, "decode": 1.0, "inference": 2.0}
    assert other == 0.0


def test_what_ran_beside_a_longer_step_is_not_critical() -> None:
    spans = [
        Span("image fetch", 0.0, 5.0, HELPER, 0),
        Span("model load", 0.0, 2.0, MAIN, None),  # done long before the picture was there
        Span("decode", 5.0, 6.0, MAIN, 0),
    ]

    stages, other = divided(spans, 0.0, 6.0)

    assert stages == {"image fetch": 5.0, "decode": 1.0}
    assert other == 0.0


def test_a_picture_that_waited_for_the_model_shows_the_model() -> None:
    spans = [
        Span("image fetch", 0.0, 1.0, HELPER, 0),
        Span("model load", 0.0, 4.0, MAIN, None),
        Span("decode", 4.0, 5.0, MAIN, 0),
    ]

    stages, _ = divided(spans, 0.0, 5.0)

    assert stages == {"model load": 4.0, "decode": 1.0}


def test_a_gap_goes_to_the_work_that_was_going_on_meanwhile() -> None:
    spans = [
        Span("image fetch", 0.0, 1.0, HELPER, 0),
        Span("decode", 1.0, 3.5, 7, 99),  # another picture in another thread
        Span("inference", 4.0, 5.0, MAIN, 0),
    ]

    stages, other = divided(spans, 0.0, 5.0)

    assert stages == {"image fetch": 1.0, "decode": 2.5, "inference": 1.0}  # waited for, but not for its result
    assert other == 0.5


def test_time_that_no_span_explains_is_other() -> None:
    stages, other = divided([Span("imports", 1.0, 2.0, MAIN, None)], 0.0, 4.0)

    assert stages == {"imports": 1.0}
    assert other == 3.0


def test_without_spans_everything_is_other() -> None:
    assert divided([], 2.0, 5.0) == ({}, 3.0)


def test_spans_without_length_do_not_hold_the_walk_up() -> None:
    spans = [Span("labels", 1.0, 1.0, thread, None) for thread in range(50)]

    stages, other = divided(spans, 0.0, 2.0)

    assert sum(stages.values()) == 0.0
    assert other == 2.0


@pytest.mark.parametrize("seed", range(20))
def test_stages_and_other_add_up_to_the_time_divided(seed: int) -> None:
    chance = random.Random(seed)
    spans = []
    for _ in range(300):
        start = chance.uniform(0, 10)
        length = chance.choice([0.0, chance.uniform(0, 0.3)])
        picture = chance.choice([None, chance.randrange(40)])
        spans.append(Span(chance.choice(STAGES), start, start + length, chance.randrange(4), picture))

    stages, other = divided(spans, 2.0, 10.5)

    assert sum(stages.values()) + other == pytest.approx(8.5)
    assert min([*stages.values(), other]) >= 0.0


def total(breakdown: Breakdown) -> float:
    return sum(line.critical_ms for line in breakdown.stages) + breakdown.other_ms


def test_a_breakdown_adds_up_to_the_wall_time() -> None:
    timeline = Timeline()
    with timeline.span("imports"), timeline.span("decode", 0) as span:
        sum(range(20_000))

    breakdown = timeline.breakdown()

    assert span.ms > 0
    assert [line.stage for line in breakdown.stages] == ["imports", "decode"]
    assert total(breakdown) == pytest.approx(breakdown.wall_ms)


def test_a_span_counts_when_its_body_raises() -> None:
    timeline = Timeline()
    with pytest.raises(KeyError), timeline.span("image fetch", 3):
        raise KeyError

    assert [(line.stage, line.count) for line in timeline.breakdown().stages] == [("image fetch", 1)]


def test_a_long_run_keeps_few_spans_and_still_adds_up() -> None:
    timeline = Timeline(origin=0.0)
    pictures = 5000

    def work(first: int) -> None:
        for index in range(first, pictures, 4):
            timeline.add("decode", index * 1e-3, index * 1e-3 + 5e-4, index)
            timeline.add("inference", index * 1e-3 + 5e-4, index * 1e-3 + 9e-4, index)

    threads = [threading.Thread(target=work, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(timeline._spans) < timing.FOLD_AT
    breakdown = timeline.breakdown()
    assert [line.count for line in breakdown.stages] == [pictures, pictures]
    assert breakdown.stages[0].spent_ms == pytest.approx(pictures * 0.5)
    assert total(breakdown) == pytest.approx(breakdown.wall_ms)


def test_process_start_lies_before_the_first_line_and_after_the_parent_looked() -> None:
    code = "from birdlite.timing import clock, process_start; now = clock(); print(now - process_start())"
    before = timing.clock()
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    took = timing.clock() - before

    assert 0.0 < float(run.stdout) < took + 0.02  # one tick of the kernel's clock, and the reading itself


def test_process_start_falls_back_on_processor_time_where_there_is_no_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_proc(*_: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr("builtins.open", no_proc)

    assert timing.process_start() < timing.clock()
    assert os.sysconf("SC_CLK_TCK") > 0


# The trace that the report draws


def test_a_timeline_that_is_not_drawn_keeps_no_trace() -> None:
    timeline = Timeline()
    timeline.add("imports", 0.0, 1.0)
    timeline.breakdown()

    assert timeline.trace is None


def test_the_trace_of_a_short_run_has_all_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "clock", lambda: 9.0)
    timeline = Timeline(origin=5.0)
    timeline.add("imports", 5.0, 6.0)
    timeline.traced = True
    timeline.add("decode", 6.0, 8.5, 3)
    timeline.breakdown()

    trace = timeline.trace
    assert trace is not None
    assert (trace.start, trace.end) == (5.0, 9.0)
    assert [(span.stage, span.picture) for span in trace.spans] == [("imports", None), ("decode", 3)]
    assert [(piece.stage, piece.start, piece.end) for piece in trace.path] == [
        ("imports", 5.0, 6.0),
        ("decode", 6.0, 8.5),
    ]


def test_the_trace_of_a_long_run_has_its_first_pictures() -> None:
    timeline = Timeline(origin=0.0)
    timeline.traced = True
    timeline.add("imports", 0.0, 1.0)
    for index in range(0, 6 * FOLD_AT, 2):  # every second picture, as in a shard
        timeline.add("decode", 1.0 + index / 2, 2.0 + index / 2, index)
    timeline.breakdown()

    trace = timeline.trace
    assert trace is not None
    assert trace.end == FOLD_AT
    assert [span.picture for span in trace.spans] == [None, *range(0, 2 * TRACED, 2)]
    assert len(trace.path) == FOLD_AT


def test_the_critical_path_is_pieces_of_spans_the_latest_first() -> None:
    spans = [
        Span("image fetch", 0.0, 1.0, 1, 0),
        Span("decode", 1.0, 3.5, 7, 99),
        Span("inference", 4.0, 5.0, 1, 0),
    ]

    path = critical_path(spans, 0.0, 5.0)

    assert [(piece.stage, piece.start, piece.end, piece.picture) for piece in reversed(path)] == [
        ("image fetch", 0.0, 1.0, 0),
        ("decode", 1.0, 3.5, 99),
        ("inference", 4.0, 5.0, 0),
    ]
