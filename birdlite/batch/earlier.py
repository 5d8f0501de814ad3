"""The targets that earlier runs have classified, for `--since-output`, in 8 bytes a target.

Only the 64-bit keys of the names are kept, in 256 arrays by the first byte, each sorted once. If ten million targets
are known and ten million are looked up, the chance that any one is mistaken for another is 1 in 180,000.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from typing import TYPE_CHECKING

from birdlite import log
from birdlite.batch.files import outputs_at, read_records, same
from birdlite.batch.shard import key_of, octets_of
from birdlite.errors import PartsError

if TYPE_CHECKING:
    from birdlite.storage.store import Storage


class Earlier:
    """The targets that the same model has classified. Call `add` for all, then `sort`, then `has`."""

    def __init__(self) -> None:
        self._buckets = [array("Q") for _ in range(256)]

    def __len__(self) -> int:
        return sum(map(len, self._buckets))

    def add(self, name: str) -> None:
        """Add a target."""
        key = key_of(octets_of(name))
        self._buckets[key >> 56].append(key)

    def sort(self) -> None:
        """Sort each bucket alone, because sorting makes a list in memory."""
        self._buckets = [array("Q", sorted(bucket)) for bucket in self._buckets]

    def has(self, name: str) -> bool:
        """Whether a target was added."""
        key = key_of(octets_of(name))
        bucket = self._buckets[key >> 56]
        at = bisect_left(bucket, key)
        return at < len(bucket) and bucket[at] == key


def read_earlier(
    places: Iterable[str], model_sha256: str, *, own: str | None = None, storage: Storage | None = None
) -> Earlier:
    """Read the outputs at `places`: files, folders and patterns, also in `storage`. Those of other models are skipped.

    `own` is the output of this run, which is skipped too.

    Raises:
        UsageError: one of the places does not exist.
        PartsError: a file is damaged, or has no header that names its model.
        StorageError: object storage refuses or cannot be reached.
    """
    earlier = Earlier()
    for path in (path for place in places for path in outputs_at(place, storage)):
        if own is not None and same(own, path):
            continue
        header, records = read_records(path, storage)
        if header is None:
            raise PartsError(
                f"{path}: no header that names its model; --since-output takes parts, and outputs of birdlite merge"
                " --keep-header"
            )
        if header.run.model_sha256 != model_sha256:
            log.info(f"{path}: made by another model, skipped")
            continue
        for record in records:
            if record["status"] == "ok":
                earlier.add(str(record["target"]))
    earlier.sort()
    log.info(f"{len(earlier)} targets were classified by earlier runs")
    return earlier
