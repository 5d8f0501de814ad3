"""Where a figure was measured: processor, system and versions, and the memory of this process."""

from __future__ import annotations

import platform
import sys
from typing import NamedTuple

from birdlite import cpus
from birdlite._version import __version__

CPU_FACTS = "/proc/cpuinfo"
MEMORY_FACTS = "/proc/self/status"
_KIB = 1024


class Environment(NamedTuple):
    """Where something was measured."""

    processor: str  # as the system calls it
    processors: int  # that this process may use
    system: str
    python: str
    birdlite: str


def this_environment() -> Environment:
    """The facts of this machine."""
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    return Environment(_processor(), cpus.usable(), system, platform.python_version(), __version__)


def peak_memory_bytes() -> int:
    """The most memory that this process has had resident so far.

    From the kernel's VmHWM, which begins with the process; getrusage would tell that of the shell's copy before it.
    """
    for line in _lines(MEMORY_FACTS):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * _KIB
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * _KIB


def _processor() -> str:
    for line in _lines(CPU_FACTS):
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _lines(path: str) -> list[str]:
    """The lines of a file of the kernel's; none where the system has no such file."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(1 << 20).splitlines()
    except FileNotFoundError:
        return []
