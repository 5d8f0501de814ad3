"""The first line of a part: the run that it belongs to and, when it is complete, what it holds.

    {"birdlite_run": {"version": …, "model": …, …, "shard": 0, "shards": 8}}                      in NAME.partial
    {"birdlite_run": {…, "targets": 1000, "mine": 127, "left_out": 0, "ok": …, "list_sha256": …}}   in NAME

`journal` and `part` write it; they, `merge` and `files` read it. Two parts belong together if their `Run`s are equal
except for the shard, and their lists are equal.
"""

from __future__ import annotations

import json
from types import NoneType
from typing import Any, TypeVar

from birdlite.errors import OutputError, UsageError
from birdlite.namedtuple import NamedTuple
from birdlite.results import Failure, ImageInfo, Prediction, Times

KEY = "birdlite_run"
AGAIN = "run without --resume to start again"
HEADER_LIMIT = 1 << 16  # bytes; ours have some 600

_LARGEST = 1e15  # larger than any number of bytes or targets, time or score
_ALLOWED: dict[object, tuple[type, ...]] = {  # in JSON, by the annotation of the field
    "int": (int,),
    "bool": (bool,),
    "float": (float, int),
    "float | None": (float, int, NoneType),
    "str": (str,),
    "str | None": (str, NoneType),
    "FailureKind": (str,),
}

_Some = TypeVar("_Some", "Run", "Totals", Prediction, Failure, ImageInfo, Times)


class Run(NamedTuple):
    """Everything that decides the records."""

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
    reveal_targets: bool = False  # whether names of targets have secrets; parts made before there was a choice may too


class Totals(NamedTuple):
    """The contents of a complete part."""

    targets: int  # in the whole list, all shards
    mine: int  # records here
    left_out: int  # targets of this shard that an earlier run has
    ok: int
    failed: int
    list_sha256: str  # of the names of the whole list


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
        values = json.loads(line)[KEY]
        run = read_fields(Run, {name: values[name] for name in Run._fields if name in values})
        if "list_sha256" not in values:
            totals = None
        else:
            totals = read_fields(Totals, {name: values[name] for name in Totals._fields})
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    counts = (run.shard, *(() if totals is None else totals[:-1]))
    return Header(run, totals) if min(counts) >= 0 and run.shard < run.shards else None


def difference(was: Run, now: Run, *, apart_from: tuple[str, ...] = ()) -> str | None:
    """The first difference between two runs, such as `top was 3 and is 5`; None if there is no difference."""
    for name in Run._fields:
        before, after = getattr(was, name), getattr(now, name)
        if before != after and name not in apart_from:
            return f"{name} was {json.dumps(before)} and is {json.dumps(after)}"
    return None


def refuse_another_run(was: Run, now: Run, path: str) -> None:
    """Check that this run can go on with the part at `path`.

    Raises:
        OutputError: it is of a run with other parameters.
        UsageError: it is of another shard.
    """
    refuse_another_shard(was, now, path)
    changed = difference(was, now)
    if changed:
        raise OutputError(f"{path}: made with other parameters: {changed}; {AGAIN}")


def refuse_another_shard(was: Run, now: Run, path: str) -> None:
    """Check that no shard takes the place of another one.

    Raises:
        UsageError: the part at `path` is of another shard.
    """
    if was.shard != now.shard and min(was.shards, now.shards) > 1:
        raise UsageError(
            f"{path}: has shard {was.shard} of {was.shards}, and this run is shard {now.shard} of {now.shards};"
            " put {shard} into the name of --output, or remove this one"
        )


def read_fields(kind: type[_Some], values: dict[str, Any]) -> _Some:
    """Make a named tuple of JSON. The type of each field is checked, because readers rely on it.

    Raises:
        TypeError: a field is missing, unknown, or has the wrong type.
        ValueError: a number is infinite, not a number, or absurdly large.
    """
    some = kind(**values)
    for name, value, annotation in zip(some._fields, some, kind.__annotations__.values(), strict=True):
        if type(value) not in _ALLOWED[annotation]:
            raise TypeError(f"{name} cannot be {type(value).__name__}")
        if isinstance(value, (float, int)) and not -_LARGEST < value < _LARGEST:
            raise ValueError(f"{name} is too large, or not a number")
    return some
