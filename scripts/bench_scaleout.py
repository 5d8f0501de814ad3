"""How the time for one list falls as machines are added, on one machine that plays several. Needs root on Linux.

    .venv/bin/python -m scripts.bench_scaleout [--pictures N] [--rounds N] [--birds FOLDER] [--round-trip MS] [--mbit N]

Each machine is a network namespace with its own cable to the server of the pictures (its own bandwidth and round trip)
and its own CPU quota. It takes the next index of the list as soon as it is free, as the pods of an Indexed Job do, and
runs a whole cold `birdlite classify --shard` for it, which fetches its model into an empty cache, as pods of the image
`lean` do (`--baked`: the model is in the cache). Timed is all of it, until `birdlite merge` has written the result on
one of the machines; it must be the same bytes each time.

Printed are the times with one machine and more, one index each, whose limit is the processor or the line; what more
indexes than machines cost and buy; how long an index takes from its start to its first picture; how long it takes to
read a list of a million lines, and to merge a million records; and a model of the cost, held against what was measured
and carried on to a million pictures. Exit code 77: cannot run here.

Server and cables run outside the quotas. The tables say how many processors they took, how much of their quotas the
machines used, and how busy the real processors were.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import NamedTuple

from scripts.scaleout import tables
from scripts.scaleout.batch import Outcome, Plan, run_batch, start_of_one
from scripts.scaleout.cost import Cost, fitted
from scripts.scaleout.long_list import LINES, PARTS, RECORDS, measure_long
from scripts.scaleout.network import Line
from scripts.scaleout.world import MEGAPIXELS, World, largest_share, new_world
from scripts.subjects import machine_in_words

HALF, QUARTER = 0.5, 0.25  # of a processor; two real ones carry the machines and leave some for server and cables
FEW = 4  # indexes on one machine, for the model's two constants
INDEXES = (2, 4, 8, 16)  # for two machines
FLEETS = {"Two equal machines": (HALF, HALF), "Two machines, one half as fast": (HALF, QUARTER)}
MILLION = 1_000_000
FAR = (1, 10, 100, 1000)
EACH = (1, 4)  # indexes a machine, carried on
HANDFUL = 8  # pictures in an index that is only to be started


class Kind(NamedTuple):
    """Machines that are alike."""

    name: str
    cpus: float
    line: Line
    counts: tuple[int, ...]


def main() -> None:
    """Measure and print."""
    values = _options()
    with new_world(values.pictures, values.birds) as world:
        kinds = _kinds(values)
        _head(world, values)
        outcomes = _measure(world, _plans(kinds, values.baked), values.rounds)
        costs = [_curve(world, kind, values.baked, outcomes) for kind in kinds]
        _more_indexes(world, kinds[0], values.baked, outcomes)
        digests = {outcome.digest for found in outcomes.values() for outcome in found}
        if len(digests) != 1:
            sys.exit(f"the merged results differ: {len(digests)} different ones")
        count = sum(map(len, outcomes.values()))
        print(f"\nAll {count} merged results are the same, byte for byte.")
        _starts(world, kinds, values.rounds, values.round_trip)
        _far(world, kinds[0], costs[0])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", metavar="N", type=int, default=400)
    parser.add_argument("--rounds", metavar="N", type=int, default=3)
    parser.add_argument("--birds", metavar="FOLDER", help="with a mirror of the real model; else it is the demo's")
    parser.add_argument("--baked", action="store_true", help="the model is in the cache, as in the image `baked`")
    parser.add_argument("--round-trip", metavar="MS", type=float, default=40.0)
    parser.add_argument("--mbit", metavar="N", type=float, default=50.0, help="a second, each machine, each way")
    parser.add_argument("--narrow", metavar="N", type=float, default=12.0, help="the same where the line is the limit")
    values = parser.parse_args()
    if values.pictures < 2 * HANDFUL or values.rounds < 1:
        parser.error(f"at least {2 * HANDFUL} pictures and one round")
    return values


def _kinds(values: argparse.Namespace) -> list[Kind]:
    wide, narrow = Line(values.round_trip, values.mbit), Line(values.round_trip, values.narrow)
    return [
        Kind(f"{HALF:g} of a processor, {wide.mbit:g} Mbit/s", HALF, wide, (1, 2, 3)),
        Kind(f"{QUARTER:g} of a processor, {wide.mbit:g} Mbit/s", QUARTER, wide, (1, 2, 3, 4, 5, 6)),
        Kind(f"{HALF:g} of a processor, {narrow.mbit:g} Mbit/s", HALF, narrow, (1, 2, 4)),
    ]


def _head(world: World, values: argparse.Namespace) -> None:
    print(f"Model: {world.model_in_words}.")
    where = "is in the cache of every index" if values.baked else "is fetched by every index"
    print(f"The model {where}. {world.pictures} pictures of {MEGAPIXELS:g} Mpx, {world.bytes / 1e6:.0f} MB.")
    print(f"Round trip {values.round_trip:g} ms. Medians of {values.rounds} rounds, everything in turn.")
    print(machine_in_words(), flush=True)


def _plan(kind: Kind, count: int, indexes: int, baked: bool) -> Plan:
    return Plan((kind.cpus,) * count, kind.line, indexes, baked)


def _plans(kinds: list[Kind], baked: bool) -> Iterator[Plan]:
    for kind in kinds:
        for count in kind.counts:
            yield _plan(kind, count, count, baked)
        yield _plan(kind, 1, FEW, baked)
    for cpus in FLEETS.values():
        for indexes in INDEXES:
            yield Plan(cpus, kinds[0].line, indexes, baked)


def _measure(world: World, plans: Iterator[Plan], rounds: int) -> dict[Plan, list[Outcome]]:
    """Run each plan once a round."""
    outcomes: dict[Plan, list[Outcome]] = {plan: [] for plan in plans}  # one that is asked for twice runs once
    for round_ in range(1, rounds + 1):
        for number, (plan, found) in enumerate(outcomes.items(), 1):
            found.append(run_batch(world, plan))
            cpus = "+".join(f"{share:g}" for share in plan.cpus)
            where = f"round {round_} of {rounds}, {number} of {len(outcomes)}"
            what = f"{cpus} at {plan.line.mbit:g} Mbit/s, {plan.indexes} indexes"
            print(f"{where}: {what}: {found[-1].wall:.1f} s", file=sys.stderr, flush=True)
    return outcomes


def _curve(world: World, kind: Kind, baked: bool, outcomes: dict[Plan, list[Outcome]]) -> Cost:
    """Print machines of one kind, one index each. Gives the constants of the model."""
    found = {count: outcomes[_plan(kind, count, count, baked)] for count in kind.counts}
    divided = outcomes[_plan(kind, 1, FEW, baked)]
    whole, few = (tables.middle(one, lambda o: o.wall) for one in (found[1], divided))
    cost = fitted(whole, few, FEW, world.pictures, tables.middle(found[1], lambda o: o.merge))
    shares = {count: largest_share(world.urls, count) for count in kind.counts}
    print(f"\n### Machines of {kind.name}\n")
    print("\n".join(tables.curve(found, shares, cost, world.pictures)))
    print(f"\nThe model: {cost.start:.2f} s for each index, {cost.picture * 1e3:.1f} ms for each picture, ", end="")
    print(f"{cost.merge:.2f} s for the merge.\n")
    print("\n".join(tables.verdicts(found)), flush=True)
    return cost


def _more_indexes(world: World, kind: Kind, baked: bool, outcomes: dict[Plan, list[Outcome]]) -> None:
    shares = {indexes: largest_share(world.urls, indexes) for indexes in INDEXES}
    for name, cpus in FLEETS.items():
        found = {indexes: outcomes[Plan(cpus, kind.line, indexes, baked)] for indexes in INDEXES}
        print(f"\n### {name} ({' and '.join(f'{share:g}' for share in cpus)} of a processor), more indexes\n")
        print("\n".join(tables.stragglers(found, shares)), flush=True)


def _starts(world: World, kinds: list[Kind], rounds: int, round_trip_ms: float) -> None:
    """How long the start of one index takes, with and without the model's fetch."""
    found: dict[tuple[str, str], list[float]] = {}
    for _ in range(max(rounds, 3)):
        for kind in kinds:
            for model, baked in (("cached", True), ("fetched", False)):
                plan = _plan(kind, 1, world.pictures // HANDFUL, baked)
                found.setdefault((kind.name, model), []).append(start_of_one(world, plan))
    print("\n### From the start of an index to its first picture\n")
    print("\n".join(tables.starts(found, round_trip_ms)))
    print("\nThe server has a request 1.5 round trips after birdlite began to connect; `under way` is without them.")


def _far(world: World, kind: Kind, cost: Cost) -> None:
    """Carry the model on."""
    long = measure_long(world, kind.cpus, kind.line)
    print(f"\n### A million pictures on machines of {kind.name}, by the model\n")
    print(f"Reading and hashing a list of {LINES:,} lines ({long.bytes / 1e6:.0f} MB, on the machine's own disk) takes")
    print(f"{long.reading:.1f} s; merging {RECORDS:,} records of {PARTS} parts takes {long.merging:.1f} s.\n")
    each = cost._replace(line=long.reading / LINES, record=long.merging / RECORDS)
    print("\n".join(tables.far(each, FAR, MILLION, EACH)))
    print("\n### What comes together at one place\n")
    pictures = world.bytes * MILLION // world.pictures
    print("\n".join(tables.one_place(FAR, EACH, long.bytes * MILLION // LINES, pictures)))


if __name__ == "__main__":
    main()
