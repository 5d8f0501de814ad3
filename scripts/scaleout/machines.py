"""Machines on one machine: each a network namespace with its own cable to one server, and a share of a processor."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from scripts.scaleout import quota

ROOT = Path(__file__).parent.parent.parent
PORT = 8000


class Line(NamedTuple):
    """What lies between a machine and the server."""

    round_trip_ms: float
    mbit: float  # a second, each way


class Machine(NamedTuple):
    """Somewhere to run a command."""

    netns: str
    group: Path
    server: str  # the server's URL, as this machine sees it

    def run(self, command: tuple[str, ...], environment: dict[str, str]) -> None:
        """Run a command there to its end.

        Raises:
            SystemExit: it failed.
        """
        whole = quota.within(self.group, ("ip", "netns", "exec", self.netns, *command))
        done = subprocess.run(whole, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"exit {done.returncode}: {' '.join(command)}\n{done.stderr[-2000:]}")


def missing() -> str | None:
    """Why there can be no such machines here; None if there can."""
    if os.geteuid() != 0:
        return "only root can make network namespaces"
    for program in ("ip", "tc"):
        if shutil.which(program) is None:
            return f"{program} is not installed (Debian: iproute2)"
    if not os.path.exists("/dev/net/tun"):
        return "there is no /dev/net/tun"
    return quota.missing()


@contextmanager
def machines(count: int, cpus: float, line: Line, served: Path, log: Path) -> Iterator[list[Machine]]:
    """So many machines, and the server of the folder `served`, which notes each request in `log`."""
    with ExitStack() as stack:
        name = f"bl{os.getpid()}"
        home = stack.enter_context(_netns(f"{name}s"))
        made = []
        for number in range(1, count + 1):
            netns = stack.enter_context(_netns(f"{name}m{number}"))
            addresses = f"10.77.{number}.1", f"10.77.{number}.2"
            stack.enter_context(_cable(home, netns, addresses, line))
            group = stack.enter_context(quota.quota(netns, cpus))
            made.append(Machine(netns, group, f"http://{addresses[0]}:{PORT}"))
        serve = ("ip", "netns", "exec", home, sys.executable, "-m", "scripts.scaleout.server", served, log, PORT)
        stack.enter_context(_running(tuple(map(str, serve))))
        yield made


@contextmanager
def _netns(name: str) -> Iterator[str]:
    subprocess.run(("ip", "netns", "add", name), check=True)
    try:
        subprocess.run(("ip", "-n", name, "link", "set", "lo", "up"), check=True)
        yield name
    finally:
        subprocess.run(("ip", "netns", "delete", name), check=True)


@contextmanager
def _cable(home: str, netns: str, addresses: tuple[str, str], line: Line) -> Iterator[None]:
    ends = (home, f"{addresses[0]}/24", netns, f"{addresses[1]}/24")
    command = (sys.executable, "-m", "scripts.scaleout.wire", *ends, str(line.round_trip_ms / 2), str(line.mbit))
    with _running(command):
        yield


@contextmanager
def _running(command: tuple[str, ...]) -> Iterator[None]:
    """A process that says `ready`, and is ended."""
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            if process.stdout.readline().strip() != "ready":
                raise SystemExit(f"did not start: {' '.join(command)}")
            yield
        finally:
            process.terminate()
