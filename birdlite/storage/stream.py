"""An object read from its beginning in ranges that grow: lists and parts. `store` gives one for each object."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

FIRST = 1 << 16  # bytes of the first range: a header, a short list
GROWTH = 4
LARGEST = 1 << 22  # bytes of a range; reading them takes as long as the request itself

Range: TypeAlias = "tuple[bytes, int, str | None]"
"""Some bytes of an object, the size of the whole object in bytes, and its version: the ETag."""

GetRange: TypeAlias = "Callable[[int, int, str | None], Range]"
"""Gives the bytes from one offset to another, of a version, or of any version for None. Raises StorageError."""


class ObjectStream:
    """An object as a file to read from its beginning, in ranges; at most `largest` bytes are in memory.

    Nothing stays open between two reads, so reading a list may take hours. All ranges are of one version of the object:
    if it is replaced meanwhile, the next read fails.
    """

    def __init__(self, get: GetRange, *, first: int = FIRST, largest: int = LARGEST) -> None:
        self._get = get
        self._largest = min(largest, LARGEST)
        self._next = min(first, self._largest)  # bytes of the next range
        self._offset = 0
        self._size: int | None = None
        self._version: str | None = None
        self._buffer = memoryview(b"")

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; none at the end.

        Raises:
            StorageError: the object does not exist, cannot be read, or was replaced.
        """
        if not self._buffer:
            self._fill()
        data, self._buffer = bytes(self._buffer[:size]), self._buffer[size:]
        return data

    def _fill(self) -> None:
        if self._size is not None and self._offset >= self._size:
            return
        data, self._size, self._version = self._get(self._offset, self._offset + self._next, self._version)
        self._offset += len(data)
        self._next = min(self._next * GROWTH, self._largest)
        self._buffer = memoryview(data)
