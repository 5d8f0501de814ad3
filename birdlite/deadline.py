"""How long one URL may take in all. The fetcher makes one for each URL; everything that waits checks it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeAlias

from birdlite.errors import PictureError

Room: TypeAlias = "Callable[[int | None, int], int]"
"""Reserves memory for a body: of so many bytes, or of an unknown number up to a bound. Gives how many it may have."""

POLL_S = 0.1
"""How often a wait checks for a stop: an interrupted run ends within a second, and ten checks a second cost nothing."""


class Deadline:
    """When one fetch ends, retries and pauses included, and the events that cancel it before."""

    def __init__(self, seconds: float, stops: tuple[threading.Event, ...], room: Room | None = None) -> None:
        """Start now. The fetch is cancelled when any of the `stops` (there is at least one) is set."""
        self._seconds = seconds
        self._at = time.monotonic() + seconds
        self._stops = stops
        self._room = room
        self._answer_by: float | None = None
        self.answered = False  # bytes come, so `answer_by` no longer counts
        self.doing = "not asked yet"  # for the message: what the time went on
        self.bound = "--max-bytes"  # for the message: what bounds the body

    def answer_by(self, at: float | None) -> None:
        """Let the fetch end at `at`, on the monotonic clock, unless there is an answer by then."""
        self._answer_by = at

    def part(self, seconds: float) -> Deadline:
        """Give a deadline for a part of the work: after so many seconds, or when this one ends."""
        return Deadline(min(seconds, self.left()), self._stops)

    def check(self) -> None:
        """Raise PictureError, `cancelled`, if the fetch was cancelled."""
        if any(stop.is_set() for stop in self._stops):
            raise PictureError("cancelled", "cancelled before it was complete")

    def left(self) -> float:
        """Tell how many seconds are left, more than 0.

        Raises:
            PictureError: none are left (`timeout`), or the fetch was cancelled (`cancelled`).
        """
        self.check()
        now = time.monotonic()
        left = self._at - now
        if self._answer_by is not None and not self.answered:
            if self._answer_by <= now:
                raise PictureError("timeout", f"no answer in time: {self.doing}")
            left = min(left, self._answer_by - now)
        if left <= 0:
            raise PictureError("timeout", f"timed out after {self._seconds:g} s: {self.doing}")
        return left

    def excuse(self, seconds: float) -> None:
        """Extend the time, for a wait that the server did not cause."""
        self._at += seconds

    def room_for(self, length: int | None, most: int) -> int:
        """Reserve memory for a body of `length` bytes, or of up to `most`. Waiting for it does not count.

        Raises:
            PictureError: `too_large`, more than there is; `cancelled`.
        """
        if self._room is None or (length or 0) > most:
            return most
        asked = time.monotonic()
        given = self._room(length, most)
        self.excuse(time.monotonic() - asked)
        if given < most and length is None:
            self.bound = "--memory"
        return given

    def wait(self, seconds: float) -> None:
        """Sleep for so long. If the fetch is cancelled or out of time first, raise what `left` raises."""
        until = time.monotonic() + seconds
        while (rest := until - time.monotonic()) > 0:
            self._stops[0].wait(min(rest, self.left(), POLL_S))
        self.left()
