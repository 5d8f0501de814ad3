"""The soak: its faults depend on the target's number, its output is counted, and growth is seen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from birdlite.results import FailureKind
from scripts.soak import __main__ as soak
from scripts.soak.balance import balance, target_of
from scripts.soak.hostile import EVERY, FAULTS, fault_of
from scripts.soak.judgement import judged
from scripts.soak.watch import Growth, Sample, growth

MIB = 1 << 20
BIRDS = ["Avis una", "Avis duo"]


def test_one_target_in_ten_is_faulty_and_each_way_comes_soon() -> None:
    round_ = EVERY * len(FAULTS)
    faults = [fault for number in range(round_) if (fault := fault_of(number)) is not None]

    assert len(FAULTS) >= 20
    assert faults == list(FAULTS)
    assert [fault_of(number) for number in range(50)] == [fault_of(number) for number in range(50)]
    assert {fault.expected for fault in FAULTS} <= {"ok", *FailureKind.__args__}  # type: ignore[attr-defined]


def test_a_small_soak_is_well_and_draws_what_it_saw(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = soak.main(["--targets", "120", "--rate", "100", "--folder", str(tmp_path), "--end-half-way"])

    said = capsys.readouterr().out
    assert code == 0, said
    assert "120 records in " in said
    assert (tmp_path / "soak.svg").read_text().startswith("<svg ")
    facts = json.loads((tmp_path / "soak.json").read_text())
    assert facts["wrong"] == []
    assert {sample["start"] for sample in facts["samples"]} <= {0, 1}


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """The right output for ten targets, of which the first one is faulty."""
    records: list[dict[str, Any]] = [
        {"index": 0, "target": target_of(0), "status": "error", "error": {"kind": "http_status", "message": "404"}}
    ]
    for number in range(1, 10):
        bird = {"name": BIRDS[number % 2]}
        records.append({"index": number, "target": target_of(number), "status": "ok", "predictions": [bird]})
    header = {"birdlite_run": {"targets": 10, "mine": 10, "ok": 9, "failed": 1}}
    path = tmp_path / "birds.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in [header, *records]))
    return path


def test_a_right_output_balances(output: Path) -> None:
    found = balance(output, 10, BIRDS)

    assert (found.records, found.outcomes, found.complaints) == (10, {"ok": 9, "http_status": 1}, [])


@pytest.mark.parametrize(
    ("was", "now", "complaint"),
    [
        (f'"target": "{target_of(4)}"', '"target": "x"', "record 4 is of target 4, x"),
        ('"index": 4', '"index": 5', "record 4 is of target 5"),
        ('"kind": "http_status"', '"kind": "timeout"', "target 0, 404: timeout instead of http_status: 404"),
        ('Avis duo"}]', 'Avis una"}]', "target 1: Avis una instead of Avis duo"),
        ('"mine": 10', '"mine": 11', "10 records of 10 targets; the header says"),
    ],
)
def test_an_output_that_is_wrong_anywhere_is_told(output: Path, was: str, now: str, complaint: str) -> None:
    output.write_text(output.read_text().replace(was, now, 1))

    assert balance(output, 10, BIRDS).complaints[0].startswith(complaint)


def test_a_missing_record_is_told(output: Path) -> None:
    output.write_text("".join(output.read_text().splitlines(keepends=True)[:-1]))

    assert balance(output, 10, BIRDS).complaints[0].startswith("9 records of 10 targets")


def samples(memory: list[int], start: int = 0) -> list[Sample]:
    return [Sample(start, at, at * 100, used * MIB, used * MIB, 10, 5) for at, used in enumerate(memory)]


def test_growth_is_that_of_the_last_process_behind_its_first_tenth() -> None:
    before, settled = samples([9, 900]), [10, 50, *[60] * 17, 63, 63]

    assert growth([*before, *samples(settled, start=1)]) == Growth(3 * MIB, 3 * MIB, 0, 0)
    assert growth(samples([10])) is None


@pytest.mark.parametrize(
    ("grown", "targets", "wrong"),
    [
        (Growth(4.9 * MIB, 0, 0, 0), 100_000, []),
        (Growth(5.1 * MIB, 0, 0, 0), 100_000, ["resident memory grew by 5.1 MiB"]),
        (Growth(5.1 * MIB, 0, 0, 0), 2_000, []),
        (Growth(0, 0, 30, 9), 100_000, ["+30 descriptors", "+9 threads"]),
        (Growth(0, 0, 30, 40), 2_000, ["+40 threads"]),
        (None, 100_000, ["too few samples to tell whether memory grows"]),
    ],
)
def test_what_grows_is_told(grown: Growth | None, targets: int, wrong: list[str]) -> None:
    assert list(judged(grown, targets)) == wrong
