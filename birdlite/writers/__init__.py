"""Results into text, JSON, JSON lines, CSV and HTML. Each writer is imported only when it is wanted.

    with open_output(path, "jsonl") as output:           # output.py
        writer = open_writer("jsonl", output.stream, WriterOptions())
        for result in results:
            writer.write(result)
        writer.finish(run)

A run that was interrupted, or had no target, is finished like every other: what was written is then a whole document.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from birdlite.namedtuple import NamedTuple
from birdlite.results import Result, RunSummary
from birdlite.timing import Breakdown

if TYPE_CHECKING:
    from birdlite.writers.report_facts import ReportFacts

Format = Literal["text", "json", "jsonl", "csv", "html"]
Names = Literal["scientific", "common", "both"]


class TextSink(Protocol):
    """What the writers need of a text stream. Every `TextIO` is one."""

    @property
    def encoding(self) -> str:
        """The name of its encoding, as codecs know it."""

    def write(self, text: str, /) -> object:
        """Write all of `text`."""

    def flush(self) -> object:
        """Push it to the system."""

    def isatty(self) -> bool:
        """Whether a person reads it."""

    def fileno(self) -> int:
        """Give its descriptor, or raise OSError."""


class WriterOptions(NamedTuple):
    """What the user may choose about the output, the format apart."""

    names: Names = "both"  # for text; the other formats always have both
    times: bool = True  # without them two runs over the same pictures give the same bytes
    min_score: float = 0.0  # the run's threshold, to explain a picture that has no prediction left
    by_index: bool = True  # html: the rows are in the order of the list, in whatever order they come
    folder: str | None = None  # where the page will be, absolute: html links to files from there


class ModelFacts(NamedTuple):
    """Which model gave the answers, and how it was run."""

    name: str
    sha256: str
    engine: str
    threads: int


class RunFacts(NamedTuple):
    """What is known of a run only at its end."""

    summary: RunSummary
    model: ModelFacts | None = None  # None if the run ended before a model was open
    timing: Breakdown | None = None  # None with --no-timing
    report: ReportFacts | None = None


class Writer(Protocol):
    """Takes results as they come and the facts of the run at the end."""

    def write(self, result: Result) -> None:
        """Write one result. Called in the order of the output.

        Raises:
            OSError: the stream refused; `OutputError` if it is the stream of an `Output`.
        """

    def finish(self, run: RunFacts) -> None:
        """Complete the document and flush the stream. Raises as `write` does."""


def open_writer(format: Format, stream: TextSink, options: WriterOptions) -> Writer:  # noqa: A002 - the option's name
    """Make the writer for a format. Nothing is written before the first result or the end."""
    if format == "jsonl":
        from birdlite.writers.jsonl import JsonLinesWriter

        return JsonLinesWriter(stream, options)
    if format == "json":
        from birdlite.writers.json_writer import JsonWriter

        return JsonWriter(stream, options)
    if format == "csv":
        from birdlite.writers.csv_writer import CsvWriter

        return CsvWriter(stream, options)
    if format == "html":
        from birdlite.writers.html import HtmlWriter

        return HtmlWriter(stream, options)
    from birdlite.writers.terminal import look
    from birdlite.writers.text import TextWriter

    return TextWriter(stream, options, look(stream))
