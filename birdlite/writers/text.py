"""The table for people: the name of each picture, and below it its candidates, best first, or its failure.

    parrot.jpg
      1  Ara macao                     Scarlet Macaw               0.410  ████░░░░░░

In a file or a pipe nothing is cut. On a terminal a line keeps to the width: first the bars are left out, then the
common name moves to its own line, then names are cut. Only messages may wrap, because half a message does not help.
"""

from __future__ import annotations

from collections.abc import Sequence

from birdlite.namedtuple import NamedTuple
from birdlite.results import Prediction, Result
from birdlite.writers.base import Names, RunFacts, TextSink, WriterOptions, nothing, short_message
from birdlite.writers.terminal import BOLD, GREEN, RED, Terminal, columns, pad

INDENT = "  "
GAP = "  "
SCORE_WIDTH = 5  # 0.863
BAR_WIDTH = 10
NAME_WIDTH, COMMON_WIDTH = 28, 26  # at least, where they fit, so that columns align: 80 in all


class TextWriter:
    """Writes `--format text`. The command line prints summary and breakdown to stderr."""

    def __init__(self, stream: TextSink, options: WriterOptions, terminal: Terminal) -> None:
        self._stream = stream
        self._options = options
        self._terminal = terminal

    def write(self, result: Result) -> None:
        """Write the lines of one picture, and flush."""
        lines = picture_lines(result, self._options, self._terminal)
        self._stream.write("\n".join(lines) + "\n")
        self._stream.flush()

    def finish(self, run: RunFacts) -> None:  # noqa: ARG002 - part of the protocol
        """Flush."""
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
        lines += _table([_row(prediction, options.names, terminal) for prediction in result.predictions], terminal)
    else:
        lines.append(INDENT + nothing(options))
    return lines


class _Row(NamedTuple):
    rank: int
    name: str
    common: str  # empty if it is not shown or unknown
    score: float


class _Layout(NamedTuple):
    """Widths in columns. `common` is 0 if common names have no column; `below` puts them on their own lines."""

    rank: int
    name: int
    common: int
    below: bool
    bar: bool


def _row(prediction: Prediction, names: Names, terminal: Terminal) -> _Row:
    name = terminal.text(prediction.name)
    common = terminal.text(prediction.common_name or "")
    if names == "common":
        name, common = common or name, ""
    elif names == "scientific":
        common = ""
    return _Row(prediction.rank, name, common, prediction.score)


def _table(rows: Sequence[_Row], terminal: Terminal) -> list[str]:
    layout = _layout(rows, terminal.width)
    lines: list[str] = []
    for row in rows:
        name = pad(terminal.cut(row.name, layout.name), layout.name)
        cells = [f"{row.rank:>{layout.rank}}", terminal.paint(name, BOLD) if row is rows[0] else name]
        if layout.common:
            cells.append(pad(row.common, layout.common))
        cells.append(f"{row.score:.3f}")
        if layout.bar:
            cells.append(terminal.paint(bar(row.score, BAR_WIDTH, terminal), GREEN))
        lines.append(INDENT + GAP.join(cells))
        if layout.below and row.common:
            margin = len(INDENT) + layout.rank + len(GAP)
            lines.append(" " * margin + terminal.cut(row.common, (terminal.width or 0) - margin))
    return lines


def _layout(rows: Sequence[_Row], width: int | None) -> _Layout:
    rank = max(len(str(row.rank)) for row in rows)
    name = max(columns(row.name) for row in rows)
    common = max(columns(row.common) for row in rows)
    if width is None:
        return _Layout(rank, max(name, NAME_WIDTH), common and max(common, COMMON_WIDTH), below=False, bar=True)
    fixed = len(INDENT) + rank + 2 * len(GAP) + SCORE_WIDTH
    for bar_width in (len(GAP) + BAR_WIDTH, 0):
        spare = width - fixed - bar_width - name - (common and len(GAP) + common)
        if spare >= 0:
            wider_name = min(max(name, NAME_WIDTH), name + spare)
            spare -= wider_name - name
            wider_common = common and min(max(common, COMMON_WIDTH), common + spare)
            return _Layout(rank, wider_name, wider_common, below=False, bar=bar_width > 0)
    return _Layout(rank, min(name, width - fixed), 0, below=common > 0, bar=False)


def bar(share: float, width: int, terminal: Terminal) -> str:
    """Draw a share between 0 and 1 as a bar of `width` columns."""
    full = min(max(round(share * width), 0), width)
    return "█" * full + "░" * (width - full) if terminal.blocks else "#" * full + "." * (width - full)
