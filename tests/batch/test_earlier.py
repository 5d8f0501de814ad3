"""`--since-output`: only targets that no earlier run has classified."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from birdlite.batch.earlier import Earlier
from birdlite.cli import main
from tests.batch_runs import WITH_DEMO_MODEL, change_header, header_of, make_album, records_of
from tests.demo_world import PICTURES, species_of

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command line; gives exit code and standard error."""

    def run(*arguments: object) -> tuple[int, str]:
        return main([str(argument) for argument in arguments]), capsys.readouterr().err

    return run


@pytest.fixture
def classify(run: Run) -> Run:
    return lambda *arguments: run("classify", *WITH_DEMO_MODEL, *arguments)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    folder = tmp_path / "runs"
    folder.mkdir()
    return folder


def targets_of(part: Path) -> list[str]:
    return [species_of(record["target"]) for record in records_of(part)]


def test_only_added_targets_are_found() -> None:
    earlier = Earlier()
    names = [f"https://example.org/{number}" for number in range(2000)]
    for name in names[::2]:
        earlier.add(name)
    earlier.sort()

    assert [earlier.has(name) for name in names] == [True, False] * 1000
    assert len(earlier) == 1000


def test_a_wrong_path_costs_no_unfinished_part(classify: Run, runs: Path, tmp_path: Path) -> None:
    part, unfinished = tmp_path / "part.jsonl", tmp_path / "part.jsonl.partial"
    classify("--resume", "-o", part, PICTURES[0])
    unfinished.write_text(part.read_text())
    part.unlink()

    assert classify("--since-output", tmp_path / "absent", "-o", part, PICTURES[0])[0] == 2
    assert classify("--since-output", tmp_path / "absent", "-o", runs / "new.jsonl", PICTURES[0])[0] == 2

    assert len(records_of(unfinished)) == 1
    assert list(runs.iterdir()) == []


def test_each_run_takes_what_is_new_and_what_failed(classify: Run, runs: Path) -> None:
    new = runs / "missing.jpg"
    assert classify("--since-output", runs, "-o", runs / "1.jsonl", PICTURES[0], PICTURES[1], new)[0] == 1
    new.write_bytes(PICTURES[3].read_bytes())
    everything = (PICTURES[0], PICTURES[1], new, PICTURES[2])

    assert classify("--since-output", runs, "-o", runs / "2.jsonl", *everything)[0] == 0

    assert targets_of(runs / "2.jsonl") == ["missing", species_of(PICTURES[2])]
    assert [record["index"] for record in records_of(runs / "2.jsonl")] == [2, 3]
    header = header_of(runs / "2.jsonl")
    assert (header["since"], header["targets"], header["mine"], header["left_out"]) == (True, 4, 2, 2)
    assert classify("--since-output", f"{runs}/*.jsonl", "-o", runs / "3.jsonl", *everything)[0] == 0
    assert targets_of(runs / "3.jsonl") == []


def test_without_an_output_file_the_rest_is_printed(
    classify: Run, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classify("--shard", "0/1", "-o", runs / "1.jsonl", PICTURES[0])

    assert main(["classify", *WITH_DEMO_MODEL, "--since-output", str(runs), *map(str, PICTURES[:2])]) == 0

    assert capsys.readouterr().out.startswith(str(PICTURES[1]))


def test_outputs_of_another_model_are_skipped(classify: Run, runs: Path) -> None:
    classify("--shard", "0/1", "-o", runs / "1.jsonl", PICTURES[0])
    change_header(runs / "1.jsonl", model_sha256="0" * 64)

    _, err = classify("--since-output", runs, "-o", runs / "2.jsonl", PICTURES[0])

    assert targets_of(runs / "2.jsonl") == [species_of(PICTURES[0])]
    assert "made by another model, skipped" in err


def test_its_own_output_is_not_an_earlier_one(classify: Run, runs: Path) -> None:
    def once() -> bytes:
        classify("--since-output", runs, "-o", runs / "1.jsonl", PICTURES[0])
        return (runs / "1.jsonl").read_bytes()

    assert once() == once()
    assert len(records_of(runs / "1.jsonl")) == 1


def test_an_output_without_a_header_is_refused(classify: Run, runs: Path) -> None:
    classify("-o", runs / "plain.jsonl", PICTURES[0])

    code, err = classify("--since-output", runs, PICTURES[0])

    assert code == 3
    assert f"{runs}/plain.jsonl: no header that names its model" in err


def test_a_damaged_output_is_named_with_its_line(classify: Run, runs: Path) -> None:
    classify("--shard", "0/1", "-o", runs / "1.jsonl", PICTURES[0], PICTURES[1])
    (runs / "1.jsonl").write_bytes((runs / "1.jsonl").read_bytes()[:-20])

    code, err = classify("--since-output", runs, PICTURES[0])

    assert code == 3
    assert f"{runs}/1.jsonl:3: not a record of birdlite, or cut off" in err


def test_shards_of_a_later_run_merge_and_so_does_what_was_merged(run: Run, classify: Run, tmp_path: Path) -> None:
    album = make_album(tmp_path / "album", 20)
    for index in range(2):
        classify("--shard", f"{index}/2", "-o", tmp_path / "first-{shard}.jsonl", album)
    assert run("merge", tmp_path / "first-*.jsonl", "--keep-header", "-o", tmp_path / "first.jsonl")[0] == 0

    since = ("--since-output", tmp_path / "first.jsonl")
    for index in range(2):
        classify(*since, "--shard", f"{index}/2", "-o", tmp_path / "second-{shard}.jsonl", album, *PICTURES)
    code, err = run("merge", tmp_path / "second-*.jsonl", "-o", tmp_path / "second.jsonl")

    assert code == 0
    assert "2 parts: 6 of 26 targets classified, 0 failed, 20 left out because earlier runs have them" in err
    assert [record["index"] for record in records_of(tmp_path / "second.jsonl")] == list(range(20, 26))


@pytest.mark.parametrize("folder", ["runs/new", "runs/new/", "./runs/new"])
def test_before_the_first_run_the_folder_of_the_output_is_made(
    classify: Run, runs: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    monkeypatch.chdir(runs.parent)
    runs.rmdir()

    code, err = classify("--since-output", folder, "--keep-index", "-o", f"{folder}/1.jsonl", PICTURES[0])

    assert code == 0, err
    assert (runs / "new" / "1.jsonl").exists()


def test_another_folder_that_is_missing_is_named_before_anything_runs(
    classify: Run, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(runs.parent)

    code, err = classify("--since-output", "rusn/", "-o", "runs/1.jsonl", PICTURES[0])

    assert (code, err) == (2, "birdlite: error: --since-output rusn/: no such file or folder\n")
    assert not (runs.parent / "rusn").exists()
