"""The fuzzer: the same inputs each time, none of the whole ones is a find, and what goes wrong is found and kept."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from birdlite.errors import BirdliteError, PictureError
from scripts.fuzz import __main__ as fuzz
from scripts.fuzz import parent
from scripts.fuzz.child import GROWTH, outcome
from scripts.fuzz.damage import damaged
from scripts.fuzz.part import Part, case
from scripts.fuzz.parts import PARTS
from tests.origin import PATIENCE


def part_of(attempt: object, wall: float = PATIENCE) -> Part:
    return Part("mine", lambda: {"a": b"whole"}, lambda _: attempt, (damaged,), wall=wall)  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_an_input_depends_on_seed_part_and_number_alone(part: Part) -> None:
    seeds = dict(list(part.seeds().items())[:2])
    cases = {case(part, seed, number, seeds) for seed in (1, 2) for number in range(20)}

    assert case(part, 1, 7, seeds) == case(part, 1, 7, seeds)
    assert len(cases) > 20


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_whole_inputs_and_a_few_damaged_ones_are_no_find(
    part: Part, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    seeds = part.seeds()
    attempt = part.prepare(tmp_path)
    damaged_ones = [case(part, 1, number, seeds)[1] for number in range(4)]

    for data in [*list(seeds.values())[-4:], *damaged_ones]:
        assert outcome(part, attempt, data) == ""


def raising(error: Exception) -> object:
    def attempt(data: bytes) -> None:
        raise error

    return attempt


@pytest.mark.parametrize(
    ("attempt", "what"),
    [
        (raising(BirdliteError("a.jpg: no such file")), ""),
        (raising(BirdliteError("a\nb")), "the message is not one plain line: 'a\\nb'"),
        (raising(PictureError("decode", "a\x1b[2J")), "the message is not one plain line: 'a\\x1b[2J'"),
        (raising(KeyError("index")), "KeyError: 'index', at no line of birdlite"),
    ],
)
def test_what_is_wrong_is_said(attempt: object, what: str) -> None:
    assert outcome(part_of(attempt), attempt, b"data") == what  # type: ignore[arg-type]


def test_too_much_memory_is_said() -> None:
    def attempt(data: bytes) -> int:
        return len(data * (GROWTH // len(data) + (16 << 20)))

    assert outcome(part_of(attempt), attempt, b"data").endswith(" MiB")


@pytest.mark.parametrize(
    ("program", "found"),
    [
        ("print(5)", {}),
        ('print(5); print(\'{"number": 5, "what": "odd"}\'); print(6)', {5: "odd"}),
        ("import os; print(5, flush=True); os.kill(os.getpid(), 11)", {5: "the process ended with -11: "}),
        ("import sys; print(5); print('libfoo: odd', file=sys.stderr)", {5: "output on stderr: libfoo: odd"}),
    ],
)
def test_a_process_that_dies_or_speaks_is_a_find(
    monkeypatch: pytest.MonkeyPatch, program: str, found: dict[int, str]
) -> None:
    monkeypatch.setattr(parent, "child_command", lambda *_: [sys.executable, "-c", program])

    assert parent.run_slice(part_of(None), "mine", 1, 5, 1.0).found == found


def test_a_process_that_hangs_is_a_find(monkeypatch: pytest.MonkeyPatch) -> None:
    program = "import threading; print(5, flush=True); threading.Event().wait()"
    monkeypatch.setattr(parent, "child_command", lambda *_: [sys.executable, "-c", program])

    found = parent.run_slice(part_of(None, wall=0.2), "mine", 1, 5, 1.0).found
    assert found == {5: "it waits, and does not end within 0.2 s"}


def test_a_find_is_kept_and_can_be_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(parent.Tally, "go_on", lambda tally, seed, seconds: {3: "odd"})

    fuzz.main(["--seed", "7", "--only", "labels", "--seconds", "1", "--keep", str(tmp_path)])

    kept = tmp_path / "labels-7-3"
    labels = next(part for part in PARTS if part.name == "labels")
    assert kept.read_bytes() == case(labels, 7, 3, labels.seeds())[1]
    assert f": odd: {kept}" in capsys.readouterr().out
    assert fuzz.main(["--only", "labels", "--file", str(kept)]) == 0
    assert capsys.readouterr().out == "all is well\n"


def test_a_short_run_in_processes_of_its_own_finds_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = fuzz.main(
        ["--seed", "1", "--only", "labels,pictures:GIF", "--seconds", "2", "--keep", str(tmp_path / "kept")]
    )

    said = capsys.readouterr().out
    assert code == 0, said
    assert " 0 finds: " in said
    assert not (tmp_path / "kept").exists()
