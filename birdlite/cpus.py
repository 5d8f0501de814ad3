"""How many processors this process may really use. The pipeline makes as many workers.

A container often sees all cores of its host while the kernel gives it the time of one; so the quota counts,
and the set of processors that the process is bound to.
"""

from __future__ import annotations

import os

CGROUP_V2 = "/sys/fs/cgroup/cpu.max"  # "QUOTA PERIOD" in µs, or "max PERIOD"
CGROUP_V1_QUOTA = "/sys/fs/cgroup/cpu/cpu.cfs_quota_us"  # -1: none
CGROUP_V1_PERIOD = "/sys/fs/cgroup/cpu/cpu.cfs_period_us"


def usable() -> int:
    """Processors to plan for, at least 1: the smaller of the affinity mask and the cgroup's quota, rounded up."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota()
    return max(1, bound if quota is None else min(bound, -int(-quota // 1)))


def _quota() -> float | None:
    """Processors' worth of time that the cgroup grants, or None where it sets no limit."""
    words = _read(CGROUP_V2).split()
    if len(words) != 2:
        words = [_read(CGROUP_V1_QUOTA).strip(), _read(CGROUP_V1_PERIOD).strip()]
    if not (words[0].isdigit() and words[1].isdigit() and int(words[1]) > 0):
        return None  # "max", "-1", or no cgroup here
    return int(words[0]) / int(words[1])


def _read(path: str) -> str:
    try:
        with open(path, "rb") as file:  # as text, Python would import an encoding for it
            return file.read(100).decode()
    except OSError:
        return ""
