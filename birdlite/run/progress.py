"""How far a run is. `Runner` and `evaluate` count it, the console shows it."""

from __future__ import annotations

from birdlite.namedtuple import NamedTuple


class Progress(NamedTuple):
    """Targets of a run."""

    done: int  # those that failed included
    failed: int
    total: int | None  # None while the list is not yet read to its end
