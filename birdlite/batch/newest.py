"""`birdlite merge --newest`: many runs into one output, with the newest answer of each target.

Parts of equal parameters and lists are one run, or several: a onely run over a list that has not changed. Then the
newest part of each shard belongs to the newest run, and so on. A part's time is that of its file or object.

Runs are read from the newest to the oldest, each in the order of its list. The first answer of a target is taken, so it
is the newest; failures are taken at the end, of targets that have no answer at all. Memory holds 8 bytes for each
target, and some 100 for each that only fails: records are not kept, but the parts with such failures are read again.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from birdlite import log
from birdlite.batch.earlier import Earlier
from birdlite.batch.files import Record
from birdlite.batch.header import Header, Run, Totals
from birdlite.batch.merge import File, check_none_missing, in_order, open_part
from birdlite.batch.shard import key_of, octets_of
from birdlite.errors import PartsError
from birdlite.namedtuple import NamedTuple
from birdlite.redaction import redacted
from birdlite.storage import Listed

if TYPE_CHECKING:
    from birdlite.storage.store import Storage

_RECENT = 1 << 18  # keys in a set, which takes some 25 MB


class RunParts(NamedTuple):
    """The parts of one run, by shard."""

    time: tuple[float, str]  # of the newest part, and its path
    files: list[File]

    @property
    def is_complete(self) -> bool:
        """Whether all shards are there."""
        return len(self.files) == self.files[0].run.shards


def open_runs(parts: Iterable[Listed], storage: Storage | None = None) -> list[RunParts]:
    """Read the headers and find the runs, the newest first. An older one may lack shards; this is reported.

    Raises:
        PartsError: a file is not a complete part, or is of another model; the newest run is not complete.
    """
    alike: dict[tuple[object, ...], dict[int, list[tuple[float, str, File]]]] = defaultdict(lambda: defaultdict(list))
    first: File | None = None
    for part in {part.name: part for part in parts}.values():
        file = open_part(part.name, storage)
        first = first or file
        if file.run.model_sha256 != first.run.model_sha256:
            raise PartsError(f"{file.path}: of another model than {first.path}: name the parts of one model")
        if not part.modified:
            raise PartsError(f"{file.path}: its time is not known: name its folder, or a glob")
        of = (file.run._replace(shard=0), file.totals.targets, file.totals.list_sha256)
        alike[of][file.run.shard].append((part.modified, part.name, file))
    runs = sorted((one for shards in alike.values() for one in _runs(shards)), reverse=True)
    if not runs:
        raise PartsError("there are no parts to merge")
    _check(runs)
    return runs


def _runs(shards: dict[int, list[tuple[float, str, File]]]) -> Iterator[RunParts]:
    for parts in shards.values():
        parts.sort(reverse=True)
    for number in range(max(map(len, shards.values()))):
        here = [parts[number] for _, parts in sorted(shards.items()) if number < len(parts)]
        yield RunParts(max((modified, name) for modified, name, _ in here), [file for *_, file in here])


def _check(runs: Sequence[RunParts]) -> None:
    newest, *older = runs
    shards = {file.run.shard for file in newest.files}
    check_none_missing(shards, newest.files[0].run.shards, of=f"the newest run, with {newest.files[0].path}: ")
    lacking = [one for one in older if not one.is_complete]
    if lacking:
        one = lacking[0]
        log.warning(
            f"{log.counted(len(lacking), 'older run is', 'older runs are')} not complete:"
            f" {len(one.files)} of {one.files[0].run.shards} shards are there of the run with {one.files[0].path}"
        )


class Newest:
    """The newest record of each target. Read `records` to its end; then the counts are known."""

    def __init__(self, runs: Sequence[RunParts], storage: Storage | None = None) -> None:
        self.run: Run = runs[0].files[0].run._replace(shard=0, shards=1, since=False)  # of the newest run
        self._runs = runs
        self._storage = storage
        self._digest = hashlib.sha256()
        self._ok = self._failed = 0

    @property
    def totals(self) -> Totals:
        """The counts of what was read, as of a run over a list in this order."""
        count = self._ok + self._failed
        return Totals(count, count, 0, self._ok, self._failed, self._digest.hexdigest())

    def line(self) -> str:
        """The header of the output."""
        return Header(self.run, self.totals).line()

    def records(self) -> Iterator[Record]:
        """The records, with new indexes.

        Raises:
            PartsError: a part does not match its header.
        """
        seen, failed = _Seen(), dict[int, int]()  # key -> the newest run in which it failed
        for number, one in enumerate(self._runs):
            for record in in_order(one.files, self._storage):
                key = _key(record)
                if record["status"] == "error":
                    if key not in failed and not seen.has(key):
                        failed[key] = number
                elif seen.add(key):
                    failed.pop(key, None)
                    yield self._taken(record)
        for number in sorted(set(failed.values())):
            for record in in_order(self._runs[number].files, self._storage):
                if record["status"] == "error" and failed.get(_key(record)) == number:
                    del failed[_key(record)]
                    yield self._taken(record)

    def _taken(self, record: Record) -> Record:
        record["index"] = self._ok + self._failed
        self._digest.update(octets_of(redacted(record["target"])) + b"\n")
        if record["status"] == "error":
            self._failed += 1
        else:
            self._ok += 1
        return record


def _key(record: Record) -> int:
    return key_of(octets_of(redacted(record["target"])))


class _Seen:
    """Keys that can be looked up while others are added."""

    def __init__(self) -> None:
        self._sorted = Earlier()
        self._recent: set[int] = set()

    def has(self, key: int) -> bool:
        return key in self._recent or self._sorted.has_key(key)

    def add(self, key: int) -> bool:
        """Add a key; False if it was there."""
        if self.has(key):
            return False
        self._recent.add(key)
        if len(self._recent) == _RECENT:
            for one in self._recent:
                self._sorted.add_key(one)
            self._sorted.sort()
            self._recent.clear()
        return True
