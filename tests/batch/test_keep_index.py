"""`--keep-index`: the last shard of a run brings the index up to date; a shard does not read those beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.batch_runs import WITH_DEMO_MODEL, records_of
from tests.command_line import Run
from tests.demo_world import PICTURES


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    folder = tmp_path / "runs"
    folder.mkdir()
    return folder


def shard(run: Run, runs: Path, night: str, of: str, *targets: object) -> tuple[int, str]:
    """Run one shard of a night; gives exit code and standard error."""
    output = runs / f"{night}-{{shard}}.jsonl"
    since = ("--since-output", runs, "--keep-index", "--resume", "-o", output)
    code, _, err = run("classify", *WITH_DEMO_MODEL, "--shard", of, *since, *targets)
    return code, err


def index_of(runs: Path) -> list[Path]:
    return list(runs.glob("*.index"))


def test_the_shard_that_comes_last_writes_the_index(run: Run, runs: Path) -> None:
    for index in (2, 0):
        assert shard(run, runs, "night", f"{index}/3", *PICTURES)[0] == 0
        assert index_of(runs) == []

    assert shard(run, runs, "night", "1/3", *PICTURES)[0] == 0
    (index_file,) = index_of(runs)
    assert len(index_file.read_bytes().partition(b"\n")[2]) == 8 * len(PICTURES) + 32


def test_a_shard_does_not_read_the_parts_of_its_own_night(run: Run, runs: Path) -> None:
    shard(run, runs, "night", "0/2", *PICTURES)
    damaged = runs / "night-0.jsonl"
    damaged.write_bytes(b"not a part\n")

    code, err = shard(run, runs, "night", "1/2", *PICTURES)

    assert code == 0  # and the index says what is wrong
    assert f"the index is not up to date, so the next run reads the parts instead: {damaged}" in err
    assert shard(run, runs, "next", "1/2", *PICTURES)[0] == 3


def test_shards_whose_names_say_the_list_know_each_other(run: Run, runs: Path, tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text("\n".join(map(str, PICTURES)))
    night = ("--from", listed, "--since-output", runs, "--keep-index", "-o", runs / "{run}-{shard}.jsonl")
    for index in range(2):
        assert index_of(runs) == []
        assert run("classify", *WITH_DEMO_MODEL, "--shard", f"{index}/2", *night)[0] == 0

    assert len(index_of(runs)) == 1


def test_parts_that_were_deleted_count_and_new_targets_are_done(run: Run, runs: Path) -> None:
    shard(run, runs, "1", "0/1", *PICTURES[:2])
    (runs / "1-0.jsonl").unlink()

    assert shard(run, runs, "2", "0/1", *PICTURES[:3])[0] == 0

    assert [record["target"] for record in records_of(runs / "2-0.jsonl")] == [str(PICTURES[2])]


def test_a_shard_that_starts_again_after_the_index_changes_nothing(run: Run, runs: Path) -> None:
    shard(run, runs, "night", "0/1", *PICTURES)
    before = {path: path.read_bytes() for path in runs.iterdir()}

    code, err = shard(run, runs, "night", "0/1", *PICTURES)

    assert (code, err.splitlines()[0].endswith("already complete, nothing to do")) == (0, True)
    assert {path: path.read_bytes() for path in runs.iterdir()} == before


def test_a_shard_that_was_killed_before_the_index_writes_it_when_it_starts_again(run: Run, runs: Path) -> None:
    shard(run, runs, "night", "0/1", *PICTURES)
    (index_file,) = index_of(runs)
    index_file.unlink()

    shard(run, runs, "night", "0/1", *PICTURES)

    assert index_of(runs) == [index_file]


def test_a_run_that_is_made_anew_loses_nothing_to_the_index(run: Run, runs: Path) -> None:
    again = ("--since-output", runs, "--keep-index", "-o", runs / "night.jsonl", *PICTURES)
    run("classify", *WITH_DEMO_MODEL, *again)
    before = (runs / "night.jsonl").read_bytes()

    assert run("classify", *WITH_DEMO_MODEL, *again)[0] == 0

    assert (runs / "night.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    "arguments",
    [
        ("-o", "runs/a.jsonl"),
        ("--since-output", "runs", "-o", "elsewhere.jsonl"),
        ("--since-output", "runs", "-o", "runs/a.csv"),
        ("--since-output", "runs"),
        ("--since-output", "runs/*.jsonl", "-o", "runs/a.jsonl"),
    ],
)
def test_an_index_needs_a_folder_that_has_the_output(
    run: Run, runs: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(runs.parent)

    code, _, err = run("classify", *WITH_DEMO_MODEL, "--keep-index", *arguments, PICTURES[0])

    assert (code, err) == (
        2,
        "birdlite: error: --keep-index needs --since-output FOLDER, and a file in that folder (jsonl) as --output\n",
    )
