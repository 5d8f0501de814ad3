"""What grows with the whole list and not with a machine's share: reading it, which each index does, and the merge."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

from birdlite import Prediction, Result, __version__
from birdlite.batch.header import Header, Run, Totals
from birdlite.results import ImageInfo
from birdlite.writers.record import record, to_json
from scripts.scaleout.machines import fleet
from scripts.scaleout.network import Line
from scripts.scaleout.world import BIRDLITE, World, classify

LINES = 1_000_000
PARTS = 100
RECORDS = 100_000
ROUNDS = 3
URL = "https://photographs.example.org/observations/{0:08d}/large.jpg"  # about as long as they are


class Long(NamedTuple):
    """In s on one machine; the start of the process, measured with short ones, is taken off."""

    reading: float  # a list of `LINES`, and hashing each line
    bytes: int  # of that list
    merging: float  # `RECORDS` in `PARTS`


def measure_long(world: World, cpus: float, line: Line) -> Long:
    """Measure both on a machine."""
    with (
        tempfile.TemporaryDirectory(dir=world.folder) as name,
        fleet((cpus,), line, world.served, world.log) as machines,
    ):
        (machine,) = machines.machines
        folder = Path(name)
        environment = world.environment | {"BIRDLITE_CACHE_DIR": str(world.cache)}
        size = _write_list(folder / "long.txt", LINES)
        _write_list(folder / "short.txt", 1)
        for kind, records in (("long", RECORDS), ("short", PARTS)):
            (folder / kind).mkdir()
            write_parts(folder / kind, PARTS, records)

        def took(*words: str) -> float:
            ended = machine.run((BIRDLITE, *words), environment, folder / "messages")
            return ended.end - ended.begin

        def read(kind: str) -> float:
            more = ("--from", str(folder / f"{kind}.txt"), "--offline", "--allow-failures")
            return took(*classify(0, LINES, folder), *more)  # about one line is this index's own

        def merge(kind: str) -> float:
            return took("merge", str(folder / kind), "-q", "-o", str(folder / "merged.jsonl"))

        reading = median(read("long") - read("short") for _ in range(ROUNDS))
        merging = median(merge("long") - merge("short") for _ in range(ROUNDS))
        return Long(reading, size, merging)


def write_parts(folder: Path, parts: int, records: int) -> None:
    """Make the complete parts of a run that never was."""
    for shard in range(parts):
        run = Run(
            __version__, "birds", "0", "0", "crop", 3, "both", 0.0, timing=False, since=False, shard=shard, shards=parts
        )
        mine = range(shard, records, parts)
        header = Header(run, Totals(records, len(mine), 0, len(mine), 0, "0"))
        with open(folder / f"part-{shard:03d}.jsonl", "w", encoding="utf-8") as file:
            file.write(header.line())
            file.writelines(to_json(record(_result(index), times=False)) + "\n" for index in mine)


def _write_list(path: Path, lines: int) -> int:
    with open(path, "w", encoding="ascii") as file:
        file.writelines(URL.format(number) + "\n" for number in range(lines))
    return path.stat().st_size


def _result(index: int) -> Result:
    return Result(index, URL.format(index), tuple(_predictions()), ImageInfo(1024, 768, "JPEG", 123_456))


def _predictions() -> Iterator[Prediction]:
    for rank in (1, 2, 3):
        yield Prediction(rank, 500 + rank, "Erithacus rubecula", 1 / (rank + 1), "European Robin")
