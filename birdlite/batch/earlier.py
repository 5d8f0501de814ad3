"""What earlier runs have classified already, for `--since-output`: 8 bytes a target, whatever its name is.

Only `key_of` the names is kept, in 256 arrays by the key's first byte that are sorted once. With ten million targets
known and ten million asked for, the chance that any one is taken for another by its 64 bits is 1 in 180,000.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from typing import TYPE_CHECKING

from birdlite import log
from birdlite.batch.files import outputs_at, same
from birdlite.batch.record_file import read_records
from birdlite.batch.shard import key_of, octets_of
from birdlite.errors import PartsError

if TYPE_CHECKING:
    from birdlite.storage.store import Storage


class Earlier:
    """The targets that have an answer by the same model. Add all, `settle`, then ask."""

    def __init__(self) -> None:
        self._buckets = [array("Q") for _ in range(256)]

    def __len__(self) -> int:
        return sum(map(len, self._buckets))

    def add(self, name: str) -> None:
        """Note a target."""
        key = key_of(octets_of(name))
        self._buckets[key >> 56].append(key)

    def settle(self) -> None:
        """Sort, one bucket after the other: sorting makes a list of what it sorts."""
        self._buckets = [array("Q", sorted(bucket)) for bucket in self._buckets]

    def has(self, name: str) -> bool:
        """Whether a target was noted."""
        key = key_of(octets_of(name))
        bucket = self._buckets[key >> 56]
        at = bisect_left(bucket, key)
        return at < len(bucket) and bucket[at] == key


def read_earlier(
    places: Iterable[str], model_sha256: str, *, own: str | None = None, storage: Storage | None = None
) -> Earlier:
    """Read the outputs at `places` (files, folders, patterns; some may be in `storage`); of other models, none counts.

    `own` is the output that is being made, which is not earlier.

    Raises:
        UsageError: there is nothing at one of them.
        PartsError: a file has no header, so nobody knows which model made it, or it is damaged.
        StorageError: object storage refuses or cannot be reached.
    """
    earlier = Earlier()
    for path in (path for place in places for path in outputs_at(place, storage)):
        if own is not None and same(own, path):
            continue
        header, records = read_records(path, storage)
        if header is None:
            raise PartsError(
                f"{path}: no header, so nobody knows which model made it; --since-output takes parts, and outputs of"
                " birdlite merge --keep-header"
            )
        if header.run.model_sha256 != model_sha256:
            log.info(f"{path}: made by another model, not counted")
            continue
        for record in records:
            if record["status"] == "ok":
                earlier.add(str(record["target"]))
    earlier.settle()
    log.info(f"{len(earlier)} targets have an answer from earlier runs")
    return earlier
