"""List files into the targets that they name, and their labels if they have some, an entry at a time.

    text     a target in each line; blank lines and lines that begin with # are skipped, quotes around a line removed
    CSV      see `list_csv`
    JSONL    objects with a field as CSV has columns, or plain strings; so birdlite's own JSON lines are a list too
    JSON     see `list_json`

What the first line looks like tells the format, and then the suffix (.txt, .csv, .tsv, .jsonl, .ndjson). `list_text`
has the encodings, line ends and limits.

A line that cannot be understood is an entry with a fault, and the lines after it are still read. Only one line at a
time is in memory. `expand` calls `read` and `read_file`, and `evaluate` calls `entries_of`.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, Literal

from birdlite.errors import StorageError, UsageError, one_line
from birdlite.results import Failure
from birdlite.storage import is_storage
from birdlite.targets.list_fields import FAULT, LABEL, Entry, Fields, divided, field_of, is_named, lacking
from birdlite.targets.list_text import LINE_LIMIT, TOO_LONG, Ahead, ListText, NumberedLines, unreadable

if TYPE_CHECKING:
    from birdlite.storage.store import Storage
    from birdlite.storage.stream import ObjectStream
    from birdlite.targets import Found

ListKind = Literal["text", "csv", "jsonl", "json"]

_SUFFIXES: dict[str, ListKind] = {".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_QUOTES = {'"': '"', "'": "'", "“": "”", "„": "“", "«": "»"}
_OPEN_DOCUMENT = r'\{\s*$|\{\s*"[^"]*"\s*:\s*(?:[\[{]|$)|\{.*[,\[{]$'


def check(path: str, storage: Storage | None = None) -> None:
    """Find out before the work whether the list can be read. A pipe is not read, because that is possible only once.

    Raises:
        UsageError: it does not exist, cannot be read, is no list, or names no targets in a way that is known.
        StorageError: it is in object storage, which refuses or cannot be reached.
    """
    try:
        if not is_storage(path) and not stat.S_ISREG(os.stat(path).st_mode):
            return
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
    next(read_file(path, storage), None)


def read_file(path: str, storage: Storage | None = None) -> Iterator[Found]:
    """Yield the targets of the list at `path`, a file or an object in `storage`; see `read`."""
    if is_storage(path):
        return _found(_entries_of_object(path, storage), path)
    return _found(entries_of(path), path)


def read(stream: BinaryIO | ObjectStream | Ahead, name: str) -> Iterator[Found]:
    """Yield the targets of an open list: a text each, or `name:line` with the failure of that line.

    Raises:
        UsageError: it cannot be read, is no list, or names no targets in a way that is known.
    """
    return _found(_entries(stream, name), name)


def _found(entries: Iterator[Entry], name: str) -> Iterator[Found]:
    from birdlite.redaction import redacted

    for number, target, _, fault in entries:
        if fault:
            place = f"{redacted(name)}:{number}"
            yield place, Failure("unsupported", f"{place}: {fault}")
        else:
            yield target, None


def entries_of(path: str, *, labelled: bool = False) -> Iterator[Entry]:
    """Yield the entries of the list at `path`, a file. In a `labelled` list, an entry without a label has a fault.

    Raises:
        UsageError: it cannot be read, is no list, or names no targets or labels in a way that is known.
    """
    try:
        stream = open(path, "rb")  # noqa: SIM115 - closed below; only its own errors are caught here
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
    with stream:
        yield from _entries(stream, path, labelled=labelled)


def _entries_of_object(url: str, storage: Storage | None) -> Iterator[Entry]:
    from birdlite.storage.store import Storage

    try:
        yield from _entries((storage or Storage()).open(url), url)
    except StorageError as error:
        message = f"{url}: the list cannot be read: {error}"
        if error.cause in ("no_object", "no_bucket") or error.kind == "unsupported":
            raise UsageError(message) from error
        raise StorageError(error.kind, message, error.cause, temporary=error.temporary) from error


def _entries(stream: BinaryIO | ObjectStream | Ahead, name: str, *, labelled: bool = False) -> Iterator[Entry]:
    text = ListText(stream, name)
    kind = _kind(text, name)
    if kind == "csv":
        from birdlite.targets.list_csv import Table

        return iter(Table(text, name, labelled=labelled))
    if kind == "json":
        from birdlite.targets.list_json import Document

        return iter(Document(text, name, labelled=labelled))
    if kind == "jsonl":
        return _jsonl(text.lines(), labelled=labelled)
    if labelled and text.first:
        raise UsageError(
            f"{name}: no column {LABEL}: give a csv of path,{LABEL}; its first line is {one_line(text.first)}"
        )
    return _text(text.lines(), exact=text.exact)


def _kind(text: ListText, name: str) -> ListKind:
    """The format, by the first line that is not blank and then by the suffix of the list's name."""
    first, suffix = text.first, os.path.splitext(name.lower().removesuffix(".gz"))[1]
    if text.exact or not first:
        return "text"
    if re.match(r'\[\s*(?:$|["{\]])', first):
        return "json"
    if first.startswith("{"):
        return _kind_of_object(first)
    if _SUFFIXES.get(suffix) == "csv" or re.match(r'"?sep=|#TYPE ', first, re.IGNORECASE):
        return "csv"
    if first.startswith('"') and suffix != ".txt" and _is_json_string(first):
        return "jsonl"
    cells = divided(first)
    is_header = bool(Fields(cells)) and not any(map(is_named, cells))  # `Image, 1.jpg` is a name
    if is_header and (len(cells) > 1 or (suffix != ".txt" and Fields(cells).ours)):
        return "csv"
    return "jsonl" if _SUFFIXES.get(suffix) == "jsonl" and first[0] in '{["' else "text"


def _kind_of_object(first: str) -> ListKind:
    """JSON lines begin with a whole object that names a target; a document with one that is not whole or has a list."""
    from birdlite.targets.list_json import DECODER, LISTS

    try:
        value = DECODER.decode(first)
    except (ValueError, RecursionError):
        return "json" if len(first) > LINE_LIMIT or re.match(_OPEN_DOCUMENT, first) else "jsonl"
    lists = [key for key in LISTS if isinstance(value.get(key), list)]
    return "json" if lists and field_of(value) is None else "jsonl"


def _is_json_string(line: str) -> bool:
    """Whether a line is a string of JSON: not a path of Windows in quotes, whose backslashes mean something else."""
    import json

    try:
        value = json.loads(line)
    except ValueError:
        return False
    return isinstance(value, str) and value.isprintable()


def _text(lines: NumberedLines, *, exact: bool) -> Iterator[Entry]:
    """A target in each line; `exact` ones were divided by NUL, as `find -print0` does."""
    for number, line in lines:
        if line is None:
            yield number, "", "", TOO_LONG
        elif exact:
            if line:
                yield number, line, "", ""
        elif (target := line.strip()) and not target.startswith("#"):
            if target[0] in _QUOTES and len(target) > 2 and target[-1] == _QUOTES[target[0]]:
                target = target[1:-1]  # "Copy as path" in Windows, or a shell's
            yield number, target, "", ""


def _jsonl(lines: NumberedLines, *, labelled: bool) -> Iterator[Entry]:
    from birdlite.targets.list_json import DECODER

    for number, line in lines:
        if line is None:
            yield number, "", "", TOO_LONG
        if not line or not line.strip():
            continue
        try:
            value: object = DECODER.decode(line)
        except (ValueError, RecursionError):
            yield number, "", "", "not JSON"
            continue
        if isinstance(value, dict) and value.keys() == {"birdlite_run"}:
            continue  # the header of a part
        target = field_of(value)
        label = value.get(LABEL) if isinstance(value, dict) else None
        if target is None:
            yield number, "", "", FAULT
        elif labelled and not (isinstance(label, str) and label):
            yield number, "", "", lacking(LABEL)
        else:
            yield number, target, label if isinstance(label, str) else "", ""
