"""One batch: a list, cut into indexes, on a fleet whose machines take the next index as they are free; then the merge.

That is what the pods of an Indexed Job do. An index is one whole process, from a cold start; what is timed ends when
`birdlite merge` has written the result, which one of the machines does.
"""

from __future__ import annotations

import hashlib
import select
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from scripts.scaleout.helper_processes import busy_of
from scripts.scaleout.machines import Ended, Fleet, Machine, Running, fleet
from scripts.scaleout.network import Line
from scripts.scaleout.server import Request, requests
from scripts.scaleout.world import ALBUM, BIRDLITE, World, classify


class Plan(NamedTuple):
    """What to run."""

    cpus: tuple[float, ...]  # of each machine
    line: Line  # of each machine
    indexes: int
    baked: bool  # the model is in a cache that all indexes have; else each has an empty one, as pods of `lean` do


class Outcome(NamedTuple):
    """What came of it. Times in s."""

    wall: float  # merged
    merge: float
    shards: list[float]  # each, from its start to its end
    machines: list[float]  # when each had no more to do
    starts: list[float]  # from each shard's start until its first request for a picture was at the server
    used: float  # of the machines' shares of processors while they were at work, in [0, 1]
    helping: float  # processors that server and cables took
    busy: float  # of all real processors, in [0, 1]
    digest: str  # of the merged result


class Index(NamedTuple):
    """One index that was run."""

    number: int
    machine: Machine
    ended: Ended


def run_batch(world: World, plan: Plan) -> Outcome:
    """Run the whole list, and merge.

    Raises:
        SystemExit: something failed.
    """
    with (
        tempfile.TemporaryDirectory(dir=world.folder) as name,
        fleet(plan.cpus, plan.line, world.served, world.log) as machines,
    ):
        out = Path(name)
        world.log.write_text("")
        helpers = (machines.server, *machines.cables)
        helped, busy = -sum(one.cpu() for one in helpers), _busy()
        begin = time.monotonic()
        done = list(_indexes(world, plan, machines, out))
        last = time.monotonic()
        merged = out / "merged"
        parts = map(str, sorted(out.glob("part-*.jsonl")))
        command = (BIRDLITE, "merge", *parts, "-q", "--format", "jsonl", "-o", str(merged))
        machines.machines[0].run(command, world.environment, out / "messages")
        end = time.monotonic()
        helped += sum(one.cpu() for one in helpers)
        worked, had = (now - then for now, then in zip(_busy(), busy, strict=True))
        asked = requests(world.log.read_text())
        return Outcome(
            wall=end - begin,
            merge=end - last,
            shards=[one.ended.end - one.ended.begin for one in done],
            machines=[max(one.ended.end for one in done if one.machine == each) - begin for each in machines.machines],
            starts=list(starts(asked, done)),
            used=sum(one.ended.cpu for one in done) / sum((o.ended.end - o.ended.begin) * o.machine.cpus for o in done),
            helping=helped / (end - begin),
            busy=worked / had,
            digest=hashlib.sha256(merged.read_bytes()).hexdigest(),
        )


def start_of_one(world: World, plan: Plan) -> float:
    """Seconds from the start of an index to its first request for a picture, on a machine of its own."""
    with (
        tempfile.TemporaryDirectory(dir=world.folder) as name,
        fleet(plan.cpus, plan.line, world.served, world.log) as f,
    ):
        world.log.write_text("")
        running = _start(world, plan, f.machines[0], 0, Path(name))
        try:
            done = Index(0, f.machines[0], running.ended())
        finally:
            running.kill()
        return next(starts(requests(world.log.read_text()), [done]))


def starts(asked: list[Request], done: list[Index]) -> Iterator[float]:
    """How long each index took until the server had its first request for a picture; one without is left out."""
    pictures = [request for request in asked if request.path.startswith(f"/{ALBUM}/")]
    for index in done:
        begin, end, _ = index.ended
        own = [one.when for one in pictures if one.client == index.machine.address and begin <= one.when <= end]
        if own:
            yield min(own) - begin


def _indexes(world: World, plan: Plan, machines: Fleet, out: Path) -> Iterator[Index]:
    """Give each machine the next index as it is free."""
    todo = iter(range(plan.indexes))
    under_way: dict[int, tuple[int, Machine, Running]] = {}
    ends = select.poll()

    def start(machine: Machine) -> None:
        number = next(todo, None)
        if number is not None:
            running = _start(world, plan, machine, number, out)
            under_way[running.descriptor] = number, machine, running
            ends.register(running.descriptor, select.POLLIN)

    try:
        for machine in machines.machines:
            start(machine)
        while under_way:
            for descriptor, _ in ends.poll():
                ends.unregister(descriptor)
                number, machine, running = under_way.pop(descriptor)
                ended = running.ended()
                start(machine)
                yield Index(number, machine, ended)
    finally:
        for _, _, running in under_way.values():
            running.kill()


def _start(world: World, plan: Plan, machine: Machine, number: int, out: Path) -> Running:
    cache = world.cache if plan.baked else out / f"cache-{number}"
    places = {"BIRDLITE_MIRROR": machine.server, "BIRDLITE_CACHE_DIR": str(cache)}
    command = (BIRDLITE, *classify(number, plan.indexes, out), "--from", str(world.targets))
    return machine.start(command, world.environment | places, out / f"messages-{number}")


def _busy() -> tuple[float, float]:
    return busy_of(Path("/proc/stat").read_text())
