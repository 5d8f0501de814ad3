"""The measurements of `bench_serve`, each on a deployment that is up: throughput, latency, and what happens to it."""

from __future__ import annotations

from typing import NamedTuple

from scripts.balanced.deployment import Deployment, Measured
from scripts.balanced.load import Phase, Plan
from scripts.balanced.tables import Summary, summary, throughput

FEW, MOMENT = 2.0, 5.0  # requests a second, and s: to see how long one takes
OVER = 1.3  # times what a machine should do by that: more than it can
RISE = 4.0  # s
WARM = 4.0  # s at the beginning of a load that are not counted
ALONE = 0.25  # of one machine's saturation, evenly spaced: no request meets another
KILLED, ADDED, ALL = 8.0, 18.0, 30.0  # s
BEFORE, AFTER = 5.0, 5.0  # s
EACH_RESTART = 12.0  # s, more than one takes

Event = tuple[float, str]  # s from the beginning, and what happens


class Pictures(NamedTuple):
    """What is asked for."""

    files: list[str]  # are sent
    urls: list[str]  # are named


def saturate(here: Deployment, pictures: Pictures, seconds: float) -> tuple[float, Measured]:
    """Pictures named a second under a load that rises to more than can be done, and stays there."""
    alone = here.load(Plan([Phase(MOMENT, FEW, FEW)], *pictures, regular=True))
    most = OVER * len(here.services) / (summary(alone.report.answers).p50 / 1e3)
    measured = here.load(Plan([Phase(RISE, 0.0, most), Phase(seconds, most, most)], *pictures))
    return throughput(measured.report.answers, RISE, RISE + seconds), measured


def steady(here: Deployment, pictures: Pictures, rate: float, seconds: float, *, regular: bool = False) -> Summary:
    """What becomes of requests that come at one rate."""
    plan = Plan([Phase(WARM + seconds, rate, rate)], *pictures, regular=regular)
    return summary(here.load(plan).report.answers, WARM)


def failure(here: Deployment, pictures: Pictures, rate: float) -> tuple[Measured, list[Event]]:
    """A machine is killed and added again under load."""
    victim = here.services[len(here.services) // 2]
    events: list[Event] = [(0.0, "all are there")]
    with here.loading(Plan([Phase(ALL, rate, rate)], *pictures)) as load:
        load.wait(KILLED)
        victim.kill()
        events.append((load.now, "one is killed"))
        load.wait(ADDED)
        victim.start()
        events.append((load.now, "it is started again"))
        here.balancer.wait_until("UP", [victim.name])
        events.append((load.now, "it takes part"))
        return load.measured(), events


def restart(here: Deployment, pictures: Pictures, rate: float) -> tuple[Measured, list[Event]]:
    """Each machine is ended in good order and started again, one after the other, under load.

    Raises:
        SystemExit: one ended with another exit code than 0.
    """
    events: list[Event] = [(0.0, "all are there")]
    seconds = BEFORE + EACH_RESTART * len(here.services) + AFTER
    with here.loading(Plan([Phase(seconds, rate, rate)], *pictures)) as load:
        load.wait(BEFORE)
        for service in here.services:
            events.append((load.now, f"{service.name} gets SIGTERM"))
            service.end()
            events.append((load.now, f"{service.name} has ended, and is started"))
            service.start()
            here.balancer.wait_until("UP", [service.name])
        events.append((load.now, "all are there again"))
        return load.measured(), events
