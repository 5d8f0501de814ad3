"""An object read in ranges: completely, of one version, with little memory."""

from __future__ import annotations

import pytest

from birdlite.storage.stream import FIRST, GROWTH, LARGEST, ObjectStream, Range

DATA = bytes(range(256)) * 40_000  # 10 MB


class Object:
    """Gives ranges of its data, and keeps what it was asked for."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.asked: list[tuple[int, int, str | None]] = []

    def get(self, start: int, end: int, version: str | None) -> Range:
        self.asked.append((start, end, version))
        return self.data[start:end], len(self.data), "v1"


def read_all(stream: ObjectStream, size: int) -> bytes:
    parts = []
    while part := stream.read(size):
        assert len(part) <= size
        parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize("size", [1000, FIRST, 1 << 30])
def test_an_object_is_read_completely_and_in_order(size: int) -> None:
    assert read_all(ObjectStream(Object(DATA).get), size) == DATA


@pytest.mark.parametrize("length", [0, 1, FIRST - 1, FIRST, FIRST + 1])
def test_the_end_needs_no_request_of_its_own(length: int) -> None:
    thing = Object(DATA[:length])
    stream = ObjectStream(thing.get)

    assert read_all(stream, 1 << 20) == DATA[:length]
    assert stream.read(1) == b""

    assert len(thing.asked) == (2 if length > FIRST else 1)


def test_ranges_grow_from_small_to_large() -> None:
    thing = Object(DATA)

    read_all(ObjectStream(thing.get), 1 << 20)

    sizes = [end - start for start, end, _ in thing.asked]
    assert sizes[:4] == [FIRST, FIRST * GROWTH, FIRST * GROWTH**2, LARGEST]
    assert max(sizes) == LARGEST


@pytest.mark.parametrize(("largest", "most"), [(1000, 1000), (LARGEST * 2, LARGEST)])
def test_no_range_is_larger_than_allowed(largest: int, most: int) -> None:
    thing = Object(DATA)

    ObjectStream(thing.get, largest=largest).read(1)
    read_all(ObjectStream(thing.get, largest=largest), 1 << 20)

    assert max(end - start for start, end, _ in thing.asked) == most


def test_all_ranges_are_of_one_version() -> None:
    thing = Object(DATA)

    read_all(ObjectStream(thing.get), 1 << 20)

    assert [version for _, _, version in thing.asked] == [None, *["v1"] * (len(thing.asked) - 1)]


def test_no_request_is_made_before_the_first_read() -> None:
    thing = Object(DATA)

    ObjectStream(thing.get)

    assert thing.asked == []
