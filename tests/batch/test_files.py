"""Parts found and read: files and objects give the same blocks, and many at once take little memory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from birdlite.batch.files import BLOCK, INDEX_LIMIT, OBJECTS, blocks, outputs_at, parse_record, same
from birdlite.errors import PartsError, StorageError, UsageError
from tests.object_store import Bucket, Gate

DATA = bytes(range(256)) * 3000


def test_a_file_and_an_object_give_the_same_bytes_in_small_blocks(bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(DATA)

    for place in (str(tmp_path / "part"), bucket.put("part", DATA)):
        found = list(blocks(place))

        assert b"".join(found) == DATA
        assert max(map(len, found)) == BLOCK


def test_an_empty_object_has_no_blocks(bucket: Bucket) -> None:
    assert list(blocks(bucket.put("part", b""))) == []


@pytest.mark.parametrize(("together", "largest"), [(1, len(DATA)), (256, OBJECTS // 256), (10_000, BLOCK)])
def test_objects_that_are_read_together_share_the_memory(
    bucket: Bucket, gate: Gate, together: int, largest: int
) -> None:
    list(blocks(bucket.put("part", DATA), together=together))

    ranges = [asked.range.removeprefix("bytes=").split("-") for asked in gate.asked if asked.range]
    assert max(int(last) + 1 - int(first) for first, last in ranges) <= max(largest, 1 << 20)
    if together > 1:
        assert max(int(last) + 1 - int(first) for first, last in ranges) == largest


def test_a_missing_part_is_not_found(bucket: Bucket, tmp_path: Path) -> None:
    for place in (str(tmp_path / "gone"), bucket.url("gone")):
        with pytest.raises(FileNotFoundError):
            next(blocks(place))


def test_a_part_that_cannot_be_read_is_named(bucket: Bucket, gate: Gate, tmp_path: Path) -> None:
    gate.rule = lambda asked: 403
    with pytest.raises(PartsError, match=r"/part: cannot be read: permission denied \(Broken\)"):
        next(blocks(bucket.url("part")))
    with pytest.raises(PartsError, match="cannot be read: it is a folder"):
        next(blocks(str(tmp_path)))


def test_any_folders_of_a_pattern_are_walked_without_links_and_it_is_said(
    tmp_path: Path, warnings_said: list[str]
) -> None:
    for name in ("a.jsonl", "night/b.jsonl", "night/c.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for name in ("x", "y", "night/z"):
        (tmp_path / name).symlink_to(tmp_path)  # circles
    assert outputs_at(f"{tmp_path}/**/*.jsonl") == [f"{tmp_path}/a.jsonl", f"{tmp_path}/night/b.jsonl"]
    assert warnings_said == [f"{tmp_path}/**/*.jsonl: 3 linked folders not searched"]


def test_a_folder_and_a_pattern_name_outputs_directly_in_it(bucket: Bucket) -> None:
    for key in (
        "run/part-0.jsonl",
        "run/part-1.jsonl",
        "run/other.jsonl",
        "run/.part-2.jsonl",
        "run/x/part-3.jsonl",
        "run/a.txt",
    ):
        bucket.put(key, b"")
    parts = [bucket.url(f"run/part-{number}.jsonl") for number in (0, 1)]

    assert outputs_at(bucket.url("run/")) == [bucket.url("run/other.jsonl"), *parts]
    assert outputs_at(bucket.url("run/part-?.jsonl")) == parts
    assert outputs_at(bucket.url("run/PART-?.jsonl")) == []
    assert outputs_at(bucket.url("empty/")) == []
    assert outputs_at(bucket.url("anything.txt")) == [bucket.url("anything.txt")]


def test_a_folder_that_cannot_be_listed_is_named(bucket: Bucket) -> None:
    with pytest.raises(StorageError, match=r"^s3://no-such-bucket/run/: there is no such bucket$"):
        outputs_at("s3://no-such-bucket/run/")
    with pytest.raises(UsageError, match=r"^s3://b//: a key with an empty segment"):
        outputs_at("s3://b//")


def test_two_names_may_lead_to_one_file_and_never_to_one_object(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "link").symlink_to(tmp_path / "a")

    assert same(str(tmp_path / "a"), str(tmp_path / "link"))
    assert not same(str(tmp_path / "a"), str(tmp_path / "gone"))
    assert same("s3://b/a", "s3://b/a")
    assert not same("s3://b/a", "s3://c/a")
    assert not same("s3://b/a", str(tmp_path / "a"))


@pytest.mark.parametrize("index", [-1, INDEX_LIMIT, 10**30, True, 1.0, "1", None])
def test_a_line_with_an_index_that_no_list_has_is_no_record(index: object) -> None:
    record = {"index": INDEX_LIMIT - 1, "target": "a.jpg", "status": "ok"}
    assert parse_record(json.dumps(record).encode()) == record

    assert parse_record(json.dumps({**record, "index": index}).encode()) is None


@pytest.mark.parametrize(
    "error", [None, "network", [], {}, {"kind": "network"}, {"message": "m"}, {"kind": "network", "message": 3}]
)
def test_a_failure_that_does_not_say_why_is_no_record(error: object) -> None:
    record = {"index": 1, "target": "a.jpg", "status": "error", "error": {"kind": "network", "message": "a.jpg: away"}}
    assert parse_record(json.dumps(record).encode()) == record

    assert parse_record(json.dumps({**record, "error": error}).encode()) is None
