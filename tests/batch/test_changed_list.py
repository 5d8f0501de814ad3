"""A list that changes between two starts is never ignored: it is refused, or it is a run of its own."""

from __future__ import annotations

import hashlib
import io
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.batch_runs import WITH_DEMO_MODEL, header_of, make_album, records_of
from tests.command_line import Run


@pytest.fixture
def pictures(tmp_path: Path) -> list[str]:
    return [str(path) for path in sorted(make_album(tmp_path / "album", 12).iterdir())]


def write(path: Path, names: list[str]) -> Path:
    path.write_text("".join(f"{name}\n" for name in names))
    return path


def digest(names: list[str]) -> str:
    return hashlib.sha256("".join(f"{name}\n" for name in names).encode()).hexdigest()[:12]


CHANGES: dict[str, Callable[[list[str]], list[str]]] = {
    "longer": lambda names: [*names, names[0]],
    "shorter": lambda names: names[:-1],
    "in another order": lambda names: names[::-1],
    "another altogether": lambda names: [f"{name}.not" for name in names],
    "empty": lambda names: [],
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("retry", [(), ("--retry-failed",)])
@pytest.mark.parametrize("failed", [[], ["absent.jpg"]])
def test_a_complete_part_of_another_list_is_refused_and_stays(
    run: Run, tmp_path: Path, pictures: list[str], change: str, retry: tuple[str, ...], failed: list[str]
) -> None:
    names = [*failed, *pictures]
    part, list_ = tmp_path / "part.jsonl", tmp_path / "list.txt"
    command = ("classify", *WITH_DEMO_MODEL, "--resume", "--shard=0/2", "--from", list_, "-o", part, "--allow-failures")
    write(list_, names)
    assert run(*command)[0] == 0
    before = part.read_bytes()

    changed = CHANGES[change](names)
    write(list_, changed)
    code, _, said = run(*command, *retry)

    assert part.read_bytes() == before
    assert not (tmp_path / "part.jsonl.partial").exists() or "the list has changed" in said
    if "the list has changed" in said:  # a record is no longer of its target
        assert code == 3
    else:
        assert code == 2, said
        assert f"its digest was {digest(names)} and is {digest(changed)}" in said
        assert "{run}" in said


def test_the_same_list_is_complete_already(run: Run, tmp_path: Path, pictures: list[str]) -> None:
    part = tmp_path / "part.jsonl"
    list_ = write(tmp_path / "list.txt", pictures)
    command = ("classify", *WITH_DEMO_MODEL, "--resume", "--from", list_, "-o", part)
    run(*command)

    assert run(*command)[0::2] == (0, f"birdlite: {part}: already complete, nothing to do\n")


def test_a_part_without_targets_is_complete_already_too(run: Run, tmp_path: Path, pictures: list[str]) -> None:
    """One picture is in one of two parts, by its path."""
    list_ = write(tmp_path / "list.txt", pictures[:1])
    parts = [tmp_path / f"part-{index}.jsonl" for index in range(2)]
    command = ("classify", *WITH_DEMO_MODEL, "--resume", "--from", list_)
    said = {run(*command, "--shard", f"{index}/2", "-o", part)[0::2]: index for index, part in enumerate(parts)}
    empty = next(index for (_, text), index in said.items() if text.startswith("birdlite: 0 of 0"))
    assert (0, f"birdlite: 0 of 0 classified; written to {parts[empty]}\n") in said

    again = run(*command, "--shard", f"{empty}/2", "-o", parts[empty])
    assert again[0::2] == (0, f"birdlite: {parts[empty]}: already complete, nothing to do\n")


def test_run_in_the_name_is_the_list_so_another_list_is_another_file(
    run: Run, tmp_path: Path, pictures: list[str]
) -> None:
    list_ = tmp_path / "list.txt"
    for names in (pictures, pictures[:7], pictures):
        write(list_, names)
        code, _, said = run(
            "classify",
            *WITH_DEMO_MODEL,
            "--resume",
            "--shard=0/1",
            "--from",
            list_,
            "-o",
            tmp_path / "{run}-{shard}.jsonl",
        )
        assert code == 0, said

    for names in (pictures, pictures[:7]):
        part = tmp_path / f"{digest(names)}-0.jsonl"
        assert header_of(part)["list_sha256"].startswith(digest(names))
        assert [record["target"] for record in records_of(part)] == names


def test_run_is_the_list_in_any_output_and_in_the_page(run: Run, tmp_path: Path, pictures: list[str]) -> None:
    code, _, said = run(
        "classify", *WITH_DEMO_MODEL, *pictures, "-o", tmp_path / "{run}.csv", "--report", tmp_path / "{run}.html"
    )

    assert code == 0, said
    assert (tmp_path / f"{digest(pictures)}.csv").exists()
    assert (tmp_path / f"{digest(pictures)}.html").exists()


def test_run_needs_a_list_that_can_be_read_twice(
    run: Run, tmp_path: Path, pictures: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(pictures[0].encode())))
    os.mkfifo(tmp_path / "pipe")

    for given, name in (
        (["--from", "-"], "standard input"),
        (["-"], "standard input"),
        (["--from", tmp_path / "pipe"], "pipe"),
    ):
        code, _, said = run("classify", *WITH_DEMO_MODEL, *given, "-o", tmp_path / "{run}.jsonl")
        assert code == 2
        assert re.search(rf"{name} cannot be read twice", said)
