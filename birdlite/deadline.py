"""How long one URL may take in all, and whether anybody still waits for it. Made by `fetch`, asked by all that wait."""

from __future__ import annotations

import threading
import time

from birdlite.errors import PictureError

POLL_S = 0.1
"""How often a wait looks up. Interrupted runs end within a second, and ten looks a second cost nothing."""


class Deadline:
    """When one fetch is given up, retries and pauses included, and who may call it off before."""

    def __init__(self, seconds: float, stops: tuple[threading.Event, ...]) -> None:
        """Start now. Any of the `stops` (there is at least one) that is set calls the fetch off."""
        self._seconds = seconds
        self._at = time.monotonic() + seconds
        self._stops = stops
        self.doing = "starting"  # for the message: what the time went on

    def check(self) -> None:
        """Raise PictureError, `cancelled`, if the fetch was called off."""
        if any(stop.is_set() for stop in self._stops):
            raise PictureError("cancelled", "called off before it was here")

    def left(self) -> float:
        """Tell how many seconds are left, more than 0.

        Raises:
            PictureError: none are left (`timeout`), or the fetch was called off (`cancelled`).
        """
        self.check()
        left = self._at - time.monotonic()
        if left <= 0:
            raise PictureError("timeout", f"not here within {self._seconds:g} s: {self.doing}")
        return left

    def excuse(self, seconds: float) -> None:
        """Put the end off, for time that was spent on our own account and not on the server's."""
        self._at += seconds

    def wait(self, seconds: float) -> None:
        """Sleep for so long, unless the fetch is called off or out of time first: then raise what `left` raises."""
        until = time.monotonic() + seconds
        while (rest := until - time.monotonic()) > 0:
            self._stops[0].wait(min(rest, self.left(), POLL_S))
        self.left()
