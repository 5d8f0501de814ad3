"""Folders and patterns into the paths of pictures, one after the other. Called by `targets`.

Order: in each folder first its pictures, then its subfolders, both by name in code-point order. Only one folder's names
are in memory at a time, beside the folders still to be looked at.

Left out inside a folder: names that begin with a dot, and links to other folders (so nothing is visited twice, and no
circle of links can be entered). Links to pictures are followed. The folder that the user named may be either.

A pattern is what `glob` in the standard library takes for one, with `**` for any number of folders. What it matches is
taken as if it had been typed, in code-point order: a file of any suffix is a target, a folder is searched.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from birdlite.local_file import picture_error
from birdlite.results import Failure

SUFFIXES = frozenset((".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff"))

Found = tuple[str, "Failure | None"]
"""A path to a picture and None; or a name for the user and why there is no picture there."""


def failed(name: str, error: OSError | ValueError) -> Failure:
    """The failure of a target whose path gives an error of the operating system."""
    picture = picture_error(error)
    return Failure(picture.kind, f"{name}: {picture}")


def pictures_in(folder: str) -> Iterator[Found]:
    """Every picture in `folder` and below, by suffix; a folder that cannot be read is a failure of its own."""
    empty = True
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        try:
            names, folders = _list(here)
        except OSError as error:
            empty = False
            yield here, failed(here, error)
            continue
        for name in names:
            empty = False
            yield os.path.join(here, name), None
        waiting.extend(os.path.join(here, name) for name in reversed(folders))
    if empty:
        yield folder, Failure("not_found", f"{folder}: no pictures in this folder")


def is_pattern(name: str) -> bool:
    """Whether `name` can stand for other names than its own."""
    return "*" in name or "?" in name or "[" in name


def pictures_matching(pattern: str) -> Iterator[Found]:
    """Every file that `pattern` matches, and every picture in the folders that it matches; no file twice."""
    from glob import glob

    try:
        matches = sorted(glob(pattern, recursive=True))
    except ValueError:
        matches = []  # a NUL, which no name has
    seen: set[str] = set()  # real paths: `**` follows links, and a circle of them leads to one file many times
    for path in matches:
        for name, failure in pictures_in(path) if os.path.isdir(path) else ((path, None),):
            real = os.path.realpath(name)
            if real not in seen:
                seen.add(real)
                yield name, failure
    if not matches:
        yield pattern, Failure("not_found", f"{pattern}: no such file, and nothing matches it as a pattern")


def _list(folder: str) -> tuple[list[str], list[str]]:
    """Sorted names of the pictures and of the subfolders directly in `folder`."""
    names: list[str] = []
    folders: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
            elif os.path.splitext(entry.name)[1].lower() in SUFFIXES:
                names.append(entry.name)  # also when it is a broken link: the user should hear of it
    return sorted(names), sorted(folders)
