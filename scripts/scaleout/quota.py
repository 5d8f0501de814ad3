"""A part of a processor for a process and its threads, as a pod's CPU limit gives it: cgroups, version 1 or 2."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

V2 = Path("/sys/fs/cgroup")
V1 = Path("/sys/fs/cgroup/cpu")
PERIOD_US = 100_000  # what Kubernetes sets
PATIENCE = 10.0  # s for the kernel to clear away what was killed


def missing() -> str | None:
    """Why there can be no quotas here; None if there can."""
    folder = root()
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        return f"{folder} cannot be written: no CPU quotas"
    if folder == V2 and "cpu" not in (V2 / "cgroup.subtree_control").read_text().split():
        return f"{V2}/cgroup.subtree_control does not hand on `cpu`: no CPU quotas"
    return None


@contextmanager
def quota(name: str, cpus: float, period_us: int = PERIOD_US) -> Iterator[Path]:
    """A group that gets so much of a processor in each period. What `within` starts runs in it, and ends with it."""
    folder = root() / name
    try:
        folder.mkdir()
        for file, text in settings(cpus, period_us, unified=root() == V2).items():
            (folder / file).write_text(text)
        yield folder
    finally:
        remove(folder)


def settings(cpus: float, period_us: int = PERIOD_US, *, unified: bool) -> dict[str, str]:
    """What to write into which file of a group."""
    share = round(cpus * period_us)
    if unified:
        return {"cpu.max": f"{share} {period_us}"}
    return {"cpu.cfs_period_us": str(period_us), "cpu.cfs_quota_us": str(share)}


def within(group: Path, command: tuple[str, ...]) -> tuple[str, ...]:
    """The command line that runs `command` in a group."""
    return ("sh", "-c", f'echo $$ > "{group}/cgroup.procs" && exec "$@"', "sh", *command)


def groups(prefix: str) -> list[Path]:
    """The groups whose names begin so."""
    return sorted(root().glob(f"{prefix}*"))


def remove(group: Path) -> None:
    """Kill what is in a group, and take it away.

    Raises:
        OSError: it is still in use after `PATIENCE`.
    """
    until = time.monotonic() + PATIENCE
    while group.exists():
        for pid in (group / "cgroup.procs").read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        try:
            group.rmdir()
        except OSError:  # the dead are not gone yet
            if time.monotonic() > until:
                raise
            time.sleep(0.01)


def root() -> Path:
    """The folder of all groups."""
    return V2 if (V2 / "cgroup.controllers").exists() else V1
