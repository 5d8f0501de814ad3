"""Pictures with the species that they show: a folder of folders named by species, or a list.

    folder   each subfolder is a label, and all pictures in and below it have it; pictures beside the subfolders have no
             label and are left out, with a warning, and so are subfolders without pictures
    list     one of the lists that `classify` reads (`targets.list_file`), with a column or field `label`; but here any
             fault ends the run

A source is read as often as it is asked for, once for each model to be measured, and never held in memory. That is why
a list must be a regular file.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from birdlite import log
from birdlite.errors import UsageError
from birdlite.local_file import reason
from birdlite.targets import BadTarget, Target
from birdlite.targets.expand import listed
from birdlite.targets.folders import SUFFIXES, SYSTEM_FOLDERS, described, pictures_in
from birdlite.targets.list_file import entries_of


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
        source = _List(path)
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
            if name.startswith(".") or name.lower() in SYSTEM_FOLDERS:
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
        skipped: Counter[str] = Counter()
        found = ((*one, label) for label in self._labels for one in pictures_in(label.place, skipped))
        for index, (path, failure, label) in enumerate(found):
            target = Target(path, "file", path, index) if failure is None else BadTarget(path, failure, index)
            yield Picture(target, label)
        if skipped:
            log.info(f"not read, in folders: {described(skipped, on_terminal=True)}")


def _is_empty(folder: str) -> bool:
    """Whether there is no picture, as against one that cannot be read: that is the failure of a target, told later."""
    failure = next(pictures_in(folder))[1]
    return failure is not None and failure.kind == "not_found"


class _List:
    """A file of targets and labels."""

    def __init__(self, path: str) -> None:
        self._path = path

    def labels(self) -> Iterator[Label]:
        return (label for _, label in self._rows())

    def pictures(self) -> Iterator[Picture]:
        for index, (target, label) in enumerate(self._rows()):
            yield Picture(listed(target, index), label)

    def _rows(self) -> Iterator[tuple[str, Label]]:
        """Yield target and label of each entry.

        Raises:
            UsageError: the file cannot be read, or an entry has a fault. A guess would spoil the figures unseen.
        """
        for number, target, label, fault in entries_of(self._path, labelled=True):
            place = f"{self._path}:{number}"
            if fault:
                raise UsageError(f"{place}: {fault}")
            yield target, Label(label, place)
