"""Outputs of earlier runs, in files or in object storage: found, and read back as lines, records and results.

`earlier`, `merge`, `newest`, `part` and the commands `merge` and `report` call it. Nothing stays open between two
blocks, so any number of parts can be read at once.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias, get_args

from birdlite import log
from birdlite.batch.header import HEADER_LIMIT, Header, parse_header, read_fields
from birdlite.errors import PartsError, StorageError, UsageError
from birdlite.local_file import reason
from birdlite.redaction import redacted, redacted_text
from birdlite.results import Failure, FailureKind, ImageInfo, Prediction, Result, Times
from birdlite.storage import Listed, is_storage
from birdlite.targets.patterns import is_pattern, matching
from birdlite.writers.record import to_json

if TYPE_CHECKING:
    from birdlite.storage.store import Storage

BLOCK = 1 << 15  # bytes of each part in memory, beside an incomplete line
OBJECTS = 1 << 25  # bytes in memory of all objects that are read at once; few large requests are faster
SUFFIX = ".jsonl"
INDEX_LIMIT = 1 << 53  # of a target; larger than any list, and what all readers of JSON can count to
LINE_LIMIT = 1 << 24  # bytes; far more than a thousand candidates with the longest names

Record: TypeAlias = "dict[str, Any]"


def outputs_at(place: str, storage: Storage | None = None) -> list[str]:
    """The outputs that an argument names: a file, the `*.jsonl` of a folder, or the matches of a pattern, by name.

    An empty folder and a pattern without matches give none, as before the first run. In object storage the name of a
    folder ends with a slash, and a pattern matches names in one folder.

    Raises:
        UsageError: the file or folder does not exist.
        StorageError: object storage refuses or cannot be reached.
    """
    if is_storage(place):
        return [one.name for one in _objects_at(place, storage)]
    if os.path.isdir(place):
        return [os.path.join(place, name) for name in sorted(os.listdir(place)) if _is_output(name)]
    if os.path.exists(place):
        return [place]
    if is_pattern(place):
        linked: set[str] = set()
        paths = [path for path in matching(place, linked) if os.path.isfile(path)]
        if linked:
            log.warning(f"{place}: {log.counted(len(linked), 'linked folder')} not searched")
        return paths
    raise UsageError(f"{place}: no such file or folder")


def listed_at(place: str, storage: Storage | None = None) -> list[Listed]:
    """The same with size, version and time. Those of a single object stay unknown."""
    if is_storage(place):
        return _objects_at(place, storage)
    return [_listed(path) for path in outputs_at(place)]


def is_folder(place: str) -> bool:
    """Whether an argument names a folder."""
    return place.endswith("/") if is_storage(place) else os.path.isdir(place)


def _listed(path: str) -> Listed:
    try:
        facts = os.stat(path)
    except OSError:
        return Listed(path)  # whoever reads it says why it cannot be read
    return Listed(path, facts.st_size, str(facts.st_mtime_ns), facts.st_mtime)


def _objects_at(place: str, storage: Storage | None) -> list[Listed]:
    from birdlite.storage import parse
    from birdlite.storage.store import Storage

    storage = storage or Storage()
    try:
        if parse(place).is_folder:
            return [one for one in storage.directly_in(place) if _is_output(name_of(one.name))]
        if is_pattern(name_of(place)):
            from fnmatch import fnmatchcase

            folder = place[: -len(name_of(place))]
            return [one for one in storage.directly_in(folder) if fnmatchcase(name_of(one.name), name_of(place))]
    except ValueError as error:
        raise UsageError(f"{place}: {error}") from None
    except StorageError as error:
        raise StorageError(error.kind, f"{place}: {error}", error.cause, temporary=error.temporary) from error
    return [Listed(place)]


def blocks(
    path: str, storage: Storage | None = None, *, together: int = 1, first: int | None = None
) -> Iterator[bytes]:
    """The bytes at `path`, a block at a time, while `together` parts are read at once.

    The first request to object storage asks for `first` bytes.

    Raises:
        FileNotFoundError: while iterating: it does not exist.
        PartsError: it cannot be read.
    """
    if is_storage(path):
        yield from _blocks_of_object(path, storage, together, first)
        return
    offset = 0
    while True:
        try:
            with open(path, "rb", buffering=0) as file:
                file.seek(offset)
                block = file.read(BLOCK)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise PartsError(f"{path}: cannot be read: {reason(error)}") from error
        if not block:
            return
        offset += len(block)
        yield block


def _blocks_of_object(url: str, storage: Storage | None, together: int, first: int | None) -> Iterator[bytes]:
    from birdlite.storage.store import Storage

    try:
        stream = (storage or Storage()).open(url, first=first, largest=max(BLOCK, OBJECTS // together))
        while block := stream.read(BLOCK):
            yield block
    except StorageError as error:
        if error.cause == "no_object":
            raise FileNotFoundError(url) from error
        raise PartsError(f"{url}: cannot be read: {error}", temporary=error.temporary) from error


def same(one: str, other: str) -> bool:
    """Whether both are the same existing file or object."""
    if is_storage(one) or is_storage(other):
        return one == other
    return os.path.exists(one) and os.path.exists(other) and os.path.samefile(one, other)


def _is_output(name: str) -> bool:
    return name.endswith(SUFFIX) and not name.startswith(".")


def name_of(path: str) -> str:
    """The last part of a path or URL."""
    return path.rpartition("/")[2]


def read_records(
    path: str, storage: Storage | None = None, *, together: int = 1
) -> tuple[Header | None, Iterator[Record]]:
    """The header of an output, or None, and its records, lazily, while `together` outputs are read at once.

    Raises:
        PartsError: it cannot be read; while iterating also: a line is not a record, or the last one is incomplete.
    """
    try:
        header, lines = read_lines(path, storage, together=together)
    except FileNotFoundError:
        raise PartsError(f"{path}: cannot be read: no such file") from None
    return header, _records(path, lines, 1 if header is None else 2)


def read_lines(
    path: str, storage: Storage | None = None, *, together: int = 1
) -> tuple[Header | None, Iterator[bytes]]:
    """The header, None if the first line is not one, and the other lines, without line ends.

    Raises:
        FileNotFoundError: it does not exist.
        PartsError: it cannot be read.
    """
    lines = _lines(path, storage, together)
    first = next(lines, None)
    if first is None:
        return None, lines
    header = parse_header(first) if len(first) < HEADER_LIMIT else None
    return header, lines if header is not None else chain((first,), lines)


def read_header(path: str, storage: Storage | None = None) -> Header | None:
    """The header of an output; None if it has none. Only files and objects are read, and no more than a header needs.

    Raises:
        FileNotFoundError: it does not exist.
        PartsError: it cannot be read.
    """
    if not is_storage(path) and os.path.exists(path) and not os.path.isfile(path):
        return None  # opening a pipe waits for whoever writes to it
    start = b""
    for block in blocks(path, storage):
        start += block
        if b"\n" in block or len(start) >= HEADER_LIMIT:
            break
    line = start.partition(b"\n")[0]
    return parse_header(line) if len(line) < HEADER_LIMIT else None


def parse_record(line: bytes) -> Record | None:
    """Read a line; None if it is not a record, or not a whole one."""
    try:
        record: Record = json.loads(line)
        index, target, status = record["index"], record["target"], record["status"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if type(index) is not int or not 0 <= index < INDEX_LIMIT:
        return None
    if not isinstance(target, str) or status not in ("ok", "error"):
        return None
    return record if status == "ok" or _is_failure(record.get("error")) else None


def _is_failure(error: object) -> bool:
    return isinstance(error, dict) and error.keys() == {"kind", "message"} and isinstance(error["message"], str)


def redacted_record(record: Record) -> Record:
    """A record whose target has no secrets; those of runs with --reveal-targets have, and old ones."""
    was = record["target"]
    name = redacted(was)
    if name != was:
        record["target"] = name
        error = record.get("error")
        if isinstance(error, dict) and isinstance(message := error.get("message"), str):
            rest = message.removeprefix(was)
            error["message"] = redacted_text(message) if rest == message else name + redacted_text(rest)
    return record


def redacted_line(line: bytes) -> bytes:
    """The same for the line of a record, with or without its end."""
    if b"://" not in line:
        return line
    record = parse_record(line)
    if record is None or redacted(record["target"]) == record["target"]:
        return line
    end = b"\n" if line.endswith(b"\n") else b""
    return to_json(redacted_record(record)).encode() + end


def _records(path: str, lines: Iterator[bytes], first: int) -> Iterator[Record]:
    for number, line in enumerate(lines, first):
        record = parse_record(line)
        if record is None:
            raise PartsError(f"{path}:{number}: not a record of birdlite, or cut off")
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
    """The result that a record was made from, with rounded numbers.

    Raises:
        PartsError: the record is not one that birdlite writes.
    """
    try:
        error = record.get("error")
        image, times = record.get("image"), record.get("timing_ms")
        predictions = tuple(read_fields(Prediction, one) for one in record["predictions"])
        return Result(
            record["index"],
            record["target"],
            _failure(error) if error else predictions,
            read_fields(ImageInfo, image) if image else None,
            read_fields(Times, times) if times else None,
        )
    except (TypeError, KeyError, ValueError) as error:
        raise PartsError(f"the record of target {record['index']} is not one that birdlite writes: {error}") from None


def _failure(error: dict[str, Any]) -> Failure:
    failure = read_fields(Failure, error)
    if failure.kind not in get_args(FailureKind):
        raise ValueError("unknown kind of failure")
    return failure
