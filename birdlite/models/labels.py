"""The names of a model's outputs, from its label map and its list of common names; `top_k` names a picture's best.

Labels are keyed by id. The birds label map has `964,background` as its first data row, then 0, 1, …: read in row order,
as published programs do, it gives every bird its neighbour's name. So the ids must be exactly 0..n-1, in any order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import nlargest

from birdlite import log
from birdlite.errors import InvalidModel, one_line
from birdlite.models.card import read_file
from birdlite.namedtuple import NamedTuple
from birdlite.results import Prediction

LABELS_MAX_BYTES = 16 * 1024 * 1024  # 700 times the birds label map; bounds what a wrong URL can make us hold
NAME_MAX_CHARACTERS = 1000  # of a label


class Labels(NamedTuple):
    """Names by id, so by position in the model's output."""

    names: tuple[str, ...]  # scientific
    common: tuple[str | None, ...]  # None where a species has none, or no list was given


def top_k(scores: Sequence[float], labels: Labels, k: int, min_score: float) -> tuple[Prediction, ...]:
    """At most `k` predictions of at least `min_score`, best first. Equal scores come in the order of their ids.

    The uint8 model's scores are multiples of 1/256, so ties are common and need a rule that never changes.
    """
    best = nlargest(k, range(len(scores)), key=scores.__getitem__)  # stable: equal to sorted(reverse=True)[:k]
    return tuple(
        Prediction(rank, key, labels.names[key], scores[key], labels.common[key])
        for rank, key in enumerate(best, start=1)
        if scores[key] >= min_score
    )


def read_labels(label_map: bytes, common_names: bytes | None, classes: int) -> Labels:
    """Read a label map (CSV, header `id,name`) and, where there is one, its list of common names.

    Raises:
        InvalidModel: the ids are not exactly 0..classes-1, or the two files do not name the same species.
    """
    names = _read_label_map(label_map, classes)
    if common_names is None:
        return Labels(names, (None,) * classes)
    return Labels(names, _read_common_names(common_names, names))


def _read_label_map(data: bytes, classes: int) -> tuple[str, ...]:
    rows = _rows(_text(data, "label map"))
    if [cell.strip().lower() for cell in next(rows, (0, []))[1]] != ["id", "name"]:
        raise InvalidModel("label map: the first line must be `id,name`")
    names: dict[int, str] = {}
    for line, row in rows:
        if not row:
            continue
        if len(row) != 2 or not row[1].strip():
            raise InvalidModel(f"label map, line {line}: expected an id and a name")
        if not (row[0].isascii() and row[0].isdigit()):
            raise InvalidModel(f"label map, line {line}: the id {row[0][:40]!r} is not a whole number")
        key = int(row[0]) if len(row[0]) < 10 else classes
        if key >= classes:
            raise InvalidModel(f"label map, line {line}: id {row[0][:40]}, but the model has {classes} outputs")
        if key in names:
            raise InvalidModel(f"label map, line {line}: id {key} appears twice")
        names[key] = name = row[1].strip()
        if len(name) > NAME_MAX_CHARACTERS:
            raise InvalidModel(f"label map, line {line}: {name[:40]!r}… is too long for a name")
    if len(names) != classes:
        missing = next(key for key in range(classes) if key not in names)
        raise InvalidModel(
            f"label map: {log.counted(len(names), 'label')} for a model with {classes} outputs; the first missing"
            f" id is {missing}"
        )
    return tuple(names[key] for key in range(classes))


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV file, and the line on which each ends, from 1. Only quoted cells take the `csv` module."""
    if '"' in text:
        import csv
        import io

        reader = csv.reader(io.StringIO(text, newline=""))
        try:
            for row in reader:
                if any("\n" in cell or "\r" in cell for cell in row):
                    raise InvalidModel(f"label map, line {reader.line_num}: a cell of several lines; a quote too many?")
                yield reader.line_num, row
        except csv.Error as error:  # a cell of more than 131,072 characters
            raise InvalidModel(f"label map, line {reader.line_num}: {one_line(error)}") from None
        return
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for number, line in enumerate(lines, start=1):
        yield number, line.split(",") if line else []


def _read_common_names(data: bytes, names: tuple[str, ...]) -> tuple[str | None, ...]:
    """Read lines of `Scientific (Common)`, in id order. The birds list spells `×` in hybrids as an escape."""
    lines = _text(data, "list of common names").replace("\\xd7", "×").splitlines()
    if len(lines) != len(names):
        raise InvalidModel(
            f"list of common names: {log.counted(len(lines), 'line')} for {log.counted(len(names), 'label')}"
        )
    common: list[str | None] = []
    for key, (line, name) in enumerate(zip(lines, names, strict=True)):
        scientific, bracket, rest = line.strip().partition(" (")
        if scientific != name or (bracket and not rest.endswith(")")):
            raise InvalidModel(f"list of common names, line {key + 1}: {line[:60]!r} is not about {name!r}")
        common.append(rest[:-1] if bracket else None)
    return tuple(common)


def _text(data: bytes, what: str) -> str:
    try:
        return data.removeprefix(b"\xef\xbb\xbf").decode()  # a byte order mark, as spreadsheets write it
    except UnicodeDecodeError as error:
        raise InvalidModel(f"{what}: not UTF-8 (byte {error.start})") from None


def read_label_file(path: str, classes: int) -> Labels:
    """The label map in a file of the user's.

    Raises:
        InvalidModel: it cannot be read, or does not fit a model with so many classes.
    """
    data = read_file(path, LABELS_MAX_BYTES, "a label map")
    try:
        return read_labels(data, None, classes)
    except InvalidModel as error:
        raise InvalidModel(f"{path}: {error}") from None
