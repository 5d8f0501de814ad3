"""The breakdown of a run's time for standard error, as a table or as one line.

`timing` says what spent and critical time are. The line has only the critical path.
"""

from __future__ import annotations

from collections.abc import Mapping

from birdlite.printable import BOLD, GREEN
from birdlite.results import RunSummary
from birdlite.timing import Breakdown, Stage
from birdlite.writers.terminal import Terminal, aligned, bar

BAR_WIDTH = 20

_HEADER: tuple[str, ...] = ("stage", "times", "spent ms", "critical ms", "share of the wall time")
_SIDES = "<>>><"

# The line's names for the stages.
_PARTS: dict[str, tuple[Stage, ...]] = {
    "start": ("interpreter start-up", "threads"),
    "imports": ("imports",),
    "model": ("model fetch", "model load", "labels"),
    "fetch": ("queue", "image fetch"),  # only the service has a queue
    "decode": ("decode",),
    "inference": ("inference",),
    "output": ("output",),
}


def breakdown_line(summary: RunSummary, failures: Mapping[str, int], breakdown: Breakdown) -> str:
    """One line with the critical path in whole ms, whose parts add up to the total.

    `4 of 5, 1 failed (not_found 1), in 216 ms: start 17, imports 107, model 20, fetch 0, decode 54, inference 8,
    other 10`. Output is left out if it took no time. `failures` are counts by kind.
    """
    critical = {stage.stage: stage.critical_ms for stage in breakdown.stages}
    parts = {name: sum(critical.get(stage, 0.0) for stage in stages) for name, stages in _PARTS.items()}
    parts["other"] = breakdown.other_ms
    total = round(breakdown.wall_ms)
    whole = _whole(parts, total)
    if not whole["output"]:
        del whole["output"]
    failed = f"{failed_text(failures)}," if failures else ""
    times = ", ".join(f"{name} {ms}" for name, ms in whole.items())
    return f"{summary.ok} of {summary.targets}{failed} in {total} ms: {times}"


def failed_text(failures: Mapping[str, int]) -> str:
    """`, 3 failed (network 2, timeout 1)`, the most frequent kind first; nothing if none failed."""
    if not failures:
        return ""
    kinds = sorted(failures.items(), key=lambda kind: (-kind[1], kind[0]))
    return f", {sum(failures.values())} failed ({', '.join(f'{kind} {count}' for kind, count in kinds)})"


def _whole(parts: dict[str, float], total: int) -> dict[str, int]:
    """Round the parts so that they add up to `total`: down, and then up where the remainder is largest."""
    whole = {name: int(value) for name, value in parts.items()}
    missing = total - sum(whole.values())
    for name in sorted(parts, key=lambda name: whole[name] - parts[name])[:missing]:
        whole[name] += 1
    return whole


def breakdown_text(breakdown: Breakdown, terminal: Terminal) -> str:
    """Draw the table. A narrow terminal loses the bars, then the counts, then the time spent."""
    wall = breakdown.wall_ms or 1.0  # so that an empty run has shares too
    rows = [_HEADER]
    for stage in breakdown.stages:
        if stage.count:
            share = bar(stage.critical_ms / wall, BAR_WIDTH, terminal)
            rows.append((stage.stage, str(stage.count), f"{stage.spent_ms:.1f}", f"{stage.critical_ms:.1f}", share))
    rows.append(("other", "", "", f"{breakdown.other_ms:.1f}", bar(breakdown.other_ms / wall, BAR_WIDTH, terminal)))
    rows.append(("total", "", "", f"{breakdown.wall_ms:.1f}", ""))

    first, *lines, last = _fitted(rows, terminal)
    lines = [
        line.removesuffix(row[-1]) + terminal.paint(row[-1], GREEN) if line.endswith(row[-1]) else line
        for row, line in zip(rows[1:-1], lines, strict=True)
    ]
    return "\n".join((terminal.paint(first, BOLD), *lines, terminal.paint(last, BOLD), ""))


def _fitted(rows: list[tuple[str, ...]], terminal: Terminal) -> list[str]:
    """The lines, with the columns that fit. The stage, cut if it must be, and the critical path are always shown."""
    excess = 0
    for shown in ((0, 1, 2, 3, 4), (0, 1, 2, 3), (0, 2, 3), (0, 3)):
        lines = aligned([[row[at] for at in shown] for row in rows], "".join(_SIDES[at] for at in shown))
        excess = 0 if terminal.width is None else max(map(len, lines)) - terminal.width
        if excess <= 0:
            return lines
    stage = max(len(row[0]) for row in rows) - excess
    return aligned([(terminal.cut(row[0], stage), row[3]) for row in rows], "<>")
