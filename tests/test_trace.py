"""What a timeline keeps for a drawing: the beginning of a run, and what was waited for."""

from __future__ import annotations

import pytest

from birdlite import timing
from birdlite.timing import FOLD_AT, Span, Timeline, critical_path
from birdlite.trace import TRACED


def test_a_timeline_that_nobody_draws_keeps_nothing() -> None:
    timeline = Timeline()
    timeline.add("imports", 0.0, 1.0)
    timeline.breakdown()

    assert timeline.trace is None


def test_a_short_run_is_kept_whole(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_of_a_long_run_the_beginning_is_kept() -> None:
    timeline = Timeline(origin=0.0)
    timeline.traced = True
    timeline.add("imports", 0.0, 1.0)
    for index in range(3 * FOLD_AT):
        timeline.add("decode", 1.0 + index, 2.0 + index, index)
    timeline.breakdown()

    trace = timeline.trace
    assert trace is not None
    assert trace.end == FOLD_AT
    assert [span.picture for span in trace.spans] == [None, *range(TRACED)]
    assert len(trace.path) == FOLD_AT


def test_the_path_is_the_pieces_that_the_sums_are_made_of() -> None:
    spans = [
        Span("image fetch", 0.0, 1.0, 1, 0),
        Span("decode", 1.0, 3.5, 7, 99),
        Span("inference", 4.0, 5.0, 1, 0),
    ]
    path: list[Span] = []

    critical_path(spans, 0.0, 5.0, path)

    assert [(piece.stage, piece.start, piece.end, piece.picture) for piece in reversed(path)] == [
        ("image fetch", 0.0, 1.0, 0),
        ("decode", 1.0, 3.5, 99),
        ("inference", 4.0, 5.0, 0),
    ]
