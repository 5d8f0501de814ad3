"""Outputs read back: header and records of JSON lines, in a file or an object. For `merge`, `earlier`, `part`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain
from types import NoneType
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from birdlite.batch.files import blocks
from birdlite.batch.header import HEADER_LIMIT, Header, parse_header
from birdlite.errors import PartsError
from birdlite.results import Failure, FailureKind, ImageInfo, Prediction, Result, Times

if TYPE_CHECKING:
    from birdlite.storage.store import Storage

LINE_LIMIT = 1 << 24  # bytes; a thousand candidates and the longest of names are far shorter

Record = dict[str, Any]


def read_records(
    path: str, storage: Storage | None = None, *, together: int = 1
) -> tuple[Header | None, Iterator[Record]]:
    """The header of an output, None if it has none, and its records, lazily, while `together` outputs are read at once.

    Raises:
        PartsError: it cannot be read; while iterating also: a line is no record, or the last one is torn.
    """
    try:
        header, lines = read_lines(path, storage, together=together)
    except FileNotFoundError:
        raise PartsError(f"{path}: cannot be read: no such file") from None
    return header, _records(path, lines, 1 if header is None else 2)


def read_lines(
    path: str, storage: Storage | None = None, *, together: int = 1
) -> tuple[Header | None, Iterator[bytes]]:
    """The header, None if the first line is none, and the lines behind it, without their ends.

    Raises:
        FileNotFoundError: nothing is there.
        PartsError: it cannot be read.
    """
    lines = _lines(path, storage, together)
    first = next(lines, None)
    if first is None:
        return None, lines
    header = parse_header(first) if len(first) < HEADER_LIMIT else None
    return header, lines if header is not None else chain((first,), lines)


def _records(path: str, lines: Iterator[bytes], first: int) -> Iterator[Record]:
    for number, line in enumerate(lines, first):
        try:
            record = json.loads(line)
            index, target, status = record["index"], record["target"], record["status"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise PartsError(f"{path}:{number}: not a record of birdlite, or cut off") from None
        if type(index) is not int or not isinstance(target, str) or status not in ("ok", "error"):
            raise PartsError(f"{path}:{number}: not a record of birdlite")
        yield record


def _lines(path: str, storage: Storage | None, together: int) -> Iterator[bytes]:
    rest = b""
    for block in blocks(path, storage, together=together):
        *lines, rest = (rest + block).split(b"\n")
        yield from lines
        if len(rest) > LINE_LIMIT:
            raise PartsError(f"{path}: a line longer than {LINE_LIMIT} bytes")
    if rest:
        yield rest


def result_of(record: Record) -> Result:
    """The result that a record was made of, but for digits that were rounded away.

    Raises:
        PartsError: there is more or less in it than birdlite writes.
    """
    try:
        error = record.get("error")
        image, times = record.get("image"), record.get("timing_ms")
        predictions = tuple(_checked(Prediction(**one), _PREDICTION) for one in record["predictions"])
        return Result(
            record["index"],
            record["target"],
            _failure(error) if error else predictions,
            _checked(ImageInfo(**image), _IMAGE) if image else None,
            _checked(Times(**times), _TIMES) if times else None,
        )
    except (TypeError, KeyError, ValueError) as error:
        raise PartsError(f"the record of target {record['index']} is not birdlite's: {error}") from None


def _failure(error: dict[str, Any]) -> Failure:
    failure = _checked(Failure(**error), _FAILURE)
    if failure.kind not in get_args(FailureKind):
        raise ValueError("there is no such kind of failure")
    return failure


_NUMBER = (float, int)
_MAYBE = (float, int, NoneType)
_PREDICTION = ((int,), (int,), (str,), _NUMBER, (str, NoneType))  # types by field
_FAILURE = ((str,), (str,))
_IMAGE = ((int,), (int,), (str,), (int,))
_TIMES = (_MAYBE, _MAYBE, _MAYBE, _NUMBER)
_LARGEST = 1e15  # beyond it is no count of bytes, no time and no score

_Some = TypeVar("_Some", Prediction, Failure, ImageInfo, Times)


def _checked(some: _Some, types: tuple[tuple[type, ...], ...]) -> _Some:
    """Look at what JSON has given for each field: whoever reads a record takes its types for granted.

    Raises:
        TypeError: a field is of another type.
        ValueError: a number is none that birdlite could have meant: infinite, or absurd.
    """
    values: tuple[object, ...] = tuple(some)
    for name, value, allowed in zip(some._fields, values, types, strict=True):
        if type(value) not in allowed:
            raise TypeError(f"{name} cannot be {type(value).__name__}")
        if isinstance(value, (float, int)) and not -_LARGEST < value < _LARGEST:
            raise ValueError(f"{name} is too large, or no number")
    return some
