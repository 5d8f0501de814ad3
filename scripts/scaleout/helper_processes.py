"""Helper processes of the scale-out benchmark: the server and the network links. They end with the benchmark.

Each runs a module of this folder that prints `ready` and then works until it is ended, or until its standard input is
closed, which happens when the benchmark ends in any way.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent.parent
TICKS = os.sysconf("SC_CLK_TCK")  # a second, in /proc


class Helper(NamedTuple):
    """One of them, at work."""

    pid: int

    def cpu(self) -> float:
        """Processor time so far in s, all threads."""
        return cpu_of(Path(f"/proc/{self.pid}/stat").read_text())


@contextmanager
def running(module: str, *words: object, netns: str | None = None) -> Iterator[Helper]:
    """Run a module as long as the body does, in a network namespace or in none of its own.

    Raises:
        SystemExit: it did not start.
    """
    inside = () if netns is None else ("ip", "netns", "exec", netns)
    command = (*inside, sys.executable, "-m", f"scripts.scaleout.{module}", *map(str, words))
    with piped(command) as process:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise SystemExit(f"did not start: {' '.join(command)}")
        yield Helper(process.pid)


@contextmanager
def piped(command: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """Run a command as long as the body does, with pipes to it and from it."""
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def cpu_of(stat: str) -> float:
    """User and system time in s, out of what /proc/PID/stat says."""
    user, system = stat.rpartition(")")[2].split()[11:13]  # behind the command's name, which may hold anything
    return (int(user) + int(system)) / TICKS


def busy_of(stat: str) -> tuple[float, float]:
    """What all processors have worked, and had, in s, out of what /proc/stat says."""
    user, nice, system, idle, waiting, *rest = map(int, stat.partition("\n")[0].split()[1:9])
    worked = user + nice + system + sum(rest)
    return worked / TICKS, (worked + idle + waiting) / TICKS
