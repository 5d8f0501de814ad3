"""`--since-output`: the targets that earlier runs have classified, in 8 bytes a target.

Only the 64-bit keys of the names are kept. If ten million targets are known and ten million are looked up, the chance
that any one is mistaken for another is 1 in 180,000.

A folder may have an index (`done_index`), which says the same of most of its parts. `look_at` decides which parts must
still be read. `run.selection` reads the targets before a run and brings the index up to date after it; so does
`birdlite merge --index`.
"""

from __future__ import annotations

import hashlib
import json
import os
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from birdlite import log
from birdlite.batch.done_index import Covered, Index, index_path, read_index, write_index
from birdlite.batch.files import is_folder, listed_at, name_of, read_records, same
from birdlite.batch.header import Header
from birdlite.batch.shard import key_of, octets_of
from birdlite.errors import PartsError
from birdlite.namedtuple import NamedTuple
from birdlite.redaction import redacted
from birdlite.storage import Listed, is_storage

if TYPE_CHECKING:
    from birdlite.storage.store import Storage


_NO_HEADER = (
    "{}: no header that names its model; --since-output takes parts, and outputs of birdlite merge --keep-header"
)


class Earlier:
    """Targets that were classified: keys in 256 arrays by the first byte. Call `add` for all, `sort`, then `has`."""

    def __init__(self, known: array[int] | None = None) -> None:
        """`known` are the sorted keys of an index."""
        self._known = array("Q") if known is None else known
        self._buckets = [array("Q") for _ in range(256)]

    def __len__(self) -> int:
        return len(self._known) + sum(map(len, self._buckets))

    def add(self, name: str) -> None:
        """Add a target."""
        self.add_key(key_of(octets_of(name)))

    def add_key(self, key: int) -> None:
        """Add the key of a target."""
        self._buckets[key >> 56].append(key)

    def sort(self) -> None:
        """Sort each bucket alone, because sorting makes a list in memory. What is there twice stays once."""
        for number, bucket in enumerate(self._buckets):
            if bucket:
                self._buckets[number] = array("Q", sorted({key for key in bucket if not _holds(self._known, key)}))

    def has(self, name: str) -> bool:
        """Whether a target was added."""
        return self.has_key(key_of(octets_of(name)))

    def has_key(self, key: int) -> bool:
        """Whether the key of a target was added."""
        return _holds(self._buckets[key >> 56], key) or _holds(self._known, key)

    def in_order(self) -> Iterator[array[int]]:
        """All keys in ascending order, in pieces."""
        first = 0
        for number, bucket in enumerate(self._buckets):
            last = bisect_left(self._known, (number + 1) << 56)
            piece = self._known[first:last]
            yield array("Q", sorted((*piece, *bucket))) if bucket else piece
            first = last


def _holds(keys: array[int], key: int) -> bool:
    at = bisect_left(keys, key)
    return at < len(keys) and keys[at] == key


class Look(NamedTuple):
    """What the outputs in a folder have answered, as far as its index knows."""

    known: array[int]  # sorted keys
    covered: dict[str, Covered]  # by name: the parts whose targets are in `known`
    unread: list[Listed]  # the other parts
    is_new: bool  # whether the index says something else, or is not there


def read_earlier(
    places: Iterable[str], model_sha256: str, *, outputs: Sequence[str] = (), storage: Storage | None = None
) -> Earlier:
    """Read the outputs at `places`: files, folders and patterns, also in `storage`. Those of other models are skipped.

    `outputs` are those of this run, of all its shards, its own first. They are skipped too: targets of other shards do
    not matter here.

    Raises:
        UsageError: one of the places does not exist.
        PartsError: a file is damaged, or has no header that names its model.
        StorageError: object storage refuses or cannot be reached.
    """
    known, unread = array("Q"), []
    for place in places:
        if is_folder(place):
            look = look_at(place, model_sha256, own=next(iter(outputs), None), storage=storage)
            known = array("Q", sorted({*known, *look.known})) if known else look.known
            unread += look.unread
        else:
            unread += listed_at(place, storage)
    earlier = Earlier(known)
    of_run = {name_of(path): path for path in outputs}
    for one in unread:
        if not (of_run and _is_one_of(one.name, of_run, outputs[0])):
            _read(one, model_sha256, earlier, storage)
    earlier.sort()
    log.info(f"{log.counted(len(earlier), 'target was', 'targets were')} classified by earlier runs")
    return earlier


def _is_one_of(path: str, outputs: dict[str, str], own: str) -> bool:
    other = outputs.get(name_of(path))
    return same(path, own) or (other is not None and same(path, other))


def look_at(folder: str, model_sha256: str, *, own: str | None = None, storage: Storage | None = None) -> Look:
    """List a folder and read its index. The index is not used if a part that it covers was replaced by another.

    A part that it covers may be gone: its targets still count. A part may also have grown, by retries of its failures;
    it is read again. `own` is the output of this run: it will be replaced, so it must not be in the index.

    Raises:
        PartsError, StorageError: the index or a part that was replaced cannot be read.
    """
    parts, path = listed_at(folder, storage), index_path(folder, model_sha256)
    index = read_index(path, model_sha256, storage)
    if index is None:
        return Look(array("Q"), {}, parts, is_new=True)
    gone = len(index.covered.keys() - {name_of(part.name) for part in parts})
    if own is not None and name_of(own) in index.covered and is_in(own, folder):
        return _without(path, f"it covers {own}, which this run makes anew", parts, gone)
    covered: dict[str, Covered] = {}
    unread: list[Listed] = []
    for part in parts:
        was = index.covered.get(name_of(part.name))
        if was is not None and part.version and (was.size, was.version) == (part.size, part.version):
            covered[name_of(part.name)] = was
        elif was is None or _has_grown(part, was, storage):
            unread.append(part)
        else:
            return _without(path, f"{part.name} was replaced by another output", parts, gone)
    return Look(index.keys, covered, unread, is_new=bool(unread or gone))


def _without(path: str, why: str, parts: list[Listed], gone: int) -> Look:
    those = log.counted(gone, "part that it covers is gone, and counts", "parts that it covers are gone, and count")
    lost = f"; {those} no longer" if gone else ""
    log.warning(f"{path}: not used, because {why}; all parts ({len(parts)}) are read{lost}")
    return Look(array("Q"), {}, parts, is_new=True)


def _has_grown(part: Listed, was: Covered, storage: Storage | None) -> bool:
    """Whether a part still is the one that an index covers, with as many answers or more."""
    header, _ = read_records(part.name, storage)
    return header is not None and header.totals is not None and was.of == _of(header) and header.totals.ok >= was.ok


def _of(header: Header) -> str:
    """What stays equal if a part is made again: a digest of its run and list."""
    totals = header.totals
    run = header.run if header.run.reveal_targets else header.run[:-1]  # as before there was this choice
    facts = [*run, *(() if totals is None else (totals.targets, totals.list_sha256))]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _read(part: Listed, model_sha256: str, earlier: Earlier, storage: Storage | None) -> Covered | None:
    """Add what a part has answered; None if the part is not complete, and so can still change."""
    header, records = read_records(part.name, storage)
    if header is None:
        raise PartsError(_NO_HEADER.format(part.name))
    if header.run.model_sha256 != model_sha256:
        log.info(f"{part.name}: made by another model, skipped")
        return Covered(part.size, part.version, 0, _of(header))
    count = ok = 0
    for record in records:
        count += 1
        if record["status"] == "ok":
            ok += 1
            earlier.add(redacted(record["target"]))
    if header.totals is None:
        return None
    if (count, ok) != (header.totals.mine, header.totals.ok):
        raise PartsError(
            f"{part.name}: {log.counted(count, 'record')} and {log.counted(ok, 'answer')} instead of"
            f" {header.totals.mine:,} and {header.totals.ok:,}: damaged"
        )
    return Covered(part.size, part.version, ok, _of(header))


def update_index(folder: str, model_sha256: str, storage: Storage | None = None) -> Index | None:
    """Bring the index of a folder up to date, or make it; None if it was up to date. Only new parts are read.

    Raises:
        PartsError: a part is damaged, or has no header that names its model.
        StorageError: object storage refuses or cannot be reached.
        OutputError: the index cannot be written.
    """
    look = look_at(folder, model_sha256, storage=storage)
    if not look.is_new:
        return None
    earlier, covered = Earlier(look.known), look.covered
    for part in look.unread:
        added = _read(part, model_sha256, earlier, storage)
        if added is not None and added.version:
            covered[name_of(part.name)] = added
    earlier.sort()
    keys = array("Q")
    for piece in earlier.in_order():
        keys.extend(piece)
    index = Index(covered, keys)
    write_index(index_path(folder, model_sha256), model_sha256, index, storage)
    return index


def newest_model(folder: str, storage: Storage | None = None) -> str:
    """The sha256 of the model that made the newest part in a folder.

    Raises:
        PartsError: there is no output, or the newest one is not a part.
    """
    newest = max(listed_at(folder, storage), key=lambda one: (one.modified, one.name), default=None)
    if newest is None:
        raise PartsError(f"{folder}: no parts (*.jsonl) to make an index of")
    header, _ = read_records(newest.name, storage)
    if header is None:
        raise PartsError(_NO_HEADER.format(newest.name))
    return header.run.model_sha256


def all_are_there(outputs: Sequence[str], folder: str, storage: Storage | None = None) -> bool:
    """Whether a folder has all outputs of a run: they appear when they are complete."""
    names = {name_of(one.name) for one in listed_at(folder, storage)}
    return all(name_of(output) in names for output in outputs)


def is_in(output: str, folder: str) -> bool:
    """Whether an output is directly in a folder."""
    place = output[: -len(name_of(output))]
    if is_storage(output) or is_storage(folder):
        return place == folder
    return os.path.isdir(place or ".") and os.path.isdir(folder) and os.path.samefile(place or ".", folder)
