"""JSON lines: a record a line, each there for the reader as soon as it is written. Nothing about the run as a whole."""

from __future__ import annotations

from birdlite.results import Result
from birdlite.writers import RunFacts, TextSink, WriterOptions
from birdlite.writers.record import record, to_json


class JsonLinesWriter:
    """Writes `--format jsonl`."""

    def __init__(self, stream: TextSink, options: WriterOptions) -> None:
        self._stream = stream
        self._times = options.times

    def write(self, result: Result) -> None:
        """Write a line, and push it through to the file or the next program."""
        self._stream.write(to_json(record(result, times=self._times)) + "\n")
        self._stream.flush()

    def finish(self, run: RunFacts) -> None:  # noqa: ARG002 - part of the protocol
        """Push the last line through; without results, leave an empty file."""
        self._stream.flush()
