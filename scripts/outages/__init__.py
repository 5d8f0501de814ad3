"""Outages under the Indexed Job of k8s/overlays/cluster: `python -m scripts.job_check --outages 10`.

Each outage is under a Job of its own: names, the model's host, storage or the pictures' host are away from a random
moment on, for 5 to 60 s. A pod is a process here (`cluster`), and so is the storage; the hosts are threads (`world`).
What must come out: every Job completes, and the merged results are those of an undisturbed Job, but for pictures whose
host was still away when their index ended.

Names are taken away from birdlite's own lookups only: the storage client has lookups of its own, at an address here.
"""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from birdlite.cli import main as birdlite
from birdlite.results import Failure, is_away
from scripts.outages.cluster import Job, Played
from scripts.outages.world import HOSTS_OF_PICTURES, KINDS, World

LENGTHS = (5.0, 60.0)  # s
LAST_TRIES_S = 5.0  # from the last tries of an index to its end, its put included


class Size(NamedTuple):
    """How large the Jobs are. Tests make everything smaller."""

    pictures: int = 96
    indexes: int | None = None  # None: as many as the overlay has
    pace: float = 0.4  # s that a picture takes to come
    scale: float = 1.0  # of all times: of the outages, and of the controller's pauses


WHOLE = Size()


class Outage(NamedTuple):
    """What is away, how it shows, from when on, and for how long, in s."""

    kind: str
    manner: str
    start: float
    length: float


class Trial(NamedTuple):
    """What became of the Job under an outage."""

    outage: Outage
    played: Played
    excused: int  # records that differ, of pictures whose host was away to the end
    wrong: list[str]  # those that differ without an excuse

    @property
    def passed(self) -> bool:
        """Whether the Job did what it must."""
        return self.played.complete and not self.wrong

    def __str__(self) -> str:
        kind, manner, start, length = self.outage
        codes = ", ".join(f"{codes}: {count}" for codes, count in sorted(self.played.exit_codes.items()))
        state = "complete" if self.played.complete else "FAILED"
        differ = f"{len(self.wrong)} records differ, and {self.excused} of pictures whose host was away to the end"
        return (
            f"{kind} ({manner}) away at {start:.1f} s for {length:.1f} s: {state} after {self.played.seconds:.1f} s;"
            f" exit codes {{{codes}}}; {differ}"
        )


def check(count: int, *, seed: int = 0, size: Size = WHOLE) -> int:
    """Play the trials and print each; the exit code."""
    passed = True
    with tempfile.TemporaryDirectory(prefix="birdlite-outages-") as folder, World(size.pictures, size.pace) as world:
        for trial in trials(world, Path(folder), count, seed, size):
            passed = passed and trial.passed
            print(f"{'ok' if trial.passed else 'FAILED'}: {trial}", flush=True)
            for line in (*trial.wrong[:3], *([] if trial.passed else trial.played.last_words)):
                print(f"    {line}", flush=True)
    print(f"{count} outages, seed {seed}: {'every Job completed' if passed else 'not every Job did'}")
    return 0 if passed else 1


def trials(world: World, folder: Path, count: int, seed: int, size: Size) -> Iterator[Trial]:
    """A Job without a disturbance, and then one under each outage."""
    rng = random.Random(seed)  # a schedule that can be repeated
    undisturbed = Job(world, folder, "undisturbed", size.indexes, size.scale).play()
    assert undisturbed.complete, f"the undisturbed Job failed: {undisturbed.last_words}"
    expected = _merged(world, folder, "undisturbed")
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        start = rng.uniform(0, 0.8) * undisturbed.seconds
        outage = Outage(kind, rng.choice(world.manners(kind)), start, rng.uniform(*LENGTHS) * size.scale)
        name = f"trial-{number}"
        with world.outage(outage.kind, outage.manner, outage.start, outage.length) as over:
            began = time.monotonic()
            played = Job(world, folder, name, size.indexes, size.scale).play()
        excused, wrong = 0, list[str]()
        if played.complete:
            ended = {index: began + seconds < over() + LAST_TRIES_S for index, seconds in played.ended.items()}
            excused, wrong = _compared(expected, _merged(world, folder, name), ended, outage.kind)
        yield Trial(outage, played, excused, wrong)


def _merged(world: World, folder: Path, name: str) -> list[dict[str, Any]]:
    """The merged results of a Job, with the index of the Job in each record."""
    parts = world.parts(name)
    path = folder / f"{name}.jsonl"
    code = birdlite(["merge", *parts.values(), "-q", "-o", str(path)])
    assert code in (0, 1), f"merge of {name}: exit code {code}"
    of = {record["index"]: index for index, url in parts.items() for record in world.records(url)}
    return [{**record, "of": of[record["index"]]} for record in map(json.loads, path.read_text().splitlines())]


def _compared(
    expected: list[dict[str, Any]], found: list[dict[str, Any]], away_at_end: Mapping[int, bool], kind: str
) -> tuple[int, list[str]]:
    """How many records differ with an excuse, and those that differ without one."""
    excused, wrong = 0, []
    if len(expected) != len(found):
        wrong.append(f"{len(found)} records instead of {len(expected)}")
    for one, other in zip(expected, found, strict=False):
        if one == other:
            continue
        failed = other["status"] == "error" and is_away(other["target"], Failure(**other["error"]))
        if failed and kind in HOSTS_OF_PICTURES and away_at_end[other["of"]]:
            excused += 1
        else:
            wrong.append(json.dumps(other))
    return excused, wrong
