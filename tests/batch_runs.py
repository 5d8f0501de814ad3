"""What the tests of batches share: many targets out of the demo's few pictures, and a look into parts."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from birdlite.batch.header import Run
from birdlite.batch.part import Part
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
    targets: int | None = None,
    first: int = 0,
    left_out: int = 0,
    list_sha256: str = "c" * 64,
) -> None:
    """Write a part as a run would: names and the species that was found, or None for a dead link.

    `first` is the index of the first target, and the other ones follow it.
    """
    with Part(os.fspath(path), times=False) as part:
        assert part.begin(run)
        for index, (name, species) in enumerate(answers.items(), first):
            found = (
                Failure("not_found", f"{name}: no such file") if species is None else (Prediction(1, 7, species, 0.5),)
            )
            part.write(Result(index, name, found))
        count = first + len(answers) if targets is None else targets
        part.end(targets=count, left_out=left_out, list_sha256=list_sha256)
        part.finish(RunFacts(RunSummary(len(answers), 0, 0, 0.0, 0.0), None))


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
