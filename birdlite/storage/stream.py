"""An object as a file to read from its beginning, in ranges. For lists, parts and outputs; made by `store`.

Nothing stays open between two reads, so a list may be read for hours. All ranges are of one version of the object: if
another one has taken its name meanwhile, the next read fails and says so.
"""

from __future__ import annotations

from collections.abc import Callable

from birdlite.namedtuple import NamedTuple

FIRST = 1 << 16  # bytes of the first range: a header, a short list
GROWTH = 4
LARGEST = 1 << 22  # bytes; some hundredths of a second at the speed of a store, when a request takes as long


class Range(NamedTuple):
    """Some bytes of an object, and what else the answer says."""

    data: bytes
    size: int  # bytes, of the whole object
    version: str | None  # its ETag


GetRange = Callable[[int, int, "str | None"], Range]
"""Bytes from an offset to another, of the version named, or of any for None. Raises StorageError."""


class ObjectStream:
    """Reads forward. At most `largest` bytes are in memory."""

    def __init__(self, get: GetRange, *, largest: int = LARGEST) -> None:
        self._get = get
        self._largest = min(largest, LARGEST)
        self._next = min(FIRST, largest)  # bytes to ask for
        self._offset = 0
        self._size: int | None = None
        self._version: str | None = None
        self._buffer = memoryview(b"")

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; none at the end.

        Raises:
            StorageError: the object is not there, cannot be read, or has been replaced.
        """
        if not self._buffer:
            self._fill()
        data, self._buffer = bytes(self._buffer[:size]), self._buffer[size:]
        return data

    def _fill(self) -> None:
        if self._size is not None and self._offset >= self._size:
            return
        found = self._get(self._offset, self._offset + self._next, self._version)
        self._size, self._version = found.size, found.version
        self._offset += len(found.data)
        self._next = min(self._next * GROWTH, self._largest)
        self._buffer = memoryview(found.data)
