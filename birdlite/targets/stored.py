"""The pictures in a folder of object storage, found lazily. `expand` calls it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from birdlite.errors import StorageError
from birdlite.redaction import redacted
from birdlite.results import Failure
from birdlite.storage.store import Storage
from birdlite.targets import BadTarget, Target
from birdlite.targets.folders import described, is_stored_picture


def pictures_stored(
    folder: Target, storage: Storage | None, skipped: Counter[str], *, reveal: bool
) -> Iterator[Target | BadTarget]:
    """The pictures by key, numbered from the index of `folder`. What is left out is counted in `skipped`.

    With `reveal`, the names have the secrets of the URLs.
    """
    name, index = folder.name, folder.index
    before = Counter(skipped)
    try:
        for url in (storage or Storage()).objects(folder.location, lambda rest: is_stored_picture(rest, skipped)):
            yield Target(url if reveal else redacted(url), "object", url, index)
            index += 1
    except StorageError as error:
        yield BadTarget(name, Failure(error.kind, f"{name}: {error}"), index)
    else:
        if index == folder.index:
            others = described(skipped - before)
            message = f"{name}: no pictures in this folder{f', but {others}' if others else ''}"
            yield BadTarget(name, Failure("not_found", message), index)
