"""How the service's latency falls as machines are added, on one machine that plays several. Needs root and haproxy.

    scripts/bench serve --birds FOLDER [--only saturation,latency,failure,restart] [--machines 1,2,4] [OPTION]...

Each machine is a network namespace with a share of a processor, and runs a whole `birdlite serve`. haproxy gives each
request to the machine that has the fewest (scripts/balanced/balancer.py). The load is open (scripts/balanced/load.py):
requests are sent when they are due, at random times, whatever became of the earlier ones, and their time counts from
when they were due. A server of pictures, the balancer and the load run outside the machines' shares.

- `saturation`: the load rises to more than the machines can do, and stays. Counted are the pictures named a second.
- `latency`: loads that are shares of one machine's saturation, on 1, 2 and more machines.
- `failure`: of the largest number of machines, one is killed (-9) and later started again, under load.
- `restart`: each machine in turn is ended with SIGTERM and started again, under load.

`--ways birdlite,plain` does the same with the plain way to serve (scripts/balanced/plain.py) beside it. Exit code 77:
cannot run here.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

from scripts.balanced import balancer, measure
from scripts.balanced.deployment import Deployment, Way, birdlite, deployment, plain
from scripts.balanced.measure import Pictures
from scripts.balanced.tables import (
    BUSY,
    OVERLOAD,
    Point,
    Points,
    Rates,
    balance,
    latency,
    saturation,
    verdicts,
    windows,
)
from scripts.scaleout.world import ALBUM, MEGAPIXELS, World, new_world
from scripts.subjects import VARIETY, machine_in_words

PARTS = ("saturation", "latency", "failure", "restart")
WAYS = ("birdlite", "plain")
LOADS = ("uploads", "urls", "mixed")
PERIOD_US = 10_000  # of the quotas
SHARES = {
    1: (0.0, 0.5, BUSY, OVERLOAD),
    2: (BUSY, 1.6),
    4: (BUSY, OVERLOAD, 3.2),
}  # of one machine's saturation; 0: one at a time
STEADY = 0.55  # of what all machines do at most, while they are killed and restarted


class Bench(NamedTuple):
    """What all measurements share."""

    world: World
    pictures: Pictures
    cpus: float  # of each machine
    seconds: float

    def deployment(self, way: Way, machines: int) -> AbstractContextManager[Deployment]:
        """So many machines that serve."""
        return deployment(self.world, way, (self.cpus,) * machines, PERIOD_US)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    values = _options(argv)
    with new_world(VARIETY, values.birds, balancer.missing()) as world:
        bench = Bench(world, _pictures(world, values.load), values.cpus, values.seconds)
        made = {"birdlite": lambda: birdlite(world, values.queue), "plain": lambda: plain(world)}
        ways = [made[name]() for name in values.ways]
        _head(bench, values)
        one = _curves(bench, ways, values)
        for part in ("failure", "restart"):
            if part in values.only:
                for way in ways:
                    _events(bench, way, part, max(values.machines), one)


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--birds", metavar="FOLDER", help="with a mirror of the real model; else it is the demo's")
    parser.add_argument("--only", metavar="PART,…", default=",".join(PARTS), help="default: %(default)s")
    parser.add_argument("--machines", metavar="N,…", default="1,2,4", help="default: %(default)s")
    parser.add_argument("--cpus", metavar="X", type=float, default=0.25, help="of each machine; default: %(default)s")
    parser.add_argument("--ways", metavar="WAY,…", default="birdlite", help="birdlite and plain; default: %(default)s")
    parser.add_argument("--load", choices=LOADS, default="uploads", help="default: %(default)s")
    parser.add_argument("--rounds", metavar="N", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--seconds", metavar="S", type=float, default=15.0, help="of each load; default: %(default)s")
    parser.add_argument("--one", metavar="RATE", type=float, help="one machine's saturation, if it is known already")
    parser.add_argument("--queue", metavar="N", type=int, help="the services' --queue")
    values = parser.parse_args(argv)
    values.machines = [int(number) for number in values.machines.split(",")]
    values.ways, values.only = values.ways.split(","), values.only.split(",")
    if not (set(values.ways) <= set(WAYS) and set(values.only) <= set(PARTS)):
        parser.error(f"ways are {', '.join(WAYS)}; parts are {', '.join(PARTS)}")
    return values


def _pictures(world: World, load: str) -> Pictures:
    files = [str(world.served / ALBUM / url.rpartition("/")[2]) for url in world.urls]
    return Pictures([] if load == "urls" else files, [] if load == "uploads" else world.urls)


def _head(bench: Bench, values: argparse.Namespace) -> None:
    world = bench.world
    each = world.bytes / world.pictures / 1e3
    print(f"Model: {world.model_in_words}. Pictures of {MEGAPIXELS:g} Mpx, {each:.0f} KB each.")
    print(f"Each machine has {bench.cpus:g} of a processor, in periods of {PERIOD_US / 1e3:g} ms. Load: {values.load}.")
    print(machine_in_words(), flush=True)


def _curves(bench: Bench, ways: list[Way], values: argparse.Namespace) -> float:
    """Print throughput and latency. Gives one machine's saturation."""
    one: float | None = values.one
    rates: Rates = {}
    points: Points = {}
    for round_ in range(values.rounds):
        for way in ways:
            for machines in values.machines:
                with bench.deployment(way, machines) as here:
                    if "saturation" in values.only or one is None:
                        _say(f"round {round_ + 1}: {way.name}, {machines} machines, saturation")
                        found = measure.saturate(here, bench.pictures, bench.seconds)
                        rates.setdefault((way.name, machines), []).append(found)
                        one = one or found[0] / machines
                    if "latency" in values.only:
                        for point, rate in _loads(way, machines, one):
                            _say(f"round {round_ + 1}: {way.name}, {machines} machines, {rate:.1f}/s")
                            some = measure.steady(here, bench.pictures, rate, bench.seconds, regular=not point.share)
                            points.setdefault(point, []).append(some)
    assert one is not None
    if rates:
        print("\n### Throughput\n", *saturation(rates), sep="\n")
    if points:
        print(f"\n### Latency\n\nOne machine's most: {one:.1f} pictures a second.\n", *latency(points, one), sep="\n")
    print("", *verdicts(points, rates), sep="\n", flush=True)
    return one


def _loads(way: Way, machines: int, one: float) -> Iterator[tuple[Point, float]]:
    """What is offered to so many machines, in requests a second."""
    for share in SHARES.get(machines, (BUSY,)):
        yield Point(way.name, machines, share), (share or measure.ALONE) * one


def _events(bench: Bench, way: Way, part: str, machines: int, one: float) -> None:
    """Print what clients see of a failure, or of a restart."""
    rate = STEADY * machines * one
    _say(f"{part}: {way.name}")
    with bench.deployment(way, machines) as here:
        do = measure.failure if part == "failure" else measure.restart
        measured, events = do(here, bench.pictures, rate)
    answers = measured.report.answers
    title = "One of {} is killed and added" if part == "failure" else "Each of {} is restarted, one after the other"
    print(f"\n### {title.format(machines)}: {way.name}, {rate:.1f} requests a second\n")
    print(*windows(answers, events, max(answer.due for answer in answers) + 1), sep="\n")
    same, other = measured.retried
    print(
        f"\n{balance(answers)} The balancer gave {other} to another machine, and {same} to the same once more.",
        flush=True,
    )


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
