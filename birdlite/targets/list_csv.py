"""Lists in CSV: rows under a header, which has a column of targets and perhaps one of labels. `list_file` calls it.

The delimiter is what the header has most of (comma, semicolon, tab, bar), or what Excel's first line `sep=;` says.
Lines before the header that begin with # are skipped; PowerShell writes `#TYPE …` there.

A quoted cell may hold line ends. So one quote that is not closed would swallow the rows after it without a word. Such a
row is a fault of its first line alone, and the lines after it are read again as rows, if the cell does not end, ends in
the middle of a cell, is longer than `CELL_LINES`, or holds a line that is a row of its own.

birdlite's own `--format csv` has a row for each candidate. The rows of a picture, one below the other, are one entry,
with the exact name of its picture.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator

from birdlite.csv_cells import exact
from birdlite.errors import UsageError, one_line
from birdlite.targets.list_fields import LABEL, Entry, Fields, delimiter, is_named, lacking
from birdlite.targets.list_text import TOO_LONG, ListText, NumberedLines

CELL_LINES = 100  # of one row

_OWN = ["index", "target", "status", "rank"]  # how the header of birdlite's own results begins

_NOT_CLOSED = "a quote in this row is not closed"


class _Feed:
    """Lines for the csv module. Unlike a generator, it continues after it has raised, and it takes lines back."""

    def __init__(self, lines: NumberedLines, first: tuple[int, str | None]) -> None:
        self._lines = lines
        self._again = deque([first])
        self.taken: list[tuple[int, str | None]] = []  # of the row that is being read

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        if len(self.taken) == CELL_LINES:
            raise csv.Error(_NOT_CLOSED)
        self.taken.append(self._again.popleft() if self._again else next(self._lines))
        line = self.taken[-1][1]
        if line is None:
            raise csv.Error(TOO_LONG)
        return line + "\n"

    def read_again(self) -> None:
        """Take back all lines of the row but its first."""
        self._again.extendleft(reversed(self.taken[1:]))
        del self.taken[1:]


class Table:
    """The entries of a list in CSV."""

    def __init__(self, text: ListText, name: str, *, labelled: bool) -> None:
        """Take over the text of the list `name`."""
        self._text = text
        self._name = name
        self._labelled = labelled
        self._delimiter = ","
        self._width = 0  # cells of the header
        self._own = False  # it is birdlite's own results

    def __iter__(self) -> Iterator[Entry]:
        """Yield an entry for each row that is not blank.

        Raises:
            UsageError: while iterating: the header is broken, or has no column of targets or labels.
        """
        lines = self._text.lines()
        if not self._text.first:
            return
        first = self._begin(lines)
        feed = _Feed(lines, first)
        rows = csv.reader(feed, delimiter=self._delimiter)
        fields: Fields | None = None
        picture: list[str] = []  # the first cells of the row before, in birdlite's own results
        while True:
            feed.taken.clear()
            try:
                row = next(rows)
                cells = [cell.strip() for cell in row]
                fault = "" if len(feed.taken) == 1 else self._fault(feed, fields)
            except StopIteration:
                return
            except csv.Error as error:
                cells, fault = [], str(error) if len(feed.taken) == 1 else _NOT_CLOSED
            number = feed.taken[0][0]
            if fields is None:
                fields = self._header(cells, fault)
            elif fault:
                feed.read_again()
                yield number, "", "", fault
            elif any(cells) and not (self._own and cells[:2] == picture):
                picture = cells[:2]
                if self._own:
                    cells[1:2] = map(exact, row[1:2])
                yield self._entry(number, cells, fields)

    def _begin(self, lines: NumberedLines) -> tuple[int, str | None]:
        """Read what stands before the header, and give the header's first line."""
        separator = ""
        for number, line in lines:
            if line is not None and not line.strip():
                continue
            bare = (line or "").strip().strip('"')
            if bare.lower().startswith("sep=") and not separator:
                separator = (line or "").strip("\r\n ").strip('"')[4:5]
                if bare[4:] == "\\t":
                    separator = "\t"
            elif not bare.startswith("#") or Fields(bare[1:].split(",")):
                self._delimiter = separator or delimiter(line or "")
                return number, line
        raise UsageError(f"{self._name}: the header is missing")

    def _header(self, cells: list[str], fault: str) -> Fields:
        if fault:
            raise UsageError(f"{self._name}: the header is broken: {fault}")
        fields = Fields(cells)
        if not fields or (self._labelled and fields.label is None):
            what = LABEL if fields else "url, path or target"
            found = one_line(", ".join(cells))
            raise UsageError(f"{self._name}: no column {what}; found: {found} (the first line names the columns)")
        self._width = len(cells)
        self._own = cells[: len(_OWN)] == _OWN
        return fields

    def _entry(self, number: int, cells: list[str], fields: Fields) -> Entry:
        target = fields.target(cells)
        if not target:
            return number, "", "", lacking("url, path or target")
        at = fields.label
        label = cells[at] if at is not None and at < len(cells) else ""
        if self._labelled and not label:
            return number, "", "", lacking(LABEL)
        return number, target, label, ""

    def _fault(self, feed: _Feed, fields: Fields | None) -> str:
        """What is wrong with a row over several lines; nothing if its quotes are in order."""
        lines = [line or "" for _, line in feed.taken]
        try:
            strictly = list(csv.reader([line + "\n" for line in lines], delimiter=self._delimiter, strict=True))
        except csv.Error:
            return _NOT_CLOSED
        is_row = fields is not None and any(self._is_row(line, fields) for line in lines[1:])
        return _NOT_CLOSED if is_row or len(strictly) != 1 else ""

    def _is_row(self, line: str, fields: Fields) -> bool:
        """Whether a line would be a row of its own: as wide as the header, with a picture or URL as its target."""
        cells = next(csv.reader([line], delimiter=self._delimiter))
        return is_named(fields.target(cells)) and len(cells) == self._width
