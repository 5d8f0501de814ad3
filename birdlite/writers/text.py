"""The table for people: the name of each picture, and below it its candidates, best first, or its failure.

    parrot.jpg
      1  Ara macao                     Scarlet Macaw               0.410  ████░░░░░░

In a file or a pipe nothing is cut. On a terminal a line keeps to the width: first the bars are left out, then the
common name moves to its own line, then names are cut. Only messages may wrap, because half a message does not help.
"""

from __future__ import annotations

from collections.abc import Sequence

from birdlite.printable import BOLD, GREEN, RED
from birdlite.results import Prediction, Result
from birdlite.writers.base import LineWriter, Names, TextSink, WriterOptions, nothing, short_message
from birdlite.writers.terminal import GAP, Terminal, bar, columns, pad

INDENT = "  "
SCORE_WIDTH = 5  # 0.863
BAR_WIDTH = 10
NAME_WIDTH, COMMON_WIDTH = 28, 26  # at least, where they fit, so that columns align: 80 in all


class TextWriter(LineWriter):
    """Writes `--format text`. The command line prints summary and breakdown to stderr."""

    def __init__(self, stream: TextSink, options: WriterOptions, terminal: Terminal) -> None:
        super().__init__(stream, options)
        self._terminal = terminal

    def write(self, result: Result) -> None:
        """Write the lines of one picture, and flush."""
        lines = picture_lines(result, self._options, self._terminal)
        self._stream.write("\n".join(lines) + "\n")
        self._stream.flush()


def picture_lines(result: Result, options: WriterOptions, terminal: Terminal) -> list[str]:
    """Make the lines of one picture, without line ends."""
    heading = terminal.text(result.target)
    if terminal.width is not None:
        heading = terminal.cut_middle(heading, terminal.width)
    lines = [terminal.paint(heading, BOLD)]
    failure = result.failure
    if failure is not None:
        message = terminal.text(short_message(result, failure))
        lines.append(f"{INDENT}{terminal.paint('error', RED)}: {failure.kind}: {message}")
    elif result.predictions:
        lines += _table([_shown(prediction, options.names, terminal) for prediction in result.predictions], terminal)
    else:
        lines.append(INDENT + nothing(options))
    return lines


def _shown(prediction: Prediction, names: Names, terminal: Terminal) -> Prediction:
    """The prediction with the names that are to be shown, safe to print."""
    name = terminal.text(prediction.name)
    common = terminal.text(prediction.common_name or "")
    if names == "common":
        name, common = common or name, ""
    return prediction._replace(name=name, common_name="" if names == "scientific" else common)


def _table(rows: Sequence[Prediction], terminal: Terminal) -> list[str]:
    rank_width = max(len(str(row.rank)) for row in rows)
    margin = len(INDENT) + rank_width + len(GAP)
    name_width, common_width, bar_width = _widths(rows, terminal.width, margin)
    lines: list[str] = []
    for row in rows:
        name = pad(terminal.cut(row.name, name_width), name_width)
        cells = [f"{row.rank:>{rank_width}}", terminal.paint(name, BOLD) if row is rows[0] else name]
        if common_width:
            cells.append(pad(row.common_name or "", common_width))
        cells.append(f"{row.score:.3f}")
        if bar_width:
            cells.append(terminal.paint(bar(row.score, bar_width, terminal), GREEN))
        lines.append(INDENT + GAP.join(cells))
        if row.common_name and not common_width:
            lines.append(" " * margin + terminal.cut(row.common_name, (terminal.width or 0) - margin))
    return lines


def _widths(rows: Sequence[Prediction], width: int | None, margin: int) -> tuple[int, int, int]:
    """How wide name, common name and bar are, in columns; 0 if they have no column.

    `margin` is what stands before the name.
    """
    name = max(columns(row.name) for row in rows)
    common = max(columns(row.common_name or "") for row in rows)
    wide_name, wide_common = max(name, NAME_WIDTH), common and max(common, COMMON_WIDTH)
    if width is None:
        return wide_name, wide_common, BAR_WIDTH
    most = width - margin - len(GAP) - SCORE_WIDTH  # for the name, if it stands alone
    for bar_width in (BAR_WIDTH, 0):
        spare = most - name - (common and len(GAP) + common) - (bar_width and len(GAP) + bar_width)
        if spare >= 0:
            wider = min(wide_name, name + spare)
            return wider, min(wide_common, common + spare - (wider - name)), bar_width
    return min(name, most), 0, 0
