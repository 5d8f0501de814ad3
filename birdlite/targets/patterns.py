"""Patterns of names, which shells call globs: `folders` finds pictures with them, `batch.files` outputs.

A pattern is one of the standard library's `glob`. But `**`, any number of folders, is walked here, because `glob`
follows links to folders there, and does not end where such links lead in circles. As in a folder that is searched,
these links are left out and each folder is visited once. A link that the pattern names, or `*` matches, is followed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator

_ANY_FOLDERS = re.compile(r"(?:^|(?<=/))\*\*(?:/+|$)")


def is_pattern(name: str) -> bool:
    """Whether `name` has a character of patterns."""
    return "*" in name or "?" in name or "[" in name


def matching(pattern: str, linked: set[str] | None = None) -> list[str]:
    """The files and folders that `pattern` matches, in code-point order.

    `linked` gets the links to folders that are left out here; not those in a folder that matches.
    """
    from glob import escape, glob

    linked = set() if linked is None else linked
    *heads, last = _ANY_FOLDERS.split(pattern)
    starts: list[str] = []
    folders = [""]  # each is empty, which is the current folder, or ends with a slash
    try:
        for head in heads:
            if head:
                folders = [one.rstrip("/") + "/" for folder in folders for one in glob(escape(folder) + head)]
            starts = sorted(folders)
            folders = [*_walk(starts, linked)]
        if heads and not last:
            found = [*filter(None, _all_in(folders, {*starts}, files=not pattern.endswith("/")))]
        else:
            found = [one for folder in folders for one in glob(escape(folder) + last)]
    except ValueError:
        return []  # the pattern has a NUL, which no name has
    linked.difference_update(_with_parents(found))
    bare = {one.rstrip("/") for one in found}
    linked.intersection_update([link for link in linked if bare.isdisjoint(_with_parents([link]))])
    return sorted(found)


def leads_to_folder(link: os.DirEntry[str]) -> bool:
    """Whether a link leads to a folder that can be seen."""
    try:
        return link.is_dir()
    except OSError:  # back to itself, or to where we may not look
        return False


def _walk(starts: list[str], linked: set[str]) -> Iterator[str]:
    """Each folder of `starts` and all below them, without hidden ones and links, once each."""
    seen: set[tuple[int, int]] = set()
    waiting = starts[::-1]
    while waiting:
        folder = waiting.pop()
        try:
            facts = os.stat(folder or ".")
        except OSError:
            continue
        if (facts.st_dev, facts.st_ino) in seen:
            continue
        seen.add((facts.st_dev, facts.st_ino))
        yield folder
        for entry in _entries(folder):
            if entry.is_dir(follow_symlinks=False):
                waiting.append(f"{folder}{entry.name}/")
            elif entry.is_symlink() and leads_to_folder(entry):
                linked.add(folder + entry.name)


def _all_in(folders: list[str], starts: set[str], *, files: bool) -> Iterator[str]:
    """The folders, and the files directly in them, as `glob` spells them."""
    for folder in folders:
        yield folder if folder in starts or not files else folder.rstrip("/")
        if files:
            yield from (folder + entry.name for entry in _entries(folder) if not leads_to_folder(entry))


def _entries(folder: str) -> list[os.DirEntry[str]]:
    """What is directly in a folder and is not hidden; nothing if it cannot be read."""
    try:
        with os.scandir(folder or ".") as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except OSError:
        return []


def _with_parents(paths: Iterable[str]) -> set[str]:
    """The paths, and the folders that they are in."""
    all_: set[str] = set()
    for path in paths:
        rest = path.rstrip("/")
        while rest and rest not in all_:
            all_.add(rest)
            rest = rest.rpartition("/")[0]
    return all_
