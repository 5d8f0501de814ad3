"""What all writers share: the types of what they write and are told, and a few words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

from birdlite.namedtuple import NamedTuple
from birdlite.results import Failure, Result, RunSummary
from birdlite.timing import Breakdown, Trace

Format = Literal["text", "json", "jsonl", "csv", "html"]
Names = Literal["scientific", "common", "both"]


class TextSink(Protocol):
    """The part of a text stream that writers need. Every `TextIO` has it."""

    @property
    def encoding(self) -> str:
        """The name of its encoding, for `codecs`."""

    def write(self, text: str, /) -> object:
        """Write all of `text`."""

    def flush(self) -> object:
        """Pass everything to the system."""

    def isatty(self) -> bool:
        """Whether it is a terminal."""

    def fileno(self) -> int:
        """Its descriptor, or OSError."""


class WriterOptions(NamedTuple):
    """What a user can choose about an output, beside its format."""

    names: Names = "both"  # only for text; the other formats always have both
    times: bool = True  # without them, two runs over the same pictures write the same bytes
    min_score: float = 0.0  # the run's threshold; it explains a picture without predictions
    by_index: bool = True  # html: sort the rows by the list's order; else keep the order of the results
    folder: str | None = None  # html: the page's own folder, absolute, from which links to files start


class ModelFacts(NamedTuple):
    """The model of a run, and how it was run."""

    name: str
    sha256: str
    engine: str
    threads: int


class ReportFacts(NamedTuple):
    """What only the report shows."""

    title: str = "Birds in pictures"
    facts: tuple[tuple[str, str], ...] = ()  # name and value
    notes: tuple[str, ...] = ()  # shown before everything else
    version: str | None = None  # of the birdlite that classified, if that is another one
    trace: Trace | None = None  # the timeline to draw
    names: Mapping[int, str] = {}  # of the pictures in `trace`, by index


class RunFacts(NamedTuple):
    """What is known only at the end of a run."""

    summary: RunSummary
    model: ModelFacts | None = None  # None if the run ended before a model was open
    timing: Breakdown | None = None  # None with --no-timing
    report: ReportFacts | None = None


class Writer(Protocol):
    """Takes results one by one, and the facts of the run at the end.

    Raises:
        OSError: the stream refused; `OutputError` if it is the stream of an `Output`.
    """

    def write(self, result: Result) -> None:
        """Write one result."""

    def finish(self, run: RunFacts) -> None:
        """Complete the document and flush the stream."""


class LineWriter:
    """What the writers share that are done with a result when it is written."""

    def __init__(self, stream: TextSink, options: WriterOptions) -> None:
        self._stream = stream
        self._options = options

    def finish(self, run: RunFacts) -> None:  # noqa: ARG002 - part of the protocol
        """Flush. Without results, there is nothing to write."""
        self._stream.flush()


def nothing(options: WriterOptions) -> str:
    """The text for a picture without candidates."""
    return f"nothing above {options.min_score:g}" if options.min_score > 0 else "no predictions"


def short_message(result: Result, failure: Failure) -> str:
    """The message of a failure, without the target's name in front."""
    return failure.message.removeprefix(f"{result.target}: ")
