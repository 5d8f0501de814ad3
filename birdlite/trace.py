"""A run's beginning, kept by the timeline of a run that is to be drawn. `writers.waterfall` draws it."""

from __future__ import annotations

from collections.abc import Sequence

from birdlite.namedtuple import NamedTuple
from birdlite.timing import Span

TRACED = 60  # pictures of which a trace keeps the spans: more rows than that nobody looks at


class Trace(NamedTuple):
    """A run's beginning, as far as it is drawn. Times in s on `clock`."""

    start: float  # the process began
    end: float  # of the run, or of what was looked at
    spans: tuple[Span, ...]  # of the whole run, and of its first `TRACED` pictures
    path: tuple[Span, ...]  # what the run was waiting for: pieces of spans, of any picture, one after the other


def beginning(start: float, end: float, spans: Sequence[Span], path: Sequence[Span]) -> Trace:
    """Keep what is drawn of a run's first spans, and of the critical path through them, the latest piece first."""
    kept = tuple(span for span in spans if span.picture is None or span.picture < TRACED)
    return Trace(start, end, kept, tuple(reversed(path)))
