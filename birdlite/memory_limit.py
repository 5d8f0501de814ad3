"""How much memory this process may take: the limit of its container, or a part of the machine's memory.

`run.memory_budget` asks when pictures first take more than a little, and `run.runner` in long runs, which it also keeps
from growing. A plain run of a few pictures does not import this.
"""

from __future__ import annotations

import os

CGROUPS = "/proc/self/cgroup"  # lines "NUMBER:CONTROLLERS:PATH"; of cgroup v2 "0::PATH"
V2 = ("/sys/fs/cgroup", "memory.max")
V1 = ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # glibc's malloc.h
_LARGE = 4 << 20  # bytes; of a photograph at reduced scale, nothing is as large
_NEW_OBJECTS = 2000  # between two looks at them
STATM = "/proc/self/statm"  # in pages: size, resident, ...


def automatic() -> tuple[int, str]:
    """Bytes to plan for, and where the number comes from, for messages.

    That is the smallest limit of the cgroups that the process is in. Without one it is half of the machine's memory,
    because other programs need some too.
    """
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = min(_limits(), default=machine)
    if limit < machine:
        return limit, "the container's memory limit"
    return machine // 2, "half of this machine's memory"


def resident() -> int:
    """Bytes of memory that this process has now; 0 if the system does not say."""
    words = _read(STATM).split()
    return int(words[1]) * os.sysconf("SC_PAGE_SIZE") if len(words) > 1 else 0


def return_large_blocks() -> None:
    """Make the C library return large blocks to the system as soon as they are freed.

    glibc keeps freed blocks of up to 32 MiB for the thread that had them. With pictures of 40 Mpx in four threads that
    was more than 300 MiB which no budget knows of. Told one bound, glibc no longer adapts the other: it would return
    what smaller blocks leave at the end of a heap after each picture, and the next one would have to ask for it again.
    """
    _tell_libc(_M_MMAP_THRESHOLD, _LARGE)
    _tell_libc(_M_TRIM_THRESHOLD, 2 * _LARGE)


def collect_often() -> None:
    """Let the garbage collector look at new objects often, and at those of the start no more. For long runs.

    A start has it wait for 50,000 new objects (`cli.program`). In a long run, what failed pictures leave behind lies
    between what lives, and the heap grows: by 27 MiB in 100,000 pictures, a tenth of them faulty. The garbage collector
    of a Python program that has not raised its threshold stays as it is.
    """
    import gc

    if gc.get_threshold()[0] > _NEW_OBJECTS:
        gc.freeze()
        gc.set_threshold(_NEW_OBJECTS)


def share_heaps(workers: int) -> None:
    """Make all threads share a few heaps of the C library. Call it before they start.

    glibc gives each thread its own, which keeps the most that the thread ever had. Where 32 threads downloaded, that
    was 40 MiB after 20,000 pictures, and still grew.
    """
    _tell_libc(_M_ARENA_MAX, max(2, workers))


def _tell_libc(parameter: int, value: int) -> None:
    import ctypes

    try:
        ctypes.CDLL(None).mallopt(parameter, value)
    except (OSError, AttributeError):
        return  # another C library


def _limits() -> list[int]:
    """The limits of the process's cgroups and of all above them, in bytes.

    A container mounts its own cgroup as if it were the root. Then the path is of no use, and the root has the limit.
    """
    found = []
    for line in _read(CGROUPS).splitlines():
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if controllers and "memory" not in controllers.split(","):
            continue
        folder, name = V1 if controllers else V2
        parts = [part for part in path.split("/") if part not in ("", "..")]
        for count in range(len(parts) + 1):
            text = _read(os.path.join(folder, *parts[:count], name)).strip()
            if text.isdigit():  # else it is "max", or there is no such file
                found.append(int(text))
    return found


def _read(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.read(1 << 16).decode(errors="replace")
    except OSError:
        return ""
