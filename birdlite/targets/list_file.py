"""List files: text, CSV or JSON lines into the targets that they name, a line at a time. `expand` calls it.

    text     a target in each line; blank lines and lines that begin with # are skipped
    CSV      a header with a column `url`, `path` or `target` in any case; in each row the first of them that is not
             empty is the target; the delimiter is comma, semicolon or tab, whichever the header has most of
    JSONL    objects with one of these keys, or plain strings; so birdlite's own JSON lines are a list too

The suffix tells the format (.txt, .csv, .tsv, .jsonl, .ndjson), otherwise the first line that is not blank. Lists are
UTF-8 with or without a byte order mark, or UTF-16 with one. Bytes that are not UTF-8 are kept, as in `os.fsdecode`.

A line that cannot be understood is a failure with its line number, and the lines after it are still read. Lines have a
length limit, `LINE_LIMIT`, and only one line at a time is in memory.
"""

from __future__ import annotations

import codecs
import itertools
import os
import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, Literal

from birdlite.errors import StorageError, UsageError
from birdlite.local_file import reason
from birdlite.results import Failure
from birdlite.storage import is_storage

if TYPE_CHECKING:
    from collections.abc import Callable

    from birdlite.storage.store import ObjectStream, Storage
    from birdlite.targets import Found

ListKind = Literal["text", "csv", "jsonl"]

LINE_LIMIT = 1 << 16  # characters; a path has at most 4096 bytes, and servers refuse URLs far shorter than this
COLUMNS = ("url", "path", "target")

_CHUNK = 1 << 16  # bytes
_KINDS: dict[str, ListKind] = {".txt": "text", ".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_TOO_LONG = f"longer than {LINE_LIMIT} characters"
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

NumberedLines = Iterator[tuple[int, "str | None"]]
"""Line numbers from 1, and lines without their ends; None for one that is too long."""


def check(path: str, storage: Storage | None = None) -> None:
    """Find out before the work whether the list can be read. A pipe is not read, because that is possible only once.

    Raises:
        UsageError: it does not exist, cannot be read, or is CSV without a column of targets.
        StorageError: it is in object storage, which refuses or cannot be reached.
    """
    try:
        if not is_storage(path) and not stat.S_ISREG(os.stat(path).st_mode):
            return
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    next(read_file(path, storage), None)


def read_file(path: str, storage: Storage | None = None) -> Iterator[Found]:
    """Yield the targets of the list at `path`, a file or an object in `storage`; see `read`."""
    if is_storage(path):
        yield from _read_object(path, storage)
        return
    try:
        stream = open(path, "rb")  # noqa: SIM115 - closed below; only its own errors are caught here
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    with stream:
        yield from read(stream, path)


def _read_object(url: str, storage: Storage | None) -> Iterator[Found]:
    from birdlite.storage.store import Storage

    try:
        yield from read((storage or Storage()).open(url), url)
    except StorageError as error:
        message = f"{url}: the list cannot be read: {error}"
        if error.cause in ("no_object", "no_bucket") or error.kind == "unsupported":
            raise UsageError(message) from error
        raise StorageError(error.kind, message, error.cause, temporary=error.temporary) from error


def read(stream: BinaryIO | ObjectStream, name: str) -> Iterator[Found]:
    """Yield the targets of an open list: a text each, or `name:line` with the failure of that line.

    Raises:
        UsageError: the list cannot be read, or it is CSV without a column of targets.
    """
    lines = _lines(stream, name)
    first = next((line for line in lines if line[1] is None or line[1].strip()), None)
    if first is None:
        return
    kind = _KINDS.get(os.path.splitext(name)[1].lower()) or _sniff(first[1])
    lines = itertools.chain((first,), lines)
    if kind == "csv":
        yield from _csv(lines, name, first[1] or "")
    elif kind == "jsonl":
        yield from _jsonl(lines, name)
    else:
        yield from _text(lines, name)


def _sniff(line: str | None) -> ListKind:
    line = (line or "").strip()
    if line.startswith("{"):
        return "jsonl"
    if not {cell.strip(' "').lower() for cell in line.split(delimiter(line))}.isdisjoint(COLUMNS):
        return "csv"
    return "jsonl" if len(line) > 1 and line.startswith('"') and line.endswith('"') else "text"


def delimiter(header: str) -> str:
    """The most frequent of the three in a CSV header; a comma for a single column."""
    return max(",;\t", key=header.count)


def target_columns(header: list[str]) -> list[int]:
    """The positions of the columns of targets, in the order of `COLUMNS`; their names can be in any case."""
    known = [cell.lower() for cell in header]
    return [known.index(column) for column in COLUMNS if column in known]


def first_filled(cells: list[str], columns: list[int]) -> str | None:
    """The first cell of a row, in the order of `columns`, that exists and is not empty."""
    return next((cells[at] for at in columns if at < len(cells) and cells[at]), None)


def _lines(stream: BinaryIO | ObjectStream, name: str) -> NumberedLines:
    """Decode and split into lines. Memory is bounded, while `readline` would hold a line of any length."""
    try:
        # read1 gives what a pipe has now; read would wait for a whole chunk.
        read: Callable[[int], bytes] = getattr(stream, "read1", stream.read)
        data = read(_CHUNK)
        while 0 < len(data) < 3 and (more := read(_CHUNK)):  # a byte order mark has up to three bytes
            data += more
        if data.startswith(_UTF_16):
            decoder = codecs.getincrementaldecoder("utf-16")("replace")
        else:
            decoder = codecs.getincrementaldecoder("utf-8-sig")("surrogateescape")
        number = 1
        line = ""
        too_long = False
        while data:
            first, *others = decoder.decode(data).split("\n")
            line += first
            for other in others:
                yield number, None if too_long or len(line) > LINE_LIMIT else line.removesuffix("\r")
                number += 1
                line = other
                too_long = False
            if len(line) > LINE_LIMIT:
                line = ""
                too_long = True
            data = read(_CHUNK)
        line += decoder.decode(b"", final=True)
    except (OSError, ValueError) as error:
        raise _unreadable(name, error) from error
    if too_long or line:
        yield number, None if too_long or len(line) > LINE_LIMIT else line.removesuffix("\r")


def _text(lines: NumberedLines, name: str) -> Iterator[Found]:
    for number, line in lines:
        if line is None:
            yield _bad_line(name, number, _TOO_LONG)
        elif (target := line.strip()) and not target.startswith("#"):
            yield target, None


def _jsonl(lines: NumberedLines, name: str) -> Iterator[Found]:
    import json

    for number, line in lines:
        if line is None:
            yield _bad_line(name, number, _TOO_LONG)
        if not line or not line.strip():
            continue
        try:
            value: object = json.loads(line)
        except (ValueError, RecursionError):
            yield _bad_line(name, number, "not JSON")
            continue
        if isinstance(value, dict):
            if value.keys() == {"birdlite_run"}:
                continue  # the header of a part
            value = next((value[key] for key in COLUMNS if value.get(key)), None)
        if isinstance(value, str) and value:
            yield value, None
        else:
            yield _bad_line(name, number, "neither a string nor an object with a string as url, path or target")


def _csv(lines: NumberedLines, name: str, header: str) -> Iterator[Found]:
    import csv

    class Feed:
        """Lines for the reader. Unlike a generator, this iterator continues after it has raised."""

        number = 0  # of the latest line

        def __iter__(self) -> Feed:
            return self

        def __next__(self) -> str:
            self.number, line = next(lines)
            if line is None:
                raise csv.Error(_TOO_LONG)
            return line + "\n"

    feed = Feed()
    rows = csv.reader(feed, delimiter=delimiter(header))
    columns: list[int] | None = None  # the columns of targets, in the order of COLUMNS
    while True:
        try:
            cells = [cell.strip() for cell in next(rows)]
        except StopIteration:
            return
        except csv.Error as error:
            if columns is None:
                raise UsageError(f"{name}: the header is broken: {error}") from error
            yield _bad_line(name, feed.number, str(error))
            continue
        if columns is None:
            columns = target_columns(cells)
            if not columns:
                raise UsageError(f"{name}: no column url, path or target; found: {', '.join(cells)[:500]}")
            continue
        value = first_filled(cells, columns)
        if value is not None:
            yield value, None
        elif any(cells):
            yield _bad_line(name, feed.number, "no url, path or target in this row")


def _bad_line(name: str, number: int, fault: str) -> Found:
    place = f"{name}:{number}"
    return place, Failure("unsupported", f"{place}: {fault}")


def _unreadable(path: str, error: OSError | ValueError) -> UsageError:
    return UsageError(f"{path}: the list cannot be read: {reason(error)}")
