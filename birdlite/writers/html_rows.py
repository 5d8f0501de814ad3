"""Rows of the report that wait for its end: the first by the order of the list, in whatever order they come.

Shards and `--unordered` runs give results as they are finished, and their pages should not depend on chance. A row is
packed by itself, so that it can be let go when one before it comes; the first row serves all others as dictionary, for
they hardly differ from it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from heapq import heappush, heappushpop

LEVEL, WINDOW, MEMORY = 1, -12, 5  # zlib's cheapest that still finds a whole row; negative: without header and checksum


class KeptRows:
    """The first `limit` rows."""

    def __init__(self, limit: int, *, by_index: bool) -> None:
        """Keep those of the smallest indexes, or those that come first."""
        self._limit = limit
        self._by_index = by_index
        self._heap: list[tuple[int, int, bytes]] = []  # the last row on top: its key and its number, both negative
        self._came = 0
        self._dictionary = b""

    def __len__(self) -> int:
        return len(self._heap)

    def wants(self, index: int) -> bool:
        """Whether a row that comes now would be kept, for now."""
        return len(self._heap) < self._limit or (self._by_index and index < -self._heap[0][0])

    def add(self, index: int, row: str) -> None:
        """Keep a row that is wanted."""
        octets = row.encode()
        self._dictionary = self._dictionary or octets
        packer = zlib.compressobj(LEVEL, zlib.DEFLATED, WINDOW, MEMORY, zlib.Z_DEFAULT_STRATEGY, self._dictionary)
        self._came += 1
        kept = (-(index if self._by_index else self._came), -self._came, packer.compress(octets) + packer.flush())
        (heappush if len(self._heap) < self._limit else heappushpop)(self._heap, kept)

    def __iter__(self) -> Iterator[str]:
        for _, _, packed in sorted(self._heap, reverse=True):
            unpacker = zlib.decompressobj(WINDOW, self._dictionary)
            yield (unpacker.decompress(packed) + unpacker.flush()).decode()
