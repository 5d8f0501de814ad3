"""Parts into one output: checked to be all parts of one run, then merged by index, with one record of each in memory.

`open_parts` reads only headers, so a missing shard is known at once. `merged` checks the rest while reading: each part
holds what its header says, no target comes twice, and none is missing.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from birdlite.batch.files import Record, read_records
from birdlite.batch.header import Header, Run, Totals, difference
from birdlite.errors import PartsError
from birdlite.namedtuple import NamedTuple

if TYPE_CHECKING:
    from birdlite.storage.store import Storage

SHOWN = 10  # missing shards that are named; the rest is counted


class Parts(NamedTuple):
    """All parts of one run, by shard."""

    paths: list[str]
    headers: list[Header]
    run: Run  # as in a run of one part
    totals: Totals

    def line(self) -> str:
        """The header of the merged output, as of a run in one part."""
        return Header(self.run, self.totals).line()


def open_parts(paths: Iterable[str], storage: Storage | None = None) -> Parts:
    """Read the headers and check that they belong together.

    Raises:
        PartsError: a file is not a complete part, is of another run or list, or a shard is missing or there twice.
    """
    found: dict[int, tuple[str, Header, Totals]] = {}
    first: tuple[str, Header, Totals] | None = None
    for path in paths:
        header, _ = read_records(path, storage)
        if header is None:
            raise PartsError(f"{path}: not a part: it does not begin with the header that --shard and --resume write")
        if header.totals is None:
            raise PartsError(f"{path}: unfinished: run shard {header.run.shard} again with --resume")
        here = (path, header, header.totals)
        first = first or here
        _check_same_run(first, here)
        if header.run.shard in found:
            raise PartsError(f"shard {header.run.shard} is there twice: {found[header.run.shard][0]} and {path}")
        found[header.run.shard] = here
    if first is None:
        raise PartsError("there are no parts to merge")
    _check_none_missing(found, first[1].run.shards)
    ordered = [found[shard] for shard in sorted(found)]
    run = first[1].run._replace(shard=0, shards=1)
    return Parts([path for path, _, _ in ordered], [header for _, header, _ in ordered], run, _sum(ordered))


def merged(parts: Parts, storage: Storage | None = None) -> Iterator[Record]:
    """The records of all parts, by index.

    Raises:
        PartsError: a part does not match its header, or the parts do not make up the list.
    """
    expected = parts.totals
    before, count = -1, 0
    together = len(parts.paths)
    records = (
        _checked(path, header, read_records(path, storage, together=together)[1])
        for path, header in zip(parts.paths, parts.headers, strict=True)
    )
    for index, record in heapq.merge(*records, key=lambda pair: pair[0]):
        if index == before:
            raise PartsError(f"target {index} is in two parts")
        if index >= expected.targets:
            raise PartsError(f"target {index} is beyond the end of the list, which has {expected.targets}")
        before, count = index, count + 1
        yield record
    if count + expected.left_out != expected.targets:
        missing = expected.targets - expected.left_out - count
        raise PartsError(f"{missing} of {expected.targets} targets are in no part")


def _checked(path: str, header: Header, records: Iterator[Record]) -> Iterator[tuple[int, Record]]:
    """One part's records with their indexes."""
    before, count, failed = -1, 0, 0
    for record in records:
        index = record["index"]
        if index <= before:
            raise PartsError(f"{path}: target {index} comes after target {before}")
        before, count, failed = index, count + 1, failed + (record["status"] == "error")
        yield index, record
    totals = header.totals
    if totals is not None and (count, failed) != (totals.mine, totals.failed):
        raise PartsError(
            f"{path}: {count} records and {failed} failures instead of {totals.mine} and {totals.failed}: damaged"
        )


def _check_same_run(first: tuple[str, Header, Totals], here: tuple[str, Header, Totals]) -> None:
    changed = difference(first[1].run, here[1].run, apart_from=("shard",))
    if changed:
        raise PartsError(f"{here[0]}: of another run than {first[0]}: {changed}")
    if (first[2].targets, first[2].list_sha256) != (here[2].targets, here[2].list_sha256):
        raise PartsError(
            f"{here[0]}: of another list than {first[0]}: the list has changed between the two"
            f" ({first[2].targets} and {here[2].targets} targets)"
        )


def _check_none_missing(found: dict[int, tuple[str, Header, Totals]], shards: int) -> None:
    count = shards - len(found)
    if count:
        missing = (shard for shard in range(shards) if shard not in found)
        names = ", ".join(str(shard) for shard, _ in zip(missing, range(SHOWN), strict=False))
        more = f" and {count - SHOWN} more" if count > SHOWN else ""
        raise PartsError(f"{count} of {shards} shards missing: {names}{more}")


def _sum(ordered: list[tuple[str, Header, Totals]]) -> Totals:
    every = [totals for _, _, totals in ordered]
    added = {name: sum(getattr(one, name) for one in every) for name in ("mine", "left_out", "ok", "failed")}
    return every[0]._replace(**added)
