"""The breakdown of a run's time for standard error, as a table or as one line.

In the table, `spent` counts overlapping work fully, so its sum can exceed the wall time. The critical path divides the
wall time among the stages that the run waited for; the line has only the critical path.
"""

from __future__ import annotations

from birdlite.timing import Breakdown
from birdlite.writers.terminal import BOLD, GREEN, Terminal
from birdlite.writers.text import GAP, bar

BAR_WIDTH = 20

_HEADER = ("stage", "times", "spent ms", "critical ms", "share of the wall time")
_ALIGNMENT = "<>>><"
_BAR = len(_HEADER) - 1

_Row = tuple[str, str, str, str, str]


def breakdown_text(breakdown: Breakdown, terminal: Terminal) -> str:
    """Draw the table, with a line end after each line.

    A narrow terminal loses the bars, then the counts, then the time spent.
    """
    wall = breakdown.wall_ms or 1.0  # so that an empty run has shares too
    rows = [_HEADER]
    for stage in breakdown.stages:
        if stage.count:
            share = bar(stage.critical_ms / wall, BAR_WIDTH, terminal)
            rows.append((stage.stage, str(stage.count), _ms(stage.spent_ms), _ms(stage.critical_ms), share))
    rows.append(("other", "", "", _ms(breakdown.other_ms), bar(breakdown.other_ms / wall, BAR_WIDTH, terminal)))
    rows.append(("total", "", "", _ms(breakdown.wall_ms), ""))

    shown, widths = _layout(rows, terminal.width)
    lines: list[str] = []
    for row in rows:
        cells = [f"{row[at]:{_ALIGNMENT[at]}{width}}" for at, width in zip(shown, widths, strict=True)]
        cells[0] = terminal.cut(cells[0], widths[0])
        if row in (rows[0], rows[-1]):
            lines.append(terminal.paint(GAP.join(cells).rstrip(), BOLD))
            continue
        if shown[-1] == _BAR:
            cells[-1] = terminal.paint(row[_BAR], GREEN)
        lines.append(GAP.join(cells))
    return "\n".join(lines) + "\n"


def _layout(rows: list[_Row], width: int | None) -> tuple[tuple[int, ...], list[int]]:
    """Choose the columns that fit, and their widths. The stage and the critical path are always shown."""
    shown: tuple[int, ...]
    for shown in ((0, 1, 2, 3, 4), (0, 1, 2, 3), (0, 2, 3), (0, 3)):
        widths = [max(len(row[at]) for row in rows) for at in shown]
        spare = 0 if width is None else width - sum(widths) - len(GAP) * (len(shown) - 1)
        if spare >= 0:
            return shown, widths
    return shown, [widths[0] + spare, *widths[1:]]


def _ms(value: float) -> str:
    return f"{value:.1f}"
