"""A year of nights over a list that grows to 100,000 targets: the last one reads next to nothing."""

from __future__ import annotations

import builtins
import hashlib
from collections import Counter
from pathlib import Path

import pytest

from birdlite.batch.earlier import update_index
from birdlite.batch.header import Run
from birdlite.batch.shard import Shard, key_of
from birdlite.cli import main
from tests.batch_runs import WITH_DEMO_MODEL, header_of, records_of, write_part
from tests.command_line import Run as RunCommand
from tests.demo_world import PICTURES

NIGHTS = 364  # and then the last one
SHARDS = 2
TARGETS = 100_000
NEW = TARGETS // NIGHTS  # targets a night


class Year:
    """A list that grows every night, and the folder with the parts of all nights."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "runs"
        self.folder.mkdir()
        self.names: list[str] = []
        self.digest = hashlib.sha256()
        self.held = [0] * SHARDS  # targets of earlier nights, by shard
        main(["classify", *WITH_DEMO_MODEL, "--shard", "0/1", "-q", "-o", str(folder / "one.jsonl"), str(PICTURES[0])])
        header = header_of(folder / "one.jsonl")
        self.run = Run(**{name: header[name] for name in Run._fields})._replace(since=True, shards=SHARDS)

    def night(self, number: int, new: int) -> None:
        """What a night with so many new targets leaves behind, with `--keep-index`."""
        first = len(self.names)
        names = [f"https://example.org/{first + place}.jpg" for place in range(new)]
        self.names += names
        self.digest.update("".join(f"{name}\n" for name in names).encode())
        for index in range(SHARDS):
            write_part(
                self.folder / f"night-{number:03d}-part-{index}.jsonl",
                dict.fromkeys(names, "Parus major"),
                run=self.run._replace(shard=index),
                first=first,
                left_out=self.held[index],
                list_sha256=self.digest.hexdigest(),
            )
            self.held[index] += sum(Shard(index, SHARDS).holds(key_of(name.encode())) for name in names)
        update_index(str(self.folder), self.run.model_sha256)

    def retain(self, run: RunCommand, name: str) -> None:
        """Put all parts into one, as docs/batches.md says."""
        old = list(self.folder.glob("*.jsonl"))
        assert run("merge", "--newest", "--keep-header", self.folder, "-o", self.folder / name)[0] == 0
        assert run("merge", "--index", self.folder)[0] == 0
        for part in old:
            part.unlink()

    def last_night(self, run: RunCommand, listed: Path) -> list[str]:
        """Classify what is new in a list, by the real command; gives the names of the parts."""
        output = self.folder / "last-part-{shard}.jsonl"
        night = ("--since-output", self.folder, "--keep-index", "--resume", "-o", output)
        for index in range(SHARDS):
            assert run("classify", *WITH_DEMO_MODEL, "--from", listed, "--shard", f"{index}/{SHARDS}", *night)[0] == 0
        return [f"last-part-{index}.jsonl" for index in range(SHARDS)]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often `batch` has opened each file to read it, by name."""
    opened: Counter[str] = Counter()

    def count(path: str, *arguments: object, **options: object) -> object:
        opened[Path(path).name] += 1
        return builtins.open(path, *arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setattr("birdlite.batch.files.open", count, raising=False)
    return opened


@pytest.fixture(autouse=True)
def no_power_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for the disk: there are two thousand files."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


def read_beside(own: list[str], opened: Counter[str]) -> set[str]:
    """The files that were read and are not the night's own."""
    return set(opened) - set(own) - {f"{name}.partial" for name in own}


def test_the_last_night_of_a_year_reads_one_index_and_what_it_has_written_itself(
    run: RunCommand, tmp_path: Path, opened: Counter[str]
) -> None:
    year = Year(tmp_path)
    for number in range(NIGHTS):
        year.night(number, NEW)
    listed = tmp_path / "list.txt"
    listed.write_text("\n".join([*year.names, *map(str, PICTURES)]))
    opened.clear()

    own = year.last_night(run, listed)

    (index,) = read_beside(own, opened)
    assert index.startswith("done-")
    written = [record["target"] for name in own for record in records_of(year.folder / name)]
    assert sorted(written) == sorted(map(str, PICTURES))
    assert len(list(year.folder.glob("*.jsonl"))) == (NIGHTS + 1) * SHARDS


def test_a_year_whose_parts_are_put_into_one_every_month_loses_nothing(
    run: RunCommand, tmp_path: Path, opened: Counter[str]
) -> None:
    year = Year(tmp_path)
    for number in range(NIGHTS):
        year.night(number, 5)
        if number % 30 == 29:
            year.retain(run, f"until-{number:03d}.jsonl")
    listed = tmp_path / "list.txt"
    listed.write_text("\n".join([*year.names, *map(str, PICTURES)]))
    opened.clear()

    own = year.last_night(run, listed)

    assert len(read_beside(own, opened)) == 1
    assert len(list(year.folder.glob("*.jsonl"))) == 1 + (NIGHTS % 30) * SHARDS + SHARDS
    code, _, err = run("merge", "--newest", "--keep-header", year.folder, "-o", tmp_path / "all.jsonl")
    assert (code, f": {len(year.names) + len(PICTURES):,} of {len(year.names) + len(PICTURES):,} targets" in err) == (
        0,
        True,
    )
    assert sorted(one["target"] for one in records_of(tmp_path / "all.jsonl")) == sorted(
        [*year.names, *map(str, PICTURES)]
    )
