"""A part that is being made: `NAME.partial`, a header and then a line for each record, in the order of finishing.

Each line is one write to the system. So a killed process leaves complete lines, and at most the last one is cut;
`resume` removes that one. A target may have two records, a failure and the result of a retry: the later one counts. A
lock keeps a second process out, and the kernel releases it however the first one ends.

Memory takes 16 bytes for each record (`Places`). The records stay on the disk and are read back by their offset.

The thread that feeds the pipeline opens the journal and looks up targets; the caller's thread appends records.
"""

from __future__ import annotations

import os
import threading
from array import array
from bisect import bisect_left
from collections.abc import Iterator

from birdlite.batch.files import Record, parse_record
from birdlite.batch.header import HEADER_LIMIT, KEY, Header, parse_header
from birdlite.errors import OutputError
from birdlite.namedtuple import NamedTuple
from birdlite.results import Failure, is_away
from birdlite.writers.output import lock_output, make_folder, refused

_BLOCK = 1 << 12  # bytes to read at once for one record; most have fewer


class Place(NamedTuple):
    """Where a record is in the file."""

    offset: int  # bytes
    failed: bool
    away: bool = False  # failed, because something was away


class Places:
    """The place of each target's record: two sorted arrays, 16 bytes a record. Records come nearly in order."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._indexes = array("q")
        self._marks = array("q")  # four times the offset, plus 1 for a failure, and 2 if something was away
        self.failed = 0  # records
        self.away = 0

    def __len__(self) -> int:
        return len(self._indexes)

    def __iter__(self) -> Iterator[int]:
        """Offsets, by the index of the target. Do not call `put` meanwhile."""
        return (mark >> 2 for mark in self._marks)

    def offsets_of_away(self) -> list[int]:
        """Offsets of the failures because something was away, by the index of the target."""
        with self._lock:
            return [mark >> 2 for mark in self._marks if mark & 2]

    @property
    def last(self) -> int:
        """The highest index; -1 without records."""
        return self._indexes[-1] if self._indexes else -1

    def put(self, index: int, place: Place) -> None:
        """Add a record; it replaces an earlier one of the same target."""
        mark = place.offset << 2 | place.away << 1 | place.failed
        with self._lock:
            at = bisect_left(self._indexes, index)
            if at < len(self._indexes) and self._indexes[at] == index:
                self.failed -= self._marks[at] & 1
                self.away -= self._marks[at] >> 1 & 1
                self._marks[at] = mark
            else:
                self._indexes.insert(at, index)
                self._marks.insert(at, mark)
            self.failed += place.failed
            self.away += place.away

    def get(self, index: int) -> Place | None:
        """Look up a target; None if it has no record."""
        with self._lock:
            at = bisect_left(self._indexes, index)
            if at == len(self._indexes) or self._indexes[at] != index:
                return None
            mark = self._marks[at]
            return Place(mark >> 2, bool(mark & 1), bool(mark & 2))


class Journal:
    """An open and locked `NAME.partial`."""

    def __init__(self, path: str) -> None:
        """Open or make the file and lock it, without changing it.

        Raises:
            OutputError: it cannot be opened, or another process is writing it.
        """
        self._path = path
        self._size = 0
        self.places = Places()
        try:
            make_folder(path)
            if os.path.exists(path) and not os.path.isfile(path):
                raise OutputError(f"{path}: not a regular file; move it away")
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except (OSError, ValueError) as error:
            raise refused(self._path, error) from error
        lock_output(self._descriptor, path)

    @property
    def size(self) -> int:
        """The bytes of complete lines."""
        return self._size

    def resume(self) -> Header | None:
        """Read the file up to the first incomplete line; None if the header is incomplete.

        Raises:
            OutputError: it cannot be read, or another program made it.
        """
        try:
            with open(self._path, "rb") as file:
                line = file.readline(HEADER_LIMIT)
                header = parse_header(line)
                if header is None or not line.endswith(b"\n"):
                    if not _is_cut_header(line):
                        raise OutputError(f"{self._path}: not an unfinished output of birdlite; move it away")
                    return None
                self._size = len(line)
                for line in file:
                    record = parse_record(line)
                    if record is None or not line.endswith(b"\n"):
                        break  # cut by a kill
                    self.places.put(record["index"], _place_of(record, self._size))
                    self._size += len(line)
            os.ftruncate(self._descriptor, self._size)
        except OSError as error:
            raise refused(self._path, error) from error
        return header

    def begin(self, header: Header) -> None:
        """Clear the file and write the header.

        Raises:
            OutputError: the disk refuses.
        """
        self._size = 0
        self.places = Places()
        try:
            os.ftruncate(self._descriptor, 0)
        except OSError as error:
            raise refused(self._path, error) from error
        self._write(header.line())

    def append(self, index: int, line: str, *, failed: bool, away: bool = False) -> None:
        """Write the record of a target, with its line end.

        Raises:
            OutputError: the disk refuses; earlier records stay.
        """
        offset = self._size
        self._write(line)
        self.places.put(index, Place(offset, failed, away))

    def line_at(self, offset: int) -> bytes:
        """Read back the line that begins at `offset`, with its end.

        Raises:
            OutputError: the disk refuses, or another program changed the file.
        """
        data = b""
        try:
            while b"\n" not in data:
                block = os.pread(self._descriptor, _BLOCK, offset + len(data))
                if not block:
                    raise OutputError(f"{self._path}: another program has changed this file")
                data += block
        except OSError as error:
            raise refused(self._path, error) from error
        return data[: data.index(b"\n") + 1]

    def close(self) -> None:
        """Close and unlock the file; it stays. The second time, nothing happens: the number may be another file's."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor != -1:
            os.close(descriptor)

    def remove(self) -> None:
        """Delete the file, after its records are in the part."""
        try:
            os.unlink(self._path)
        except OSError as error:
            raise refused(self._path, error) from error

    def _write(self, line: str) -> None:
        data = memoryview(line.encode())
        try:
            at = self._size
            while data:
                written = os.pwrite(self._descriptor, data, at)
                at, data = at + written, data[written:]
        except OSError as error:
            raise refused(self._path, error) from error
        self._size = at


def _place_of(record: Record, offset: int) -> Place:
    if record["status"] != "error":
        return Place(offset, failed=False)
    return Place(offset, failed=True, away=is_away(record["target"], Failure(**record["error"])))


def _is_cut_header(line: bytes) -> bool:
    begin = b'{"%s"' % KEY.encode()
    return not line.endswith(b"\n") and line[: len(begin)] == begin[: len(line)]
