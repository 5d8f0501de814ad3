"""What to classify: URLs, files, folders, patterns and lists into a lazy stream of targets, for the pipeline.

expand       makes the targets, with the help of all others
from_python  what a Python program gives: names, bytes, files, images, arrays
folders      pictures in folders and of patterns, which `patterns` finds
second_look  paths as other machines and programs write them
list_rules   what lists may name, if they come from strangers
standard_input  a list or a picture on standard input
list_file    lists, by `list_csv`, `list_json`, `list_fields` (names of columns) and `list_text` (bytes into lines)
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from birdlite.local_file import picture_error
from birdlite.namedtuple import NamedTuple
from birdlite.results import Failure


class Target(NamedTuple):
    """One picture to read."""

    name: str  # as the user gave it, or the path found for it
    kind: Literal["url", "file", "object"]
    location: str  # an absolute http(s) URL without fragment, in ASCII except for its host; a path; or a storage URL
    index: int = 0  # type: ignore[assignment]  # position among all targets of the list, from 0; hides tuple.index
    data: bytes | None = None  # the picture's file itself, if it came on standard input or from a Python program
    image: object = None  # a PIL image or an RGB array instead (`images.opened`), from a Python program
    inside: str | None = None  # a folder: without following a link, `location` is a file below it (`list_rules`)


class BadTarget(NamedTuple):
    """A name that leads to no picture. It gets a result like every other target."""

    name: str
    failure: Failure
    index: int = 0  # type: ignore[assignment]  # as in Target


Found: TypeAlias = "tuple[str, Failure | None]"
"""A path or URL and None; or a name for the user, and why there is no picture."""


def path_failure(name: str, error: OSError | ValueError) -> Failure:
    """The failure of a target whose path gives an error of the operating system; `name` is what the user calls it."""
    picture = picture_error(error)
    return Failure(picture.kind, f"{name}: {picture}")
