"""Pictures that may have killed the process: noted, tried alone by the next start, and given up after two deaths.

A run with --resume notes in `NAME.suspects.partial` which pictures it is decoding. If the process is killed (out of
memory, a crash in a decoder), the note stays, and the next start reads it. It decodes each of these suspects while
nothing else is decoded. If the process is killed then too, there is no doubt which picture did it. After `DEATHS` of
these, the picture gets a failure as its record, and the run goes on. A run that ends in order leaves no suspects, also
if it was interrupted.

Beside a local part, each picture is noted when its decoding begins and ends: small writes to a file. Beside a part in
object storage, `AHEAD` targets are noted with one request before they are handed on; only suspects one by one.

`Part` makes a `Suspects`. The feeder's thread calls `admit`, the pipeline's threads `alone_or_noted`.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from birdlite import log
from birdlite.atomic_file import SUFFIX, quietly
from birdlite.errors import OutputError, StorageError
from birdlite.namedtuple import NamedTuple
from birdlite.redaction import redacted
from birdlite.results import Failure
from birdlite.targets import BadTarget, Target
from birdlite.writers.output import refused

if TYPE_CHECKING:
    from birdlite.storage.store import Storage

DEATHS = 2  # while it was alone
AHEAD = 64  # targets of this shard that are noted with one request
NAME = f".suspects{SUFFIX}"  # behind the name of the part
_LARGEST = 1 << 20  # bytes of a note; it has a few hundred numbers


class _Note(NamedTuple):
    """What is noted."""

    trial: list[tuple[int, str]]  # the suspect that is being decoded alone: index and name
    working: list[int]  # pictures that are being decoded, if there is no trial
    left: list[int]  # suspects that are still to be tried
    ranges: list[tuple[int, int]]  # the same; from the first to before the second
    deaths: list[tuple[int, str, int]]  # index, name, and how often the process was killed while it was alone


class Notes(Protocol):
    """Where the note is."""

    ahead: int  # targets to note with one request; 0: each when it is decoded

    def read(self) -> bytes:
        """The note; empty if it was not written."""

    def write(self, note: bytes) -> None:
        """Replace the note."""

    def remove(self) -> None:
        """Remove it."""


class Suspects:
    """The pictures of one run that are being decoded, and those of killed runs that are still to be tried."""

    def __init__(self, notes: Notes, shards: int) -> None:
        """Read what an earlier start left."""
        self._notes = notes
        self._ahead = notes.ahead * shards
        self._writing = threading.Lock()  # taken before the other one
        self._changed = threading.Condition()  # for all below
        self._working: set[int] = set()
        self._waiting = 0  # suspects that are, or wait to be, the only one
        self._trial: tuple[int, str] | None = None  # the one that is
        self._tried: set[int] = set()  # suspects of this start that killed nothing
        self._closed = False
        self._pending: set[int] = set()  # targets without a record, if they are noted ahead
        self._range = (0, 0)  # all of these, and those that come next
        state = _parsed(notes.read())
        self._deaths = {index: (redacted(name), deaths) for index, name, deaths in state.deaths}
        self._ranges = state.ranges
        for index, name in state.trial:
            self._deaths[index] = redacted(name), self._deaths_of(index, name) + 1
        self._left = {*state.working, *state.left, *self._deaths}
        if state.trial:
            self._save()  # or a start that is killed before it tries anything would count too

    def admit(self, target: Target | BadTarget) -> Target | BadTarget:
        """Take a target before it is handed on. One that kills becomes a failure."""
        if self._deaths_of(target.index, target.name) >= DEATHS:
            words = "the process was killed twice while it decoded this picture alone"
            return BadTarget(target.name, Failure("decode", f"{target.name}: {words}"), target.index)
        if self._ahead:
            with self._changed:
                self._pending.add(target.index)
                noted = target.index < self._range[1]
                if not noted:
                    self._range = min(self._pending), target.index + self._ahead
            if not noted:
                self._save()
        return target

    def recorded(self, index: int) -> None:
        """A target has its record."""
        with self._changed:
            self._pending.discard(index)

    @contextmanager
    def alone_or_noted(self, target: Target) -> Iterator[None]:
        """Around the decoding of a picture: a suspect waits until it is alone, others until no suspect is there."""
        suspect = self._enter(target)
        noted = suspect or not self._ahead
        if noted:
            self._save()
        if suspect:
            log.info(f"{target.name}: decoded alone, because a run was killed while it was under way")
        try:
            yield
        finally:
            with self._changed:
                self._working.discard(target.index)
                if suspect:
                    self._waiting -= 1
                    self._trial = None
                    self._tried.add(target.index)
                    self._deaths.pop(target.index, None)
                self._changed.notify_all()
            if noted:  # a run that is killed while it waits for its engine has no suspect
                self._save()

    def close(self, *, in_order: bool) -> None:
        """End the run. If it ends in order, what was under way is not suspect, and what was to be tried still is."""
        with self._changed:
            self._closed = True
            self._working, self._trial, self._range = set(), None, (0, 0)
            self._changed.notify_all()
        if in_order:
            if self._left or self._ranges:
                self._save(closing=True)
            else:
                self.remove()

    def remove(self) -> None:
        """Remove the note: the part is complete."""
        with self._writing:
            self._closed = True
            self._notes.remove()

    def _deaths_of(self, index: int, name: str) -> int:
        known, deaths = self._deaths.get(index, (name, 0))
        return deaths if redacted(known) == redacted(name) else 0

    def _enter(self, target: Target) -> bool:
        """Wait for the picture's turn; whether it is a suspect."""
        index = target.index
        with self._changed:
            suspect = index in self._left or any(first <= index < end for first, end in self._ranges)
            suspect = suspect and index not in self._tried
            if suspect:
                self._waiting += 1
                self._changed.wait_for(lambda: not self._working or self._closed)
                self._trial = index, redacted(target.name)
            else:
                self._changed.wait_for(lambda: not self._waiting or self._closed)
            self._working.add(index)
            return suspect

    def _save(self, *, closing: bool = False) -> None:
        with self._writing:
            with self._changed:
                if self._closed and not closing:
                    return
                note = _Note(
                    [self._trial] if self._trial else [],
                    [] if self._ahead or self._trial else sorted(self._working),
                    sorted(self._left - self._tried - self._working),
                    [*self._ranges, self._range] if self._range[1] else self._ranges,
                    [(index, name, deaths) for index, (name, deaths) in self._deaths.items()],
                )
            self._notes.write(json.dumps(note._asdict()).encode())


class LocalNotes:
    """A file beside a local part. Each note is one write to the system, so a killed process leaves a whole one."""

    ahead = 0

    def __init__(self, path: str) -> None:
        """`path` is that of the part."""
        self._path = path + NAME
        self._longest = 0  # bytes of a note so far

    def read(self) -> bytes:
        """The note."""
        try:
            with open(self._path, "rb") as file:
                note = file.read(_LARGEST)
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise refused(self._path, error) from error
        self._longest = len(note)
        return note

    def write(self, note: bytes) -> None:
        """Write over the last one; blanks cover what is left of a longer one."""
        try:
            self._longest = max(self._longest, len(note))
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                os.pwrite(descriptor, note.ljust(self._longest), 0)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise refused(self._path, error) from error

    def remove(self) -> None:
        """Remove the file."""
        quietly(lambda: os.unlink(self._path))


class ObjectNotes:
    """An object beside a part in object storage: a pod that is killed leaves nothing else."""

    ahead = AHEAD

    def __init__(self, url: str, storage: Storage) -> None:
        """`url` is that of the part."""
        self._url = url + NAME
        self._storage = storage
        self._refused = False

    def read(self) -> bytes:
        """The note."""
        try:
            return self._storage.open(self._url, largest=_LARGEST).read(_LARGEST)
        except StorageError as error:
            if error.cause in ("no_object", "denied"):
                return b""
            raise OutputError(f"{self._url}: cannot be read: {error}", temporary=error.temporary) from error

    def write(self, note: bytes) -> None:
        """Put the note. A store that forbids it is reported once; the run goes on without notes."""
        if self._refused:
            return
        try:
            self._storage.put_small(note, self._url)
        except StorageError as error:
            self._refused = error.cause == "denied"
            say = log.warning if self._refused else log.debug  # else the part will not be put either
            say(f"{self._url}: not written, so a picture that kills birdlite would stop this part: {error}")

    def remove(self) -> None:
        """Remove the object. If the store does not allow that, it stays, and does no harm."""
        try:
            self._storage.delete(self._url)
        except StorageError as error:
            log.debug("not removed", url=self._url, reason=str(error))


def _parsed(note: bytes) -> _Note:
    """What a note says; nothing if it is damaged, because no run depends on it."""
    try:
        state = json.loads(note)
        return _Note(
            [(int(index), str(name)) for index, name in state["trial"]],
            [int(index) for index in state["working"]],
            [int(index) for index in state["left"]],
            [(int(first), int(end)) for first, end in state["ranges"]],
            [(int(index), str(name), int(deaths)) for index, name, deaths in state["deaths"]],
        )
    except (OverflowError, ValueError, KeyError, TypeError, RecursionError):
        return _Note([], [], [], [], [])
