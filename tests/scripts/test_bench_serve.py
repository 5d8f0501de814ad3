"""The benchmark of the service: its tables, and the whole of it for a moment, on the demo's model."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from scripts import bench_serve
from scripts.balanced import balancer
from scripts.balanced.deployment import Costs, Measured, birdlite, deployment, plain
from scripts.balanced.load import Answer, Phase, Plan, Report, outcomes
from scripts.balanced.tables import (
    Point,
    balance,
    latency,
    percentile,
    saturation,
    summary,
    throughput,
    verdicts,
    windows,
)
from scripts.scaleout.machines import missing
from scripts.scaleout.world import ALBUM, make_world
from scripts.subjects import VARIETY

HERE = missing() or balancer.missing()
OK, SHED, LOST = "200", "503 overload", "no answer: the connection was closed"


def answers(*outcomes: str, took: float = 0.1) -> list[Answer]:
    """One a second."""
    return [Answer(float(number), took, outcome) for number, outcome in enumerate(outcomes)]


def measured() -> Measured:
    return Measured(Report(0.0, 10.0, 0.1, 0.001, 5, answers(OK, SHED)), Costs(0.25, 0.01, 0.02, 0.03, 0.5), (0, 0))


def test_a_percentile_is_a_value_that_was_there() -> None:
    values = [float(number) for number in range(1, 101)]

    assert [percentile(values, part) for part in (0.5, 0.95, 0.99, 1.0)] == [50, 95, 99, 100]
    assert percentile([7.0], 0.5) == 7
    assert percentile([], 0.95) == 0


def test_times_are_those_of_the_answered_and_refusals_have_their_own() -> None:
    some = summary([Answer(0, 9.0, OK), Answer(4, 0.2, OK), Answer(5, 0.04, SHED), Answer(6, 60.0, LOST)], first=4)

    assert (some.asked, some.answered, some.refused) == (3, 1, 1)
    assert [some.p50, some.p99, some.refused_p95] == pytest.approx([200.0, 200.0, 40.0])
    assert some.others == Counter({LOST: 1})


def test_throughput_counts_answers_when_they_come() -> None:
    found = [Answer(1.0, 5.0, OK), Answer(5.5, 0.1, OK), Answer(6.0, 0.1, SHED), Answer(9.9, 0.5, OK)]

    assert throughput(found, 5.0, 10.0) == 2 / 5


def test_what_is_lost_is_named_and_counted() -> None:
    assert balance(answers(OK, OK, SHED)) == "3 requests: 2 answered, 1 refused, none is lost."
    assert balance(answers(OK, LOST, SHED)) == "3 requests: 1 answered, 1 refused, 1 LOST."


def test_each_request_is_in_one_window() -> None:
    lines = windows(answers(OK, SHED, LOST, OK), [(0.0, "all are there"), (1.5, "one is killed")], 4.0)

    assert lines[2:] == [
        "| 0.0 | all are there | 2 | 1 | 100 | 100 | 100 | 1 | - |",
        f"| 1.5 | one is killed | 2 | 1 | 100 | 100 | 100 | 0 | 1 × {LOST} |",
    ]


def test_the_verdicts_compare_with_one_machine() -> None:
    slow, quick = (summary(answers(*[OK] * 20, took=took)) for took in (0.4, 0.1))
    flood = summary(answers(*[OK, SHED] * 20, took=0.35))
    points = {
        Point("birdlite", 1, 0.0): [quick],
        Point("birdlite", 1, 0.8): [slow],
        Point("birdlite", 2, 0.8): [quick],
        Point("birdlite", 1, 2.0): [flood],
    }
    rates = {("birdlite", 1): [(10.0, measured())], ("birdlite", 4): [(37.0, measured())]}

    assert verdicts(points, rates) == [
        "- 4 machines: 3.70 times one's throughput; at least 3.6 wanted: met.",
        "- p95 at 0.8 of one machine's most, with two: 0.25 of one's; at most 0.5 wanted: met.",
        "- p95 of the accepted at 2 times: 3.5 of the unloaded; at most 3 wanted: NOT met.",
        "- … the rest: refused within 350 ms (p95); at most 50 wanted: NOT met.",
    ]
    assert "| 4 | 37.0 | 3.70 | 50% | 0.25 |" in "\n".join(saturation(rates))
    assert "| 2 | 20.0 | birdlite | 1 | 350 | 350 | 350 | 50.0% | 350 | 350 | - |" in latency(points, 10.0)


def test_without_root_the_bench_says_why_it_is_skipped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with pytest.raises(SystemExit) as end:
        bench_serve.main([])

    assert end.value.code == 77
    assert capsys.readouterr().out == "skipped: only root can make network namespaces\n"


def test_parts_that_do_not_exist_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        bench_serve.main(["--only", "latency,speed"])

    assert "parts are saturation, latency, failure, restart" in capsys.readouterr().err


@pytest.mark.skipif(HERE is not None, reason=HERE or "")
def test_of_two_services_behind_a_balancer_one_is_killed_and_no_request_is_lost(tmp_path: Path) -> None:
    world = make_world(tmp_path, VARIETY, None)
    for way in (birdlite(world, None), plain(world)):
        with deployment(world, way, (0.5, 0.5), 10_000) as here:
            assert here.balancer.states() == {"m1": "UP", "m2": "UP"}
            here.services[0].kill()
            done = here.load(Plan([Phase(0.5, 20.0, 20.0)], [str(world.served / ALBUM / "000000.jpg")], world.urls))
            if way.name == "birdlite":
                here.services[1].end()

        assert OK in outcomes(done.report.answers)
        assert set(outcomes(done.report.answers)) <= {OK, SHED}  # none is lost
        assert done.costs.load > 0
