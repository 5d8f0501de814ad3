"""What the tests of batches share: many targets out of the demo's few pictures, and a look into parts."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from birdlite.batch.header import Run
from birdlite.batch.part import Part
from birdlite.batch.shard import Shard, key_of, octets_of
from birdlite.results import Failure, Prediction, Result, RunSummary
from birdlite.writers.base import RunFacts
from tests.demo_world import LABELS, MODEL, PICTURES

WITH_DEMO_MODEL = ("--model", str(MODEL), "--labels", str(LABELS), "--no-timing")

MODEL_SHA256 = "a" * 64
RUN = Run(
    "1.0", "a-model", MODEL_SHA256, "b" * 64, "crop", 3, "both", 0.0, timing=False, since=False, shard=0, shards=1
)


def write_part(
    path: str | os.PathLike[str],
    answers: Mapping[str, str | None],
    *,
    run: Run = RUN,
    first: int = 0,
    left_out: int = 0,
    list_sha256: str = "c" * 64,
) -> None:
    """Write a part as a run would: names and the species that was found, or None for a dead link.

    Only targets of the run's shard are written. `first` is the index of the first of all, and the others follow it.
    """
    shard, written = Shard(run.shard, run.shards), 0
    with Part(os.fspath(path), times=False) as part:
        assert part.begin(run)
        for index, (name, species) in enumerate(answers.items(), first):
            if shard.holds(key_of(octets_of(name))):
                written += 1
                dead = Failure("not_found", f"{name}: no such file")
                part.write(Result(index, name, dead if species is None else (Prediction(1, 7, species, 0.5),)))
        part.end(targets=first + len(answers), left_out=left_out, list_sha256=list_sha256)
        part.finish(RunFacts(RunSummary(written, 0, 0, 0.0, 0.0), None))


def make_album(folder: Path, count: int) -> Path:
    """A folder of `count` links to the demo's pictures."""
    folder.mkdir()
    for number in range(count):
        picture = PICTURES[number % len(PICTURES)]
        os.symlink(picture, folder / f"{number:04d}{picture.suffix}")
    return folder


def records_of(path: Path) -> list[dict[str, Any]]:
    """The records of an output, without a header."""
    with open(path) as file:
        lines = [json.loads(line) for line in file]
    return [line for line in lines if "birdlite_run" not in line]


def header_of(path: Path) -> dict[str, Any]:
    """The header of a part."""
    with open(path) as file:
        header: dict[str, Any] = json.loads(file.readline())["birdlite_run"]
    return header


def change_header(path: Path, **values: object) -> None:
    """Make the file say something else of its run."""
    first, rest = path.read_text().split("\n", 1)
    header = json.loads(first)
    header["birdlite_run"].update(values)
    path.write_text(json.dumps(header) + "\n" + rest)
