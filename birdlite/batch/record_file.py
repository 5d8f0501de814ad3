"""Outputs read back: the header and the records of a JSON lines file. For `merge` and `earlier`.

A file is read a block at a time and is not kept open between blocks, so that any number of parts can be read at once.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

from birdlite.batch.header import HEADER_LIMIT, Header, parse_header
from birdlite.errors import PartsError, UsageError
from birdlite.results import Failure, ImageInfo, Prediction, Result, Times
from birdlite.target_files import is_pattern

BLOCK = 1 << 15  # bytes of each file in memory, and what is left of a line
LINE_LIMIT = 1 << 24  # bytes; a thousand candidates and the longest of names are far shorter

Record = dict[str, Any]


def outputs_at(place: str) -> list[str]:
    """The outputs that an argument names: a file, a folder's `*.jsonl`, or what a pattern matches, by name.

    An empty folder and a pattern without matches name none: so it is before the first run.

    Raises:
        UsageError: there is no such file or folder.
    """
    if os.path.isdir(place):
        return [
            os.path.join(place, name)
            for name in sorted(os.listdir(place))
            if name.endswith(".jsonl") and not name.startswith(".")
        ]
    if os.path.exists(place):
        return [place]
    if is_pattern(place):
        from glob import glob

        return sorted(path for path in glob(place, recursive=True) if os.path.isfile(path))
    raise UsageError(f"{place}: no such file or folder")


def read_records(path: str) -> tuple[Header | None, Iterator[Record]]:
    """The header of a file, None if it has none, and its records, lazily.

    Raises:
        PartsError: it cannot be read; while iterating also: a line is no record, or the last one is torn.
    """
    try:
        with open(path, "rb") as file:
            first = file.readline(HEADER_LIMIT)
    except OSError as error:
        raise _unreadable(path, error) from error
    header = parse_header(first)
    return header, _records(path, 0 if header is None else len(first), 1 if header is None else 2)


def _records(path: str, offset: int, first: int) -> Iterator[Record]:
    for number, line in enumerate(_lines(path, offset), first):
        try:
            record = json.loads(line)
            index, target, status = record["index"], record["target"], record["status"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise PartsError(f"{path}:{number}: not a record of birdlite, or cut off") from None
        if type(index) is not int or not isinstance(target, str) or status not in ("ok", "error"):
            raise PartsError(f"{path}:{number}: not a record of birdlite")
        yield record


def _lines(path: str, offset: int) -> Iterator[bytes]:
    rest = b""
    while block := _block(path, offset):
        offset += len(block)
        *lines, rest = (rest + block).split(b"\n")
        yield from lines
        if len(rest) > LINE_LIMIT:
            raise PartsError(f"{path}: a line longer than {LINE_LIMIT} bytes")
    if rest:
        yield rest


def _block(path: str, offset: int) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            file.seek(offset)
            return file.read(BLOCK)
    except OSError as error:
        raise _unreadable(path, error) from error


def result_of(record: Record) -> Result:
    """The result that a record was made of, but for digits that were rounded away.

    Raises:
        PartsError: there is more or less in it than birdlite writes.
    """
    try:
        error = record.get("error")
        image, times = record.get("image"), record.get("timing_ms")
        outcome = Failure(**error) if error else tuple(Prediction(**one) for one in record["predictions"])
        return Result(
            record["index"],
            record["target"],
            outcome,
            ImageInfo(**image) if image else None,
            Times(**times) if times else None,
        )
    except (TypeError, KeyError) as error:
        raise PartsError(f"the record of target {record['index']} is not birdlite's: {error}") from None


def _unreadable(path: str, error: OSError) -> PartsError:
    return PartsError(f"{path}: cannot be read: {error.strerror or error}")
