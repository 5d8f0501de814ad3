"""What the tests of batches share: many targets out of the demo's few pictures, and a look into parts."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tests.demo_world import LABELS, MODEL, PICTURES

WITH_DEMO_MODEL = ("--model", str(MODEL), "--labels", str(LABELS), "--no-timing")


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
