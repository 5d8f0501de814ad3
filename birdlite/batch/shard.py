"""Which targets of a list belong to which machine: `--shard`, or the variables of a Kubernetes Indexed Job.

This depends only on a target's name and the number of shards. So adding or removing a line moves no other line to
another shard, and no machine needs to know what the others do.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from birdlite.errors import UsageError
from birdlite.namedtuple import NamedTuple

MOST_SHARDS = 1_000_000
INDEX_VARIABLE = "JOB_COMPLETION_INDEX"  # Kubernetes sets it in the pods of an Indexed Job, from 0
COUNT_VARIABLE = "BIRDLITE_SHARDS"
PLACEHOLDER = "{shard}"


class Shard(NamedTuple):
    """One of `count` parts of a list. Making one that cannot be is a UsageError."""

    index: int  # type: ignore[assignment]  # from 0; hides tuple.index, as Result.index does
    count: int  # type: ignore[assignment]

    def holds(self, key: int) -> bool:
        """Whether the target with this key (`key_of`) belongs to this shard."""
        return key % self.count == self.index

    def named(self, path: str) -> str:
        """`path` with the index in place of `{shard}`, padded with zeros so that names sort by shard."""
        return path.replace(PLACEHOLDER, f"{self.index:0{len(str(self.count - 1))}d}")

    def all_named(self, path: str) -> list[str]:
        """The same for all shards, this one first."""
        others = (Shard(index, self.count) for index in range(self.count) if index != self.index)
        return [self.named(path), *(shard.named(path) for shard in others if PLACEHOLDER in path)]


def why_not(index: object, count: object) -> str | None:
    """What is wrong with the numbers of a shard."""
    if type(index) is not int or type(count) is not int:
        return "the index and the number of shards must be whole numbers"
    if not 1 <= count <= MOST_SHARDS:
        return f"the number of shards must be from 1 to {MOST_SHARDS}"
    if not 0 <= index < count:
        return f"the index of one of {count} shards must be from 0 to {count - 1}"
    return None


def _check(shard: Shard, *_: object, **__: object) -> None:
    wrong = why_not(shard.index, shard.count)
    if wrong is not None:
        raise UsageError(f"Shard({shard.index!r}, {shard.count!r}): {wrong}")


Shard.__init__ = _check  # type: ignore[method-assign,assignment]
WHOLE = Shard(0, 1)


def octets_of(name: str) -> bytes:
    """The bytes of a target's name that are hashed. It is the name without secrets, in every run.

    `surrogatepass` is for undecodable bytes of paths, and for halves of surrogate pairs in JSON lists.
    """
    return name.encode("utf-8", "surrogatepass")


def key_of(octets: bytes) -> int:
    """64 evenly distributed bits for a target's name, the same on every machine."""
    return int.from_bytes(hashlib.blake2b(octets, digest_size=8).digest(), "big")


def parse(text: str) -> Shard:
    """Read `I/N`, the value of `--shard`.

    Raises:
        ValueError: it has another form, or I is not below N.
    """
    numbers = re.fullmatch("([0-9]{1,9})/([0-9]{1,9})", text)
    if numbers is None:
        raise ValueError("not a shard such as 0/4: its index, from 0, and the number of shards")
    index, count = int(numbers[1]), int(numbers[2])
    wrong = why_not(index, count)
    if wrong is not None:
        raise ValueError(wrong)
    return Shard(index, count)


def from_environment(variables: Mapping[str, str]) -> Shard | None:
    """The shard of a pod of an Indexed Job; None if the variables are not set.

    Raises:
        UsageError: only one of the two is set, or the numbers do not fit.
    """
    index, count = variables.get(INDEX_VARIABLE), variables.get(COUNT_VARIABLE)
    if index is None and count is None:
        return None
    if count is None:
        raise UsageError(f"{INDEX_VARIABLE}={index}: an index without a count: set {COUNT_VARIABLE}")
    if index is None:
        if count.strip() == "1":
            return WHOLE
        raise UsageError(f"{COUNT_VARIABLE}={count}: a count without an index: set {INDEX_VARIABLE}, or give --shard")
    try:
        return parse(f"{index.strip()}/{count.strip()}")
    except ValueError as error:
        raise UsageError(f"{INDEX_VARIABLE}={index} {COUNT_VARIABLE}={count}: {error}") from None
