"""Whole processes, run in turn: wall time, processor time, peak memory. What `bench_cold` counts with.

Whatever else the machine does disturbs all ways alike when they run in turn. So ratios are taken round by round, and
the median of them is what counts.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from statistics import median
from typing import NamedTuple

SLOW_S = 2.0  # a way that takes longer than this
SELDOM = 5  # runs in every fifth round only
MIB = 1024**2 if sys.platform == "darwin" else 1024  # in the units in which the system counts peak memory


class Way(NamedTuple):
    """One way to do the job, as a process."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    forget: tuple[str, ...] = ()  # files and folders that are removed before each run


class Cost(NamedTuple):
    """What one process took."""

    wall: float  # s, from before it was started until it was gone
    cpu: float  # s, user and system, of all its threads
    peak: float  # MiB; at least what the measuring process has, for that is how Linux counts


def run(way: Way) -> Cost:
    """Run a way once. Its output is thrown away.

    Raises:
        SystemExit: it failed.
    """
    _forget(way)
    start = time.perf_counter()
    process = subprocess.Popen(way.command, env=way.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{way.name} ended with {process.returncode}: {' '.join(way.command)}")
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / MIB)


def output(way: Way) -> str:
    """Run a way once, for what it prints.

    Raises:
        SystemExit: it failed; its last words are told.
    """
    _forget(way)
    done = subprocess.run(way.command, env=way.environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{way.name} ended with {done.returncode}: {' '.join(way.command)}\n{done.stderr[-2000:]}")
    return done.stdout


def in_turn(ways: Sequence[Way], rounds: int) -> dict[str, list[Cost | None]]:
    """Run each way once a round; one that is slow is left out of most rounds, where it has None.

    The round before the first, which warms the file cache, does not count.
    """
    slow = {way.name for way in ways if run(way).wall > SLOW_S}
    costs: dict[str, list[Cost | None]] = {way.name: [] for way in ways}
    for number in range(rounds):
        for way in ways:
            skipped = way.name in slow and number % SELDOM
            costs[way.name].append(None if skipped else run(way))
    return costs


def table(costs: Mapping[str, Sequence[Cost | None]]) -> str:
    """Medians of each way in Markdown, and how many times as much the first way takes."""
    rows = ["| way | wall ms | lowest | {0} takes | CPU ms | {0} takes | peak MiB |".format(next(iter(costs)))]
    rows.append("|---|---|---|---|---|---|---|")
    first = next(iter(costs.values()))
    for name, found in costs.items():
        pairs = [(ours, theirs) for ours, theirs in zip(first, found, strict=True) if ours and theirs]
        theirs = [cost for _, cost in pairs]
        cells = [
            f"{median(cost.wall for cost in theirs) * 1e3:,.0f}",
            f"{min(cost.wall for cost in theirs) * 1e3:,.0f}",
            _times(median(ours.wall / other.wall for ours, other in pairs)),
            f"{median(cost.cpu for cost in theirs) * 1e3:,.0f}",
            _times(median(ours.cpu / max(other.cpu, 1e-3) for ours, other in pairs)),
            f"{median(cost.peak for cost in theirs):.0f}",
        ]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _times(ratio: float) -> str:
    return f"1/{1 / ratio:.0f}" if ratio < 0.1 else f"{ratio:.2f}x"


def _forget(way: Way) -> None:
    for path in way.forget:
        if os.path.isdir(path):
            shutil.rmtree(path)
        elif os.path.exists(path):
            os.unlink(path)
