"""Folders and patterns into the paths of pictures, one after the other. `expand` and `evaluate` call it.

Order: in each folder first its pictures, then its subfolders, both by name in code-point order. In memory are only the
names of one folder, and the folders that are still to be read.

Inside a folder, names that begin with a dot are skipped, and links to other folders too, so that nothing is visited
twice. Links to pictures are followed. The folder that the user named may begin with a dot or be a link.

A pattern is one of the standard library's `glob`, with `**` for any number of folders. Its matches are taken as if the
user had typed them, in code-point order: a file with any suffix is a target, and a folder is searched.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from birdlite.results import Failure
from birdlite.targets.target import Found, path_failure

SUFFIXES = frozenset((".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff"))


def pictures_in(folder: str) -> Iterator[Found]:
    """Every picture in `folder` and below, by suffix. A folder that cannot be read is a failure."""
    empty = True
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        try:
            names, folders = _list(here)
        except OSError as error:
            empty = False
            yield here, path_failure(here, error)
            continue
        for name in names:
            empty = False
            yield os.path.join(here, name), None
        waiting.extend(os.path.join(here, name) for name in reversed(folders))
    if empty:
        yield folder, Failure("not_found", f"{folder}: no pictures in this folder")


def is_pattern(name: str) -> bool:
    """Whether `name` has a character of patterns."""
    return "*" in name or "?" in name or "[" in name


def pictures_matching(pattern: str) -> Iterator[Found]:
    """Every file that `pattern` matches, and every picture in the folders that it matches; no file twice."""
    from glob import glob

    try:
        matches = sorted(glob(pattern, recursive=True))
    except ValueError:
        matches = []  # the pattern has a NUL, which no name has
    seen: set[str] = set()  # real paths: `**` follows links, so a circle of links leads to one file many times
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
                names.append(entry.name)  # a broken link too: the user should know of it
    return sorted(names), sorted(folders)
