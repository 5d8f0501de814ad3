"""Parts where they are, in files or in object storage: found, and read from the beginning. Only this room knows which.

Neither is kept open between two blocks, so that any number of parts can be read at once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from birdlite.errors import PartsError, StorageError, UsageError
from birdlite.local_file import reason
from birdlite.storage.address import is_storage
from birdlite.targets.folders import is_pattern

if TYPE_CHECKING:
    from birdlite.storage.store import Storage

BLOCK = 1 << 15  # bytes of each part in memory, and what is left of a line
OBJECTS = 1 << 25  # bytes in memory of all objects that are read at once; a request takes as long for few as for many
SUFFIX = ".jsonl"


def outputs_at(place: str, storage: Storage | None = None) -> list[str]:
    """The outputs that an argument names: a file, a folder's `*.jsonl`, or what a pattern matches, by name.

    An empty folder and a pattern without matches name none: so it is before the first run. In object storage a folder
    ends with a slash, and a pattern is one for names in a folder.

    Raises:
        UsageError: there is no such file or folder.
        StorageError: object storage refuses or cannot be reached.
    """
    if is_storage(place):
        return _objects_at(place, storage)
    if os.path.isdir(place):
        return [os.path.join(place, name) for name in sorted(os.listdir(place)) if _is_output(name)]
    if os.path.exists(place):
        return [place]
    if is_pattern(place):
        from glob import glob

        return sorted(path for path in glob(place, recursive=True) if os.path.isfile(path))
    raise UsageError(f"{place}: no such file or folder")


def _objects_at(place: str, storage: Storage | None) -> list[str]:
    from birdlite.storage.address import parse
    from birdlite.storage.store import Storage

    storage = storage or Storage()
    try:
        if parse(place).is_folder:
            return [url for url in storage.directly_in(place) if _is_output(_name(url))]
        if is_pattern(_name(place)):
            from fnmatch import fnmatchcase

            folder = place[: -len(_name(place))]
            return [url for url in storage.directly_in(folder) if fnmatchcase(_name(url), _name(place))]
    except ValueError as error:
        raise UsageError(f"{place}: {error}") from None
    except StorageError as error:
        raise StorageError(error.kind, f"{place}: {error}", error.cause) from error
    return [place]


def blocks(path: str, storage: Storage | None = None, *, together: int = 1) -> Iterator[bytes]:
    """What is at `path`, a block at a time, when `together` parts are read at once. Nothing is asked before the first.

    Raises:
        FileNotFoundError: while iterating: nothing is there.
        PartsError: it cannot be read.
    """
    if is_storage(path):
        yield from _blocks_of_object(path, storage, together)
        return
    offset = 0
    while True:
        try:
            with open(path, "rb", buffering=0) as file:
                file.seek(offset)
                block = file.read(BLOCK)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise PartsError(f"{path}: cannot be read: {reason(error)}") from error
        if not block:
            return
        offset += len(block)
        yield block


def _blocks_of_object(url: str, storage: Storage | None, together: int) -> Iterator[bytes]:
    from birdlite.storage.store import Storage

    try:
        stream = (storage or Storage()).open(url, largest=max(BLOCK, OBJECTS // together))
        while block := stream.read(BLOCK):
            yield block
    except StorageError as error:
        if error.cause == "no_object":
            raise FileNotFoundError(url) from error
        raise PartsError(f"{url}: cannot be read: {error}") from error


def same(one: str, other: str) -> bool:
    """Whether both lead to one file or object, which is there."""
    if is_storage(one) or is_storage(other):
        return one == other
    return os.path.exists(one) and os.path.exists(other) and os.path.samefile(one, other)


def _is_output(name: str) -> bool:
    return name.endswith(SUFFIX) and not name.startswith(".")


def _name(url: str) -> str:
    return url.rpartition("/")[2]
