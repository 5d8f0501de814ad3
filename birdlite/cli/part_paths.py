"""The outputs that the arguments of `merge` and `report` name."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from birdlite.batch.files import outputs_at, same
from birdlite.errors import UsageError
from birdlite.storage.store import Storage


def part_paths(places: Sequence[str], output: str | None, storage: Storage) -> Iterator[str]:
    """Give them in order, without the output of an earlier run that lies among them.

    Raises:
        UsageError: one is not there, or is named as output too.
        StorageError: object storage refuses or cannot be reached.
    """
    for place in places:
        if output is not None and same(place, output) and not os.path.isdir(place):
            raise UsageError(f"{place}: is the output too")
        yield from (path for path in outputs_at(place, storage) if output is None or not same(path, output))
