"""CSV for spreadsheets and data frames: one row for each prediction, and one for a picture without predictions.

UTF-8 without byte order mark, lines end in CR LF, quotes where needed: RFC 4180. There is always a header.
Texts are in the form of `csv_cells`. Our own numbers are written as they are.
"""

from __future__ import annotations

import csv

from birdlite.csv_cells import safe_cell
from birdlite.results import Prediction, Result
from birdlite.writers.base import RunFacts, TextSink, WriterOptions
from birdlite.writers.record import milliseconds, score

COLUMNS = ("index", "target", "status", "rank", "id", "name", "common_name", "score", "error_kind", "error_message")
TIME_COLUMNS = ("fetch_ms", "decode_ms", "infer_ms", "total_ms")


class CsvWriter:
    """Writes `--format csv`."""

    def __init__(self, stream: TextSink, options: WriterOptions) -> None:
        self._stream = stream
        self._times = options.times
        self._rows = csv.writer(stream)
        self._begun = False

    def write(self, result: Result) -> None:
        """Write the rows of one picture."""
        self._begin()
        head: list[object] = [result.index, safe_cell(result.target), "ok" if result.ok else "error"]
        failure = result.failure
        tail: list[object] = ["", ""] if failure is None else [failure.kind, safe_cell(failure.message)]
        if self._times:
            tail += ["", "", "", ""] if result.times is None else [milliseconds(step) for step in result.times]
        cells = [_cells(prediction) for prediction in result.predictions] or [[""] * 5]
        self._rows.writerows([*head, *cell, *tail] for cell in cells)
        self._stream.flush()

    def finish(self, run: RunFacts) -> None:  # noqa: ARG002 - part of the protocol
        """Write the header if there was no result."""
        self._begin()
        self._stream.flush()

    def _begin(self) -> None:
        if not self._begun:
            self._rows.writerow(COLUMNS + TIME_COLUMNS if self._times else COLUMNS)
            self._begun = True


def _cells(prediction: Prediction) -> list[object]:
    names = safe_cell(prediction.name), safe_cell(prediction.common_name or "")
    return [prediction.rank, prediction.id, *names, score(prediction.score)]
