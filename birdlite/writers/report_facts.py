"""What the report says of a run beyond what every output does. Made by the commands, read by `html`."""

from __future__ import annotations

from collections.abc import Mapping

from birdlite.namedtuple import NamedTuple
from birdlite.timing import Trace


class ReportFacts(NamedTuple):
    """What only the report says."""

    title: str = "Birds in pictures"
    facts: tuple[tuple[str, str], ...] = ()  # name and value
    notes: tuple[str, ...] = ()  # what a reader must know before anything else
    version: str | None = None  # of the birdlite that classified, if it is not this one
    trace: Trace | None = None  # to be drawn
    names: Mapping[int, str] = {}  # of the pictures in `trace`, by its indexes
