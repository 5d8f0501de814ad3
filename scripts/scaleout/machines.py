"""Machines on one machine: each a network namespace with its own cable to one server, and a share of a processor.

    with fleet((0.5, 0.25), Line(40, 50), served, log) as machines:
        with machines.hosts[0].start(command, environment, messages) as run: …

Whatever ends the body, nothing of it stays: processes are killed, groups and namespaces removed. What a bench left that
was itself killed by -9 is cleared away by the next one.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from scripts.scaleout import network, quota
from scripts.scaleout.helper_processes import Helper, running
from scripts.scaleout.network import Line

PREFIX = "birdlite-scaleout-"
PORT = 8000
LAST_WORDS = 2000  # characters of what a command that failed had to say


class Ended(NamedTuple):
    """A command that has run."""

    begin: float  # s, monotonic
    end: float
    cpu: float  # s, user and system


class Running(NamedTuple):
    """A command under way."""

    process: subprocess.Popen[bytes]
    descriptor: int  # readable once it has ended
    begin: float
    messages: Path  # what it says

    def ended(self) -> Ended:
        """Wait for its end.

        Raises:
            SystemExit: it failed.
        """
        _, status, usage = os.wait4(self.process.pid, 0)
        end = time.monotonic()
        self.process.returncode = os.waitstatus_to_exitcode(status)
        os.close(self.descriptor)
        if self.process.returncode:
            words = self.messages.read_text(errors="replace")[-LAST_WORDS:]
            raise SystemExit(f"exit {self.process.returncode}: {self.process.args!r}\n{words}")
        return Ended(self.begin, end, usage.ru_utime + usage.ru_stime)

    def kill(self) -> None:
        """End it now, unless it has ended."""
        if self.process.returncode is None:
            self.process.kill()
            self.process.wait()
            os.close(self.descriptor)


class Machine(NamedTuple):
    """Somewhere to run a command."""

    netns: str
    group: Path
    cpus: float
    server: str  # the server's URL, as this machine sees it

    @property
    def address(self) -> str:
        """Where the server sees it."""
        return self.server.partition("//")[2].replace(f".1:{PORT}", ".2")

    def start(self, command: Sequence[str], environment: dict[str, str], messages: Path) -> Running:
        """Start a command there; `messages` is the file for what it says."""
        whole = quota.within(self.group, ("ip", "netns", "exec", self.netns, *command))
        with open(messages, "wb") as said:
            begin = time.monotonic()
            process = subprocess.Popen(
                whole, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True
            )
        return Running(process, os.pidfd_open(process.pid), begin, messages)

    def run(self, command: Sequence[str], environment: dict[str, str], messages: Path) -> Ended:
        """Run a command there to its end.

        Raises:
            SystemExit: it failed.
        """
        running = self.start(command, environment, messages)
        try:
            return running.ended()
        finally:
            running.kill()


class Fleet(NamedTuple):
    """Machines, and what serves them."""

    machines: list[Machine]
    server: Helper
    cables: list[Helper]
    home: str  # the network namespace where the server is, and all cables end


def missing() -> str | None:
    """Why there can be no such machines here; None if there can."""
    if os.name != "posix" or not hasattr(os, "pidfd_open"):
        return "only Linux has network namespaces"
    if os.geteuid() != 0:
        return "only root can make network namespaces"
    return network.missing() or quota.missing()


@contextmanager
def fleet(
    cpus: Sequence[float], line: Line | None, served: Path, log: Path, *, period_us: int = quota.PERIOD_US
) -> Iterator[Fleet]:
    """A machine for each share of a processor, and the server of the folder `served`, which notes requests in `log`.

    Without a line, they stand side by side. The shorter the period of the quotas, the more even the machines' speed.
    """
    name = f"{PREFIX}{os.getpid()}"
    with ExitStack() as stack:
        home = stack.enter_context(network.netns(f"{name}-s"))
        made, cables = [], []
        for number, share in enumerate(cpus, 1):
            netns = stack.enter_context(network.netns(f"{name}-{number}"))
            if line is None:
                address = stack.enter_context(network.patch(home, netns, number))
            else:
                address, wire = stack.enter_context(network.cable(home, netns, number, line))
                cables.append(wire)
            group = stack.enter_context(quota.quota(netns, share, period_us))
            made.append(Machine(netns, group, share, f"http://{address}:{PORT}"))
        server = stack.enter_context(running("server", served, log, PORT, netns=home))
        yield Fleet(made, server, cables, home)


def clear_away() -> None:
    """Remove what benches have left that are no more."""
    for name in network.names(PREFIX):
        if _is_abandoned(name):
            network.remove(name)
    for group in quota.groups(PREFIX):
        if _is_abandoned(group.name):
            quota.remove(group)


def end_tidily() -> None:
    """Let every signal that asks this process to end unwind it, once; a second one does not disturb the tidying up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _unwind)


def _unwind(number: int, _: object) -> None:
    for other in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(other, signal.SIG_IGN)
    raise SystemExit(128 + number)


def _is_abandoned(name: str) -> bool:
    pid = name.removeprefix(PREFIX).partition("-")[0]
    return not Path("/proc", pid).exists()
