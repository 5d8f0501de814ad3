"""Where the entries of a list have their target: names of columns in CSV, and of fields in JSON.

`url`, `path` and `target` are birdlite's own names. If a list has none of them, the names that other programs use for
the path or address of a picture count (`OTHERS`): spreadsheets, exiftool, and the tools for camera traps, such as
SpeciesNet, MegaDetector, Camtrap DP, camtrapR and Timelapse. The last two have the folder in a column of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from birdlite.targets.folders import has_suffix_of_picture

COLUMNS = ("url", "path", "target")
OTHERS = (
    *("filepath", "fullname", "fullpath", "sourcefile", "imagepath", "imgpath", "photopath"),
    *("imageurl", "photourl", "fileurl", "accessuri", "uri", "link"),
    *("file", "filename", "imagefile", "imagename", "image", "photo", "picture", "relativepath"),
)
LABEL = "label"

_NAMES = frozenset(("file", "filename", "imagefile", "imagename", "image"))  # perhaps without their folder
_FOLDERS = ("relativepath", "directory", "folder")

FAULT = "neither a string nor an object with a string as url, path or target"

Entry: TypeAlias = "tuple[int, str, str, str]"
"""The number of its line, or of the entry in a JSON document; target; label; and what is wrong with it, if anything."""


def lacking(what: str) -> str:
    """What is wrong with a row that lacks its target or its label."""
    return f"no {what} in this row"


def divided(line: str) -> list[str]:
    """The cells of a header, without quotes."""
    return [cell.strip(' "') for cell in line.split(delimiter(line))]


def is_named(cell: str) -> bool:
    """Whether a cell is surely a picture, and so no name of a column: a URL, or with a picture's suffix."""
    return "://" in cell or has_suffix_of_picture(cell)


def delimiter(header: str) -> str:
    """The most frequent of the usual ones in a CSV header; a comma for a single column."""
    return max(",;\t|", key=header.count)


def plain(name: str) -> str:
    """A name of a column without what people write in different ways: `Image_Path` is `imagepath`."""
    return name.lower().replace(" ", "").replace("_", "").replace("-", "")


class Fields:
    """The columns of targets in a header. False if there are none."""

    def __init__(self, header: Sequence[str]) -> None:
        """Find them by their names, in any case."""
        known = [cell.lower() for cell in header]
        names = [plain(cell) for cell in header]
        self.ours = any(name in known for name in COLUMNS)
        self._columns = [known.index(name) for name in COLUMNS if name in known]
        self._folder: int | None = None
        if not self.ours:
            self._columns = [names.index(name) for name in OTHERS if name in names]
            folders = [names.index(name) for name in _FOLDERS if name in names]
            if self._columns and folders and names[self._columns[0]] in _NAMES:
                self._folder = folders[0]
        self.label = known.index(LABEL) if LABEL in known else None

    def __bool__(self) -> bool:
        return bool(self._columns)

    def target(self, cells: Sequence[str]) -> str:
        """The first cell of a row, in the order of the names, that exists and is not empty."""
        target = ""
        for at in self._columns:
            if at < len(cells) and cells[at]:
                target = cells[at]
                break
        return target if self._folder is None else _in_folder(target, cells, self._folder)


def _in_folder(target: str, cells: Sequence[str], at: int) -> str:
    if not target or at >= len(cells) or not cells[at] or "://" in target:
        return target
    folder = cells[at].rstrip("/\\")
    return target if target.startswith(folder) else f"{folder}/{target}"


def field_of(value: object) -> str | None:
    """The target of an entry in JSON: a string, or an object with a field of targets; None if it has none."""
    if isinstance(value, dict):
        own = value.get("url") or value.get("path") or value.get("target")
        if not own and value.keys().isdisjoint(COLUMNS):
            texts = {key: one for key, one in value.items() if isinstance(one, str)}
            own = Fields([*texts]).target([*texts.values()])
        value = own
    return value if isinstance(value, str) and value else None
