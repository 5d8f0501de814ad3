"""What a process holds, from /proc, again and again: memory, descriptors and threads. For `scripts.soak`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

WARM = 0.1  # part of a run after which memory must not grow
WINDOW = 0.1  # part of a run whose median counts: one large picture more or less is no growth


class Sample(NamedTuple):
    """A process at one moment."""

    start: int  # which process of the run it is, from 0
    seconds: float  # since the first one began
    done: int  # records in the output
    resident: int  # bytes
    private: int  # bytes of them that no other process shares
    descriptors: int
    threads: int


def look_at(pid: int, start: int, seconds: float, done: int) -> Sample | None:
    """Take a sample; None if the process has ended."""
    try:
        facts = _numbers(Path(f"/proc/{pid}/status"))
        parts = _numbers(Path(f"/proc/{pid}/smaps_rollup"))
        descriptors = len(os.listdir(f"/proc/{pid}/fd"))
    except (OSError, KeyError):
        return None
    if "VmRSS" not in facts or "Rss" not in parts:  # a zombie has none
        return None
    private = parts["Private_Clean"] + parts["Private_Dirty"]
    return Sample(start, seconds, done, facts["VmRSS"] << 10, private << 10, descriptors, facts["Threads"])


def _numbers(path: Path) -> dict[str, int]:
    """The lines of a file that name a number, which are kB for memory."""
    words = (line.replace(":", " ").split() for line in path.read_text().splitlines())
    return {line[0]: int(line[1]) for line in words if len(line) > 1 and line[1].isdigit()}


class Growth(NamedTuple):
    """How much more a process holds at its end than when it was warm. Bytes, for memory."""

    resident: float
    private: float
    descriptors: float
    threads: float


def growth(samples: Sequence[Sample]) -> Growth | None:
    """Growth of the last process from its first tenth of records to its end, of medians; None if there are too few."""
    last = [sample for sample in samples if sample.start == samples[-1].start] if samples else []
    if not last:
        return None
    first, span = last[0].done, last[-1].done - last[0].done
    warm = [one for one in last if first + WARM * span <= one.done <= first + (WARM + WINDOW) * span]
    end = [one for one in last if one.done >= first + (1 - WINDOW) * span]
    if span == 0 or not warm:
        return None
    names = Growth._fields
    return Growth(*(median(getattr(s, name) for s in end) - median(getattr(s, name) for s in warm) for name in names))
