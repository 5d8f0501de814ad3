"""Each target belongs to exactly one shard, the shards are even, and other lines do not matter."""

from __future__ import annotations

from typing import Any

import pytest

from birdlite.batch.shard import WHOLE, Shard, from_environment, key_of, octets_of, parse
from birdlite.errors import UsageError

NAMES = [f"https://example.org/{number}.jpg" for number in range(20_000)]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 64, 1000])
def test_each_target_belongs_to_exactly_one_shard(count: int) -> None:
    shards = [Shard(index, count) for index in range(count)]

    for name in NAMES[:200]:
        assert sum(shard.holds(key_of(octets_of(name))) for shard in shards) == 1


@pytest.mark.parametrize("count", [2, 3, 16, 64])
def test_shards_are_even(count: int) -> None:
    sizes = [0] * count
    for name in NAMES:
        sizes[key_of(octets_of(name)) % count] += 1

    expected = len(NAMES) / count
    assert max(abs(size - expected) for size in sizes) < 5 * expected**0.5  # five standard deviations of chance


def test_membership_is_the_same_on_every_machine_and_in_every_version() -> None:
    # From the command line: printf https://example.org/0.jpg | b2sum -l 64
    assert key_of(b"https://example.org/0.jpg") == 0xEF6E23DAFF3E36E3


@pytest.mark.parametrize("name", ["Möwe.jpg", "caf\udce9.jpg", "\ud800", "", "a\nb\0"])
def test_every_name_belongs_to_a_shard(name: str) -> None:
    assert 0 <= key_of(octets_of(name)) < 1 << 64


@pytest.mark.parametrize(
    ("shard", "path"),
    [
        (Shard(0, 1), "part-0.jsonl"),
        (Shard(3, 10), "part-3.jsonl"),
        (Shard(3, 11), "part-03.jsonl"),
        (Shard(999, 1000), "part-999.jsonl"),
    ],
)
def test_the_index_in_a_name_is_as_wide_as_the_last_one(shard: Shard, path: str) -> None:
    assert shard.named("part-{shard}.jsonl") == path


def test_a_shard_is_its_index_from_0_and_their_number() -> None:
    assert parse("3/4") == Shard(3, 4)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("5/4", "from 0 to 3"),
        ("4/4", "from 0 to 3"),
        ("0/0", "from 1 to 1000000"),
        ("0/1000001", "from 1 to 1000000"),
        ("-1/4", "not a shard"),
        ("1", "not a shard"),
        ("a/b", "not a shard"),
        ("1/2/3", "not a shard"),
        ("²/4", "not a shard"),
        ("1" * 5000 + "/2", "not a shard"),
        ("", "not a shard"),
    ],
)
def test_an_invalid_shard_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse(text)


@pytest.mark.parametrize(
    ("numbers", "complaint"),
    [
        ((5, 3), r"Shard\(5, 3\): the index of one of 3 shards must be from 0 to 2"),
        ((3, 3), "from 0 to 2"),
        ((-1, 3), "from 0 to 2"),
        ((0, 0), "from 1 to 1000000"),
        ((0, -2), "from 1 to 1000000"),
        ((0, 1_000_001), "from 1 to 1000000"),
        (("0", "4"), "whole numbers"),
        ((0.0, 4), "whole numbers"),
        ((False, True), "whole numbers"),
    ],
)
def test_so_it_is_in_python(numbers: Any, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        Shard(*numbers)


def test_a_pod_of_an_indexed_job_knows_its_shard() -> None:
    assert from_environment({"JOB_COMPLETION_INDEX": "2", "BIRDLITE_SHARDS": "8"}) == Shard(2, 8)
    assert from_environment({"BIRDLITE_SHARDS": "1"}) == WHOLE
    assert from_environment({}) is None


@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        ({"JOB_COMPLETION_INDEX": "2"}, "an index without a count: set BIRDLITE_SHARDS"),
        ({"BIRDLITE_SHARDS": "8"}, "a count without an index: set JOB_COMPLETION_INDEX"),
        ({"JOB_COMPLETION_INDEX": "8", "BIRDLITE_SHARDS": "8"}, "from 0 to 7"),
        ({"JOB_COMPLETION_INDEX": "", "BIRDLITE_SHARDS": "8"}, "not a shard"),
        ({"JOB_COMPLETION_INDEX": "0", "BIRDLITE_SHARDS": "0"}, "from 1 to"),
    ],
)
def test_an_environment_that_makes_no_sense_is_refused(variables: dict[str, str], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        from_environment(variables)
