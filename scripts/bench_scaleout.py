"""How the time for one list falls as machines are added, on one machine that plays several. Needs root on Linux.

    .venv/bin/python -m scripts.bench_scaleout [--pictures N] [--rounds N] [--birds FOLDER] [--round-trip MS] [--mbit N]

Each machine is a network namespace with its own cable to the server of the pictures (its own bandwidth and round trip)
and its own CPU quota. It takes the next index of the list as soon as it is free, as the pods of an Indexed Job do, and
runs a whole cold `birdlite classify --shard` for it, the model being in its cache, as in the image `baked`. Timed is
all of it, until `birdlite merge` has written the result, which must be the same bytes each time.

Printed are the times with one machine and more, one index each; what more indexes than machines cost; how long a shard
takes from its start to its first request for a picture; how long it takes to read a list of a million lines; and a
model of the cost, held against what was measured and carried on to a million pictures. Exit code 77: cannot run here.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from queue import Empty, SimpleQueue
from statistics import median
from typing import NamedTuple

from birdlite.demo import FOLDER as DEMO_FOLDER
from birdlite.demo import HOST as DEMO_HOST
from birdlite.models.catalog import DEFAULT_MODEL, DEMO_MODEL
from scripts.photographs import links, photographs
from scripts.scaleout.cost import Cost, fitted, wall
from scripts.scaleout.machines import Line, Machine, machines, missing

SKIPPED = 77
HALF, QUARTER = 0.5, 0.25  # of a processor; two real ones carry the machines and leave some for server and cables
COUNTS = {HALF: (1, 2, 3), QUARTER: (1, 2, 4, 6)}
INDEXES = (2, 4, 8, 16)  # for two machines
FEW = 8  # indexes on one machine, for the model's two constants
MEGAPIXELS = 0.3
ALBUM = "album.invalid"
MILLION = 1_000_000
FAR = (1, 10, 100, 1000)


class World(NamedTuple):
    """What all runs have in common."""

    folder: Path  # scratch
    served: Path  # laid out as a mirror
    log: Path  # of the server
    list: Path
    pictures: int
    model: str
    line: Line
    environment: dict[str, str]


class Outcome(NamedTuple):
    """One batch."""

    wall: float  # s, merged
    shards: list[float]  # s, each
    starts: list[float]  # s, from a shard's start to its first request for a picture
    digest: str  # of the merged result


def main() -> None:
    """Measure and print."""
    values = _options()
    reason = missing()
    if reason:
        print(f"skipped: {reason}")
        sys.exit(SKIPPED)
    with tempfile.TemporaryDirectory() as scratch:
        world = _world(Path(scratch), values)
        print(f"{world.pictures} pictures of {MEGAPIXELS:g} Mpx, model {world.model}. Each machine has {values.mbit:g}")
        print(f"Mbit/s and {values.round_trip:g} ms round trip. Medians of {values.rounds} rounds in turn.")
        digests: set[str] = set()
        costs = {cpus: _curve(world, cpus, counts, values.rounds, digests) for cpus, counts in COUNTS.items()}
        _more_indexes(world, values.rounds, digests)
        if len(digests) != 1:
            sys.exit(f"the merged results differ: {len(digests)} different ones")
        print("\nAll merged results are the same, byte for byte.")
        _far(costs[HALF], _reading(world))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--birds", metavar="FOLDER", help="a mirror with the real model; else the demo's")
    parser.add_argument("--round-trip", metavar="MS", type=float, default=40.0)
    parser.add_argument("--mbit", type=float, default=50.0)
    return parser.parse_args()


def _world(scratch: Path, values: argparse.Namespace) -> World:
    """A mirror with model and album, a list, and a cache that has the model."""
    served = scratch / "served"
    served.mkdir()
    originals = photographs(scratch, MEGAPIXELS)
    links(served / ALBUM, originals, values.pictures)
    if values.birds:
        for host in Path(values.birds, "mirror").resolve().iterdir():
            (served / host.name).symlink_to(host)
    else:
        (served / DEMO_HOST).symlink_to(DEMO_FOLDER)
    targets = scratch / "list.txt"
    names = sorted(path.name for path in (served / ALBUM).iterdir())
    targets.write_text("".join(f"https://{ALBUM}/{name}\n" for name in names))
    model = DEFAULT_MODEL if values.birds else DEMO_MODEL
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("BIRDLITE_", "PYTHON"))}
    environment |= {
        "BIRDLITE_MODEL": model,
        "BIRDLITE_CACHE_DIR": str(scratch / "cache"),
        "BIRDLITE_TIMING": "0",
        "BIRDLITE_THREADS": "1",
        "BIRDLITE_PER_HOST": "16",  # every host is one host here
    }
    line = Line(values.round_trip, values.mbit)
    world = World(scratch, served, scratch / "log", targets, values.pictures, model, line, environment)
    world.log.touch()
    with ExitStack() as stack:
        (machine,) = stack.enter_context(machines(1, 1.0, line, served, world.log))
        one = ("classify", f"https://{ALBUM}/{names[0]}", "-q", "-o", os.devnull, "--format", "jsonl")
        machine.run((_birdlite(), *one), environment | {"BIRDLITE_MIRROR": machine.server})  # fills the cache
    return world


def _birdlite() -> str:
    return os.path.join(os.path.dirname(sys.executable), "birdlite")


def _curve(world: World, cpus: float, counts: tuple[int, ...], rounds: int, digests: set[str]) -> Cost:
    """Machines of one kind, one index each: the table. Gives the constants of the model."""
    plans = {count: (count, count) for count in counts} | {0: (1, FEW)}  # 0: for the model alone
    found: dict[int, list[Outcome]] = {key: [] for key in plans}
    for _ in range(rounds):
        for key, (count, indexes) in plans.items():
            found[key].append(batch(world, cpus, count, indexes))
    digests.update(outcome.digest for outcomes in found.values() for outcome in outcomes)
    times = {key: median(outcome.wall for outcome in outcomes) for key, outcomes in found.items()}
    cost = fitted(times[counts[0]], times[0], FEW, world.pictures)
    print(f"\n### Machines of {cpus:g} processors\n")
    print("| machines | s | of one | ideal | by the model | first shard, s | last shard, s | start of a shard, s |")
    print("|---|---|---|---|---|---|---|---|")
    for count in counts:
        outcomes = found[count]
        ratio = median(o.wall / one.wall for o, one in zip(outcomes, found[counts[0]], strict=True))
        predicted = wall(cost, count, count, world.pictures) / wall(cost, 1, 1, world.pictures)
        first, last = (median(pick(o.shards) for o in outcomes) for pick in (min, max))
        start = median(start for o in outcomes for start in o.starts)
        ratios = f"{ratio:.2f} | {1 / count:.2f} | {predicted:.2f}"
        print(f"| {count} | {times[count]:.1f} | {ratios} | {first:.1f} | {last:.1f} | {start:.2f} |", flush=True)
    print(f"\nThe model: {cost.start:.2f} s for each index and {cost.picture * 1e3:.1f} ms for each picture.")
    return cost


def _more_indexes(world: World, rounds: int, digests: set[str]) -> None:
    found: dict[int, list[Outcome]] = {indexes: [] for indexes in INDEXES}
    for _ in range(rounds):
        for indexes in INDEXES:
            found[indexes].append(batch(world, HALF, INDEXES[0], indexes))
    print(f"\n### Two machines of {HALF:g} processors, more indexes\n")
    print("| indexes | s | of the first | idle at the end, s |\n|---|---|---|---|")
    for indexes, outcomes in found.items():
        digests.update(outcome.digest for outcome in outcomes)
        ratio = median(o.wall / first.wall for o, first in zip(outcomes, found[INDEXES[0]], strict=True))
        idle = median(2 * o.wall - sum(o.shards) for o in outcomes)
        print(f"| {indexes} | {median(o.wall for o in outcomes):.1f} | {ratio:.2f} | {idle:.1f} |", flush=True)


def batch(world: World, cpus: float, count: int, indexes: int) -> Outcome:
    """Run the whole list on so many machines, and merge."""
    with tempfile.TemporaryDirectory(dir=world.folder) as out, ExitStack() as stack:
        world.log.write_text("")
        fleet = stack.enter_context(machines(count, cpus, world.line, world.served, world.log))
        todo: SimpleQueue[int] = SimpleQueue()
        for index in range(indexes):
            todo.put(index)
        began: dict[int, tuple[str, float, float]] = {}
        faults: list[BaseException] = []
        start = time.monotonic()
        threads = [
            threading.Thread(target=_work, args=(world, one, todo, indexes, out, began, faults)) for one in fleet
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if faults:
            raise faults[0]
        merged = Path(out, "merged.jsonl")
        parts = [str(Path(out, f"part-{index}.jsonl")) for index in range(indexes)]
        subprocess.run([_birdlite(), "merge", *parts, "-q", "-o", merged], check=True, env=world.environment)
        took = time.monotonic() - start
        shards = [end - begin for _, begin, end in began.values()]
        return Outcome(took, shards, list(_starts(world.log, began)), hashlib.sha256(merged.read_bytes()).hexdigest())


def _work(
    world: World,
    machine: Machine,
    todo: SimpleQueue[int],
    indexes: int,
    out: str,
    began: dict[int, tuple[str, float, float]],
    faults: list[BaseException],
) -> None:
    """What one machine does: index after index, until there is none left."""
    client = machine.server.replace(".1:", ".2:").partition("//")[2].partition(":")[0]
    try:
        while True:
            index = todo.get_nowait()
            begin = time.monotonic()
            options = (
                "--from",
                str(world.list),
                "--shard",
                f"{index}/{indexes}",
                "-q",
                "-o",
                f"{out}/part-{index}.jsonl",
            )
            machine.run((_birdlite(), "classify", *options), world.environment | {"BIRDLITE_MIRROR": machine.server})
            began[index] = (client, begin, time.monotonic())
    except Empty:
        return
    except BaseException as fault:  # noqa: BLE001 - raised in the thread that waits
        faults.append(fault)


def _starts(log: Path, began: dict[int, tuple[str, float, float]]) -> Iterator[float]:
    """How long each shard took to its first request."""
    requests = [(float(when), client) for when, client, _ in map(str.split, log.read_text().splitlines())]
    for client, begin, end in began.values():
        own = [when - begin for when, who in requests if who == client and begin <= when <= end]
        if own:
            yield min(own)


def _reading(world: World) -> float:
    """Seconds that a shard of a list of a million lines takes when none of them is its own, nearly."""
    long = world.folder / "long.txt"
    with open(long, "w", encoding="ascii") as file:
        file.writelines(f"https://{ALBUM}/{number:08d}/photograph.jpg\n" for number in range(MILLION))
    times = []
    options = ("-q", "--offline", "--allow-failures", "-o", str(world.folder / "long.jsonl"))
    for _ in range(3):
        begin = time.monotonic()
        command = [_birdlite(), "classify", "--from", str(long), "--shard", f"0/{MILLION}", *options]
        subprocess.run(command, check=True, env=world.environment)
        times.append(time.monotonic() - begin)
    return median(times)


def _far(cost: Cost, reading: float) -> None:
    """Carry the model on."""
    print(
        f"\n### A million pictures, by the model\n\nReading a list of a million lines takes a shard {reading:.1f} s.\n"
    )
    print("| machines | indexes | start of all indexes, each machine, s | all, s | of ideal |\n|---|---|---|---|---|")
    each = Cost(cost.start + reading, cost.picture)
    for count in FAR:
        for indexes in sorted({count, 4 * count}):
            whole = wall(each, count, indexes, MILLION)
            ideal = MILLION * cost.picture / count
            starts = each.start * indexes / count
            print(f"| {count:,} | {indexes:,} | {starts:.1f} | {whole:,.0f} | {ideal / whole:.2f} |")


if __name__ == "__main__":
    main()
