"""Network namespaces on one machine, and the cables between them. `machines` makes a fleet of them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from scripts.scaleout.helper_processes import Helper, running

KEPT = Path("/run/netns")  # where `ip netns` keeps them
TUN = Path("/dev/net/tun")


class Line(NamedTuple):
    """What lies between a machine and the server."""

    round_trip_ms: float
    mbit: float  # a second, each way


def missing() -> str | None:
    """Why there can be no such networks here; None if there can."""
    for program in ("ip", "tc"):
        if shutil.which(program) is None:
            return f"{program} is not installed (Debian: iproute2)"
    if not os.access(TUN, os.W_OK):
        return f"{TUN} is not there, or not for us"
    trial = subprocess.run(("unshare", "--net", "true"), capture_output=True, text=True)
    return f"no network namespaces: {trial.stderr.strip()}" if trial.returncode else None


@contextmanager
def netns(name: str) -> Iterator[str]:
    """A network of its own, with nothing in it but the loopback interface."""
    try:
        _ip("netns", "add", name)
        _ip("-n", name, "link", "set", "lo", "up")
        yield name
    finally:
        remove(name)


@contextmanager
def cable(home: str, away: str, number: int, line: Line) -> Iterator[tuple[str, Helper]]:
    """Lay a cable between two namespaces. Gives the address at its home's end, and the process that is the cable."""
    near, far = f"10.77.{number}.1", f"10.77.{number}.2"
    with running("wire", home, f"{near}/24", away, f"{far}/24", line.round_trip_ms / 2, line.mbit) as wire:
        yield near, wire


@contextmanager
def patch(home: str, away: str, number: int) -> Iterator[str]:
    """Join two namespaces without a delay, and as fast as the kernel. Gives the address at its home's end."""
    near, far = f"10.77.{number}.1", f"10.77.{number}.2"
    here, there = f"bl{number}h", f"bl{number}a"
    _ip("link", "add", "name", here, "netns", home, "type", "veth", "peer", "name", there, "netns", away)
    for place, device, address in ((home, here, near), (away, there, far)):
        _ip("-n", place, "addr", "add", f"{address}/24", "dev", device)
        _ip("-n", place, "link", "set", device, "up")
    yield near  # the devices go with their namespaces


def names(prefix: str) -> list[str]:
    """The namespaces whose names begin so."""
    return sorted(path.name for path in KEPT.glob(f"{prefix}*"))


def remove(name: str) -> None:
    """Take a namespace away, if it is there."""
    if (KEPT / name).exists():
        _ip("netns", "delete", name)


def _ip(*words: str) -> None:
    # In a session of its own, so that Ctrl-C at a terminal does not interrupt the tidying up.
    subprocess.run(("ip", *words), check=True, start_new_session=True)
