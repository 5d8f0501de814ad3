"""The outputs that the arguments of `merge` and `report` name."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from birdlite.batch.files import outputs_at, same
from birdlite.errors import UsageError
from birdlite.storage.store import Storage


def part_paths(places: Sequence[str], output: str | None, storage: Storage) -> Iterator[str]:
    """Give them in order. If a folder or glob has the output of an earlier run among them, leave that out.

    Raises:
        UsageError: one does not exist, or is the output.
        StorageError: object storage refuses or cannot be reached.
    """
    for place in places:
        if output is not None and same(place, output) and not os.path.isdir(place):
            raise UsageError(f"{place} is both a PART and the --output")
        yield from (path for path in outputs_at(place, storage) if output is None or not same(path, output))
