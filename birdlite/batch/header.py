"""The first line of a part: the run that it belongs to and, when it is complete, what it holds.

    {"birdlite_run": {"version": …, "model": …, …, "shard": 0, "shards": 8}}                      in NAME.partial
    {"birdlite_run": {…, "targets": 1000, "mine": 127, "left_out": 0, "ok": …, "list_sha256": …}}   in NAME

`journal` and `part` write it; they, `merge` and `files` read it. Two parts belong together if their `Run`s are equal
except for the shard, and their lists are equal.
"""

from __future__ import annotations

import json

from birdlite.namedtuple import NamedTuple

KEY = "birdlite_run"
HEADER_LIMIT = 1 << 16  # bytes; ours have some 600

_LARGEST = 1 << 62


class Run(NamedTuple):
    """Everything that decides the records. Only `shard` differs between the shards of a run."""

    version: str  # of birdlite
    model: str
    model_sha256: str
    labels_sha256: str
    resize: str
    top: int
    names: str
    min_score: float
    timing: bool  # whether records have times
    since: bool  # whether targets of earlier runs were skipped
    shard: int  # from 0
    shards: int


class Totals(NamedTuple):
    """The contents of a complete part."""

    targets: int  # in the whole list, all shards
    mine: int  # records here
    left_out: int  # targets of this shard that an earlier run has
    ok: int
    failed: int
    list_sha256: str  # of the names of the whole list


_ANY_RUN = Run("", "", "", "", "", 1, "", 0.0, timing=True, since=False, shard=0, shards=1)
_ANY_TOTALS = Totals(0, 0, 0, 0, 0, "")


class Header(NamedTuple):
    """The first line as values. Without totals the part is not complete."""

    run: Run
    totals: Totals | None = None

    def line(self) -> str:
        """The line, with its end."""
        totals = {} if self.totals is None else self.totals._asdict()
        return json.dumps({KEY: {**self.run._asdict(), **totals}}) + "\n"


def parse_header(line: bytes) -> Header | None:
    """Read a first line; None if it is not a header."""
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        return None
    values = document.get(KEY) if isinstance(document, dict) else None
    if not isinstance(values, dict) or not _fits(_ANY_RUN, values) or values["shard"] >= values["shards"]:
        return None
    run = Run(*(values[name] for name in Run._fields))
    if "list_sha256" not in values:
        return Header(run)
    if not _fits(_ANY_TOTALS, values):
        return None
    return Header(run, Totals(*(values[name] for name in Totals._fields)))


def difference(was: Run, now: Run, *, apart_from: tuple[str, ...] = ()) -> str | None:
    """The first difference between two runs, such as `top was 3 and is 5`; None if there is no difference."""
    for name in Run._fields:
        before, after = getattr(was, name), getattr(now, name)
        if before != after and name not in apart_from:
            return f"{name} was {json.dumps(before)} and is {json.dumps(after)}"
    return None


def _fits(example: Run | Totals, values: dict[str, object]) -> bool:
    """Whether `values` has all fields of `example` with the same types."""
    for name, like in example._asdict().items():
        value = values.get(name)
        if type(value) is not type(like) or (isinstance(value, int) and not 0 <= value < _LARGEST):
            return False
    return True
