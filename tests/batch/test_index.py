"""The index of a folder of parts: what is in it need not be read again, and what it cannot know is read."""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from birdlite import log
from birdlite.batch.done_index import Covered, Index, index_path, read_index, write_index
from birdlite.batch.earlier import Earlier, look_at, read_earlier, update_index
from birdlite.batch.files import name_of
from birdlite.batch.shard import key_of
from birdlite.errors import PartsError
from tests.batch_runs import MODEL_SHA256, RUN, write_part
from tests.object_store import Bucket, Gate

Said = list[str]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two parts: `a`, and `b` with a dead link."""
    folder = tmp_path / "runs"
    folder.mkdir()
    write_part(folder / "1.jsonl", {"a": "Parus major"})
    write_part(folder / "2.jsonl", {"b": "Parus major", "dead": None})
    return folder


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Said:
    """The warnings."""
    said: Said = []
    monkeypatch.setattr(log, "warning", said.append)
    return said


def index(folder: Path) -> Index | None:
    return update_index(str(folder), MODEL_SHA256)


def unread(folder: Path, own: Path | None = None) -> list[str]:
    """The parts that a run would read beside the index."""
    look = look_at(str(folder), MODEL_SHA256, own=None if own is None else str(own))
    return [name_of(part.name) for part in look.unread]


def known(folder: Path, names: Iterable[str]) -> list[str]:
    """Those of the names that are left out."""
    earlier = read_earlier([str(folder)], MODEL_SHA256)
    return [name for name in names if earlier.has(name)]


def replace(part: Path, answers: dict[str, str | None], **more: str) -> None:
    """Write another part in its place, at another time."""
    write_part(part, answers, **more)  # type: ignore[arg-type]
    os.utime(part, ns=(1, 1))


def test_it_knows_answers_and_not_failures(runs: Path) -> None:
    made = index(runs)

    assert made is not None
    assert list(made.keys) == sorted([key_of(b"a"), key_of(b"b")])
    assert unread(runs) == []
    assert known(runs, ("a", "b", "dead", "new")) == ["a", "b"]


def test_only_parts_that_are_new_to_it_are_read(runs: Path) -> None:
    index(runs)
    write_part(runs / "3.jsonl", {"c": "Parus major"})

    assert unread(runs) == ["3.jsonl"]
    assert known(runs, "abc") == ["a", "b", "c"]
    made = index(runs)
    assert made is not None
    assert sorted(made.covered) == ["1.jsonl", "2.jsonl", "3.jsonl"]
    assert index(runs) is None  # up to date


def test_two_processes_write_the_same_bytes(runs: Path) -> None:
    path = Path(index_path(str(runs), MODEL_SHA256))
    index(runs)
    write_part(runs / "3.jsonl", {"c": "Parus major", "a": "Parus major"})
    index(runs)
    grown = path.read_bytes()
    path.unlink()
    index(runs)

    assert path.read_bytes() == grown


def test_targets_of_parts_that_are_gone_still_count(runs: Path) -> None:
    index(runs)
    (runs / "1.jsonl").unlink()

    assert known(runs, "ab") == ["a", "b"]
    made = index(runs)
    assert made is not None
    assert list(made.covered) == ["2.jsonl"]
    assert known(runs, "ab") == ["a", "b"]


def test_a_part_that_has_grown_by_retries_is_read_again_alone(runs: Path, said: Said) -> None:
    index(runs)
    replace(runs / "2.jsonl", {"b": "Parus major", "dead": "Parus major"})

    assert unread(runs) == ["2.jsonl"]
    assert known(runs, ("a", "b", "dead")) == ["a", "b", "dead"]
    assert said == []


@pytest.mark.parametrize(
    ("answers", "list_sha256"),
    [
        pytest.param({"other": "Parus major", "more": "Parus major"}, "d" * 64, id="of another list"),
        pytest.param({"b": None, "dead": None}, "c" * 64, id="with fewer answers"),
    ],
)
def test_an_index_is_not_used_if_a_part_was_replaced(
    runs: Path, said: Said, answers: dict[str, str | None], list_sha256: str
) -> None:
    index(runs)
    replace(runs / "2.jsonl", answers, list_sha256=list_sha256)
    (runs / "1.jsonl").unlink()

    assert known(runs, ("a", "b", "other")) == [name for name in ("other",) if name in answers]
    (why,) = said
    assert why == (
        f"{runs}/done-aaaaaaaaaaaa.index: not used, because {runs}/2.jsonl was replaced by another output; all parts"
        " (1) are read; 1 part that it covers is gone, and counts no longer"
    )


def test_an_index_is_not_used_if_this_run_makes_a_part_of_it_anew(runs: Path, said: Said) -> None:
    index(runs)

    assert unread(runs, own=runs / "3.jsonl") == []
    assert unread(runs, own=runs / "2.jsonl") == ["1.jsonl", "2.jsonl"]
    (runs / "2.jsonl").unlink()
    assert unread(runs, own=runs / "2.jsonl") == ["1.jsonl"]
    assert all("which this run makes anew" in why for why in said)


def test_parts_of_another_model_are_noted_and_count_for_nothing(runs: Path) -> None:
    write_part(runs / "3.jsonl", {"c": "Parus major"}, run=RUN._replace(model_sha256="e" * 64))
    index(runs)

    assert unread(runs) == []
    assert known(runs, "abc") == ["a", "b"]
    assert look_at(str(runs), "e" * 64).unread != []  # that model has no index


def test_a_damaged_part_gets_into_no_index(runs: Path) -> None:
    lines = (runs / "2.jsonl").read_bytes().splitlines(keepends=True)
    (runs / "2.jsonl").write_bytes(b"".join(lines[:-1]))

    with pytest.raises(PartsError, match=r"2\.jsonl: 1 record and 1 answer instead of 2 and 1: damaged"):
        index(runs)
    assert read_index(index_path(str(runs), MODEL_SHA256), MODEL_SHA256) is None


def flip(data: bytes) -> bytes:
    return data[:-40] + bytes([data[-40] ^ 1]) + data[-39:]


@pytest.mark.parametrize(
    "damage",
    [
        flip,
        lambda data: data[:-1],
        lambda data: b"",
        lambda data: b"\n",
        lambda data: b"[" * 100_000,
        lambda data: data.replace(b'"birdlite_index": 1', b'"birdlite_index": 2'),
        lambda data: data.replace(b'"parts": {', b'"parts": [{'),
    ],
)
def test_a_damaged_index_is_reported_and_all_parts_are_read(
    runs: Path, said: Said, damage: Callable[[bytes], bytes]
) -> None:
    index(runs)
    path = Path(index_path(str(runs), MODEL_SHA256))
    path.write_bytes(damage(path.read_bytes()))

    assert unread(runs) == ["1.jsonl", "2.jsonl"]
    assert known(runs, "ab") == ["a", "b"]
    assert said[0] == f"{path}: damaged, or of another version of birdlite; all parts are read instead"


def test_an_index_in_a_bucket_is_read_with_one_request(bucket: Bucket, gate: Gate) -> None:
    keys = array("Q", range(0, 300_000 * 3, 3))
    path = bucket.url("done-aaaaaaaaaaaa.index")
    covered = {f"{number}.jsonl": Covered(9, "v", 1, "d") for number in range(1000)}
    write_index(path, MODEL_SHA256, Index(covered, keys))
    gate.asked.clear()

    assert read_index(path, MODEL_SHA256) == Index(covered, keys)
    assert gate.count("GET") == 1


def test_keys_of_an_index_and_of_parts_come_in_one_order() -> None:
    first, second = sorted(key_of(name.encode()) for name in ("a", "b"))
    earlier = Earlier(array("Q", [first, second]))
    for name in ("a", "c", "c", "d"):
        earlier.add(name)
    earlier.sort()

    assert [key for piece in earlier.in_order() for key in piece] == sorted(key_of(name.encode()) for name in "abcd")
    assert len(earlier) == 4
