"""The pictures in folders and of patterns, found lazily; what is left out is counted. `expand` and `evaluate` call it.

Of a folder first its pictures are given, then its subfolders, both by name in code-point order. In memory are only the
names of one folder, and the folders that are still to be read. Inside a folder, names that begin with a dot are
skipped, the folders in which other programs keep thumbnails and deleted files (`SYSTEM_FOLDERS`), and links to other
folders, so that nothing is visited twice. Links to pictures are followed. The folder that the user named may have any
name, or be a link.

The matches of a pattern (`patterns`) are taken as if the user had typed them, in code-point order: a file with any
suffix is a target, and a folder is searched.
"""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, TypeAlias

from birdlite import log
from birdlite.errors import installing
from birdlite.results import Failure
from birdlite.targets import Found, path_failure
from birdlite.targets.patterns import leads_to_folder, matching

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

_JPEG = (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo")  # mpo: of stereo cameras, a JPEG with another one behind it
_HEIC = (".heic", ".heif", ".hif")
SUFFIXES = frozenset((*_JPEG, *_HEIC, ".png", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".avif"))

_OF_NAS = ("@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot")  # Synology, QNAP
_OF_SYSTEMS = ("$recycle.bin", "recycler", "system volume information", "__macosx", "lost+found")
SYSTEM_FOLDERS = frozenset((*_OF_NAS, *_OF_SYSTEMS))
"""In lower case. Those that are not here begin with a dot."""

_NEEDS_EXTRA = "HEIC"
_SKIPPED = {
    "raw": ".3fr .arw .cr2 .cr3 .crw .dng .erf .iiq .mrw .nef .nrw .orf .pef .raf .raw .rw2 .rwl .sr2 .srf .srw .x3f",
    "video": ".3gp .avi .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .webm .wmv",
    "other picture": ".ico .jp2 .jxl .psd .svg .xcf",
}
_KIND_OF = {suffix: kind for kind, suffixes in _SKIPPED.items() for suffix in suffixes.split()}


def described(skipped: Mapping[str, int], *, on_terminal: bool = False) -> str:
    """What was left out, for people: `12 HEIC files (needs the extra heif), 1 linked folder and 1 raw file`.

    Only a terminal is told the command that reads HEIC: it names folders of this machine, and pages and results are
    passed on.
    """
    parts = []
    for kind, count in sorted(skipped.items()):
        noun = kind if kind.endswith("folder") else f"{kind} file"
        hint = f" ({installing('heif') if on_terminal else 'needs the extra heif'})" if kind == _NEEDS_EXTRA else ""
        parts.append(log.counted(count, noun) + hint)
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1]))) if parts else ""


Scan: TypeAlias = "Callable[[str], AbstractContextManager[Iterator[os.DirEntry[str]]]]"
"""Gives what is directly in a folder, as `os.scandir` does."""


def pictures_in(folder: str, skipped: Counter[str] | None = None, scan: Scan = os.scandir) -> Iterator[Found]:
    """Every picture in `folder` and below, by suffix. A folder that cannot be read is a failure."""
    skipped = Counter() if skipped is None else skipped
    before = Counter(skipped)
    empty = True
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        try:
            names, folders = _list(here, skipped, scan)
        except OSError as error:
            empty = False
            yield here, path_failure(here, error)
            continue
        for name in names:
            empty = False
            yield os.path.join(here, name), None
        waiting.extend(os.path.join(here, name) for name in reversed(folders))
    if empty:
        others = described(skipped - before)
        but = f", but {others}" if others else ""
        yield folder, Failure("not_found", f"{folder}: no pictures in this folder{but}")


def is_picture(name: str, skipped: Counter[str]) -> bool:
    """Whether the suffix of `name` is one of pictures that birdlite reads here. What it skips is counted."""
    suffix = os.path.splitext(name)[1].lower()
    if suffix in _HEIC and not _reads_heic():
        skipped[_NEEDS_EXTRA] += 1
        return False
    if suffix in _KIND_OF:
        skipped[_KIND_OF[suffix]] += 1
    return suffix in SUFFIXES


def has_suffix_of_picture(name: str) -> bool:
    """Whether the suffix of `name` is one of pictures, raw files or videos, whether or not birdlite reads them."""
    suffix = os.path.splitext(name)[1].lower()
    return suffix in SUFFIXES or suffix in _KIND_OF


def is_stored_picture(rest: str, skipped: Counter[str]) -> bool:
    """As `is_picture`, for an object whose key below the folder is `rest`."""
    folders = rest.lower().split("/")[:-1]
    return SYSTEM_FOLDERS.isdisjoint(folders) and is_picture(rest, skipped)


@functools.cache
def _reads_heic() -> bool:
    """Whether the extra `heif` is installed."""
    from importlib.util import find_spec

    return find_spec("pi_heif") is not None


def pictures_matching(pattern: str, skipped: Counter[str] | None = None) -> Iterator[Found]:
    """Every file that `pattern` matches, and every picture in the folders that it matches; no file twice."""
    linked: set[str] = set()
    matches = [path for path in matching(pattern, linked) if not _is_of_system(path, pattern)]
    left_out = sum(not _is_of_system(link, pattern) for link in linked)
    if skipped is not None and left_out:
        skipped["linked folder"] += left_out
    seen: set[str] = set()  # real paths: a link and its file, or a file and a folder that it is in, may both match
    for path in matches:
        for name, failure in pictures_in(path, skipped) if os.path.isdir(path) else ((path, None),):
            real = os.path.realpath(name)
            if real not in seen:
                seen.add(real)
                yield name, failure
    if not matches:
        yield pattern, Failure("not_found", f"{pattern}: no such file, and nothing matches it as a pattern")


def _is_of_system(path: str, pattern: str) -> bool:
    """Whether a match is in a folder of the system that the pattern does not name."""
    return not SYSTEM_FOLDERS.isdisjoint({*path.lower().split("/")} - {*pattern.lower().split("/")})


def _list(folder: str, skipped: Counter[str], scan: Scan) -> tuple[list[str], list[str]]:
    """Sorted names of the pictures and of the subfolders directly in `folder`."""
    names: list[str] = []
    folders: list[str] = []
    with scan(folder) as entries:
        for entry in entries:
            name = entry.name
            if name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                if name.lower() not in SYSTEM_FOLDERS:
                    folders.append(name)
                continue
            if entry.is_symlink() and leads_to_folder(entry):
                skipped["linked folder"] += 1
            elif is_picture(name, skipped):
                names.append(name)  # a broken link too: the user should know of it
    return sorted(names), sorted(folders)
