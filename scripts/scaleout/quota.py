"""A part of a processor for a process and its threads, as a pod's CPU limit gives it: cgroups, version 1 or 2."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

V2 = Path("/sys/fs/cgroup")
V1 = Path("/sys/fs/cgroup/cpu")
PERIOD_US = 100_000  # what Kubernetes sets


def missing() -> str | None:
    """Why there can be no quotas here; None if there can."""
    folder = _root()
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        return f"{folder} cannot be written: no CPU quotas"
    return None


@contextmanager
def quota(name: str, cpus: float) -> Iterator[Path]:
    """A group that gets so much of a processor; what `within` starts runs in it. It must be empty at the end."""
    folder = _root() / name
    folder.mkdir()
    try:
        share = round(cpus * PERIOD_US)
        if _root() == V2:
            (folder / "cpu.max").write_text(f"{share} {PERIOD_US}")
        else:
            (folder / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (folder / "cpu.cfs_quota_us").write_text(str(share))
        yield folder
    finally:
        folder.rmdir()


def within(group: Path, command: tuple[str, ...]) -> tuple[str, ...]:
    """The command line that runs `command` in a group."""
    return ("sh", "-c", f'echo $$ > "{group}/cgroup.procs" && exec "$@"', "sh", *command)


def _root() -> Path:
    return V2 if (V2 / "cgroup.controllers").exists() else V1
