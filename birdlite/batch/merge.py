"""Parts into one output: checked to be all parts of one run, then merged by index, with one record of each in memory.

`open_parts` reads only headers, so a missing shard is known at once. `merged` checks the rest while reading: each part
holds what its header says, no target comes twice, and none is missing. `newest` puts several runs together.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from birdlite import log
from birdlite.batch.files import Record, read_records
from birdlite.batch.header import Header, Run, Totals, difference
from birdlite.errors import PartsError
from birdlite.namedtuple import NamedTuple

if TYPE_CHECKING:
    from birdlite.storage.store import Storage

_SEVERAL = "merge --newest puts several runs together"
SHOWN = 10  # missing shards that are named; the rest is counted


class File(NamedTuple):
    """A complete part."""

    path: str
    run: Run
    totals: Totals


class Parts(NamedTuple):
    """All parts of one run, by shard."""

    files: list[File]
    run: Run  # as in a run of one part
    totals: Totals

    def line(self) -> str:
        """The header of the merged output, as of a run in one part."""
        return Header(self.run, self.totals).line()


def open_part(path: str, storage: Storage | None = None) -> File:
    """Read the header of a part.

    Raises:
        PartsError: it is not a complete part.
    """
    header, _ = read_records(path, storage)
    if header is None:
        raise PartsError(f"{path}: not a part: it does not begin with the header that --shard and --resume write")
    if header.totals is None:
        raise PartsError(f"{path}: unfinished: run shard {header.run.shard} again with --resume")
    return File(path, header.run, header.totals)


def open_parts(paths: Iterable[str], storage: Storage | None = None) -> Parts:
    """Read the headers and check that they belong together.

    Raises:
        PartsError: a file is not a complete part, is of another run or list, or a shard is missing or there twice.
    """
    found: dict[int, File] = {}
    for path in paths:
        file = open_part(path, storage)
        shard = file.run.shard
        _check_same_run(next(iter(found.values()), file), file)
        if shard in found:
            raise PartsError(
                f"shard {shard} is there twice: {found[shard].path} and {path}; --newest puts several runs together"
            )
        found[shard] = file
    if not found:
        raise PartsError("there are no parts to merge")
    files = [found[shard] for shard in sorted(found)]
    check_none_missing(found, files[0].run.shards)
    every = [file.totals for file in files]
    added = {name: sum(getattr(one, name) for one in every) for name in ("mine", "left_out", "ok", "failed")}
    return Parts(files, files[0].run._replace(shard=0, shards=1), every[0]._replace(**added))


def merged(parts: Parts, storage: Storage | None = None) -> Iterator[Record]:
    """The records of all parts, by index.

    Raises:
        PartsError: a part does not match its header, or the parts do not make up the list.
    """
    expected = parts.totals
    count = 0
    for record in in_order(parts.files, storage):
        count += 1
        yield record
    if count + expected.left_out != expected.targets:
        missing = expected.targets - expected.left_out - count
        raise PartsError(f"no part has {missing:,} of {log.counted(expected.targets, 'target')}")


def in_order(files: Sequence[File], storage: Storage | None = None) -> Iterator[Record]:
    """The records of parts of one run, by index.

    Raises:
        PartsError: a part does not match its header, or a target is in two.
    """
    before, together, targets = -1, len(files), files[0].totals.targets
    records = (_checked(file, read_records(file.path, storage, together=together)[1]) for file in files)
    for index, record in heapq.merge(*records, key=lambda pair: pair[0]):
        if index == before:
            raise PartsError(f"target {index} is in two parts")
        if index >= targets:
            raise PartsError(f"target {index} is beyond the end of the list, which has {targets}")
        before = index
        yield record


def _checked(file: File, records: Iterator[Record]) -> Iterator[tuple[int, Record]]:
    """One part's records with their indexes."""
    before, count, failed = -1, 0, 0
    for record in records:
        index = record["index"]
        if index <= before:
            raise PartsError(f"{file.path}: target {index} comes after target {before}")
        before, count, failed = index, count + 1, failed + (record["status"] == "error")
        yield index, record
    totals = file.totals
    if (count, failed) != (totals.mine, totals.failed):
        raise PartsError(
            f"{file.path}: {log.counted(count, 'record')} and {log.counted(failed, 'failure')}"
            f" instead of {totals.mine:,} and {totals.failed:,}: damaged"
        )


def _check_same_run(first: File, here: File) -> None:
    changed = difference(first.run, here.run, apart_from=("shard",))
    if changed:
        raise PartsError(f"{here.path}: of another run than {first.path}: {changed}; {_SEVERAL}")
    if (first.totals.targets, first.totals.list_sha256) != (here.totals.targets, here.totals.list_sha256):
        raise PartsError(
            f"{here.path}: of another list than {first.path}: the list has changed between the two"
            f" ({first.totals.targets} and {here.totals.targets} targets); {_SEVERAL}"
        )


def check_none_missing(found: Collection[int], shards: int, *, of: str = "") -> None:
    """Check that all shards of a run were found.

    Raises:
        PartsError: some were not. The message begins with `of`.
    """
    count = shards - len(found)
    if count:
        missing = (shard for shard in range(shards) if shard not in found)  # a header can claim any number of shards
        names = ", ".join(map(str, islice(missing, SHOWN)))
        more = f" and {count - SHOWN} more" if count > SHOWN else ""
        raise PartsError(f"{of}{count} of {shards} shards missing: {names}{more}")
