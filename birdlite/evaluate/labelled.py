"""Pictures with the species that they show: a folder of folders named by species, or a CSV file.

    folder   each subfolder is a label, and all pictures in and below it have it; pictures beside the subfolders have no
             label and are left out, with a warning, and so are subfolders without pictures
    CSV      a header with a column `label`, and one of `url`, `path` or `target`, in any case and any order; divided by
             comma, semicolon or tab. Relative paths are relative to the current folder, as in the lists of `classify`

A source is read as often as it is asked for, once for each model to be measured, and never held in memory. That is why
a CSV file must be a regular file.
"""

from __future__ import annotations

import codecs
import csv
import os
from collections.abc import Iterator
from typing import NamedTuple, Protocol, TextIO

from birdlite import log
from birdlite.errors import UsageError
from birdlite.local_file import reason
from birdlite.targets import BadTarget, Target
from birdlite.targets.expand import SUFFIXES, pictures_in, single
from birdlite.targets.list_file import LINE_LIMIT, delimiter, first_filled, target_columns

LABEL_COLUMN = "label"

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Label(NamedTuple):
    """The name of a species as the user wrote it."""

    text: str
    place: str  # where it stands, for messages: a folder, or a file and line


class Picture(NamedTuple):
    """One labelled picture."""

    target: Target | BadTarget
    label: Label


class Source(Protocol):
    """Labelled pictures that can be gone through again and again."""

    def labels(self) -> Iterator[Label]:
        """Yield the labels, each at least once, without touching the pictures."""

    def pictures(self) -> Iterator[Picture]:
        """Yield all pictures, in the same order each time."""


def open_source(path: str) -> Source:
    """Labelled pictures at `path`.

    Raises:
        UsageError: there is nothing there that can be read, or not one labelled picture.
    """
    source: Source
    if os.path.isdir(path):
        source = _Folders(path)
    elif os.path.isfile(path):
        source = _Table(path)
        if next(source.labels(), None) is None:
            raise UsageError(f"{path}: no pictures in this list")
    else:
        wrong = "neither a folder nor a regular file" if os.path.exists(path) else "no such file or folder"
        raise UsageError(f"{path}: {wrong}: give a folder of folders named by species, or a csv of path,label")
    return source


class _Folders:
    """A folder whose subfolders are named by species."""

    def __init__(self, folder: str) -> None:
        self._labels: list[Label] = []  # the place of each is its folder
        unlabelled = False
        try:
            names = sorted(os.listdir(folder))
        except OSError as error:
            raise UsageError(f"{folder}: {reason(error)}") from None
        for name in names:
            path = os.path.join(folder, name)
            if name.startswith("."):
                continue
            if not os.path.isdir(path):
                unlabelled |= os.path.splitext(name)[1].lower() in SUFFIXES
            elif _is_empty(path):
                log.warning(f"{path}: no pictures in this folder; left out")
            else:
                self._labels.append(Label(name, path))
        if not self._labels:
            raise UsageError(f"{folder}: no pictures in folders named by species")
        if unlabelled:
            log.warning(f"{folder}: pictures directly in this folder have no label; left out")

    def labels(self) -> Iterator[Label]:
        return iter(self._labels)

    def pictures(self) -> Iterator[Picture]:
        found = ((*one, label) for label in self._labels for one in pictures_in(label.place))
        for index, (path, failure, label) in enumerate(found):
            target = Target(path, "file", path, index) if failure is None else BadTarget(path, failure, index)
            yield Picture(target, label)


def _is_empty(folder: str) -> bool:
    """Whether there is no picture, as against one that cannot be read: that is the failure of a target, told later."""
    failure = next(pictures_in(folder))[1]
    return failure is not None and failure.kind == "not_found"


class _Table:
    """A CSV file of targets and labels."""

    def __init__(self, path: str) -> None:
        self._path = path

    def labels(self) -> Iterator[Label]:
        return (label for _, label in self._rows())

    def pictures(self) -> Iterator[Picture]:
        for index, (target, label) in enumerate(self._rows()):
            yield Picture(single(target, index), label)

    def _rows(self) -> Iterator[tuple[str, Label]]:
        """Yield target and label of each row that is not blank.

        Raises:
            UsageError: the file cannot be read, or a row lacks either. A guess would spoil the figures unseen.
        """
        columns: tuple[list[int], int] | None = None
        for number, row in self._cells():
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if columns is None:
                columns = self._columns(cells)
                continue
            targets, at = columns
            target = first_filled(cells, targets)
            label = cells[at] if at < len(cells) else ""
            place = f"{self._path}:{number}"
            if not target or not label:
                raise UsageError(f"{place}: no {'label' if target else 'url, path or target'} in this row")
            yield target, Label(label, place)

    def _columns(self, header: list[str]) -> tuple[list[int], int]:
        """Where the targets may stand, in the order of COLUMNS, and where the label stands."""
        known = [cell.lower() for cell in header]
        targets = target_columns(header)
        if not targets or LABEL_COLUMN not in known:
            lacking = "label" if targets else "url, path or target"
            raise UsageError(f"{self._path}: no column {lacking}; found: {', '.join(header)[:500]}")
        return targets, known.index(LABEL_COLUMN)

    def _cells(self) -> Iterator[tuple[int, list[str]]]:
        """Yield line numbers and rows; no more than one line is ever in memory."""
        try:
            with open(self._path, "rb") as file:
                wide = file.read(2) in _UTF_16
            encoding, errors = ("utf-16", "replace") if wide else ("utf-8-sig", "surrogateescape")
            with open(self._path, encoding=encoding, errors=errors, newline="") as text:
                header = text.readline(LINE_LIMIT)
                text.seek(0)
                rows = csv.reader(self._lines(text), delimiter=delimiter(header))
                for row in rows:
                    yield rows.line_num, row
        except OSError as error:
            raise UsageError(f"{self._path}: the list cannot be read: {reason(error)}") from None
        except csv.Error as error:
            raise UsageError(f"{self._path}: not CSV: {error}") from None

    def _lines(self, text: TextIO) -> Iterator[str]:
        number = 0
        while line := text.readline(LINE_LIMIT):
            number += 1
            if len(line) == LINE_LIMIT and not line.endswith("\n"):
                raise UsageError(f"{self._path}:{number}: longer than {LINE_LIMIT} characters")
            yield line
