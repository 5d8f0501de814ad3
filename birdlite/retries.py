"""What a run cannot do without is tried again while it is away: the model, the list, earlier results, the output.

`models` and `storage` ask for what may be away only because of an outage. An error whose cause may pass
(`BirdliteError.temporary`) is raised when `--startup-timeout` is over, and any other one at once. Pauses grow, and each
is drawn at random below its ceiling, so that pods that were refused together do not come back together.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from birdlite import log
from birdlite.errors import BirdliteError

FIRST_S = 0.5  # ceiling of the first pause
LONGEST_S = 15.0  # ceiling of every later one: what is back is noticed within this time
LOG_S = 10.0  # between two messages

T = TypeVar("T")


def full_jitter(failures: int, first: float, longest: float) -> float:
    """Draw the seconds to wait after so many failures (from 1), below a ceiling that doubles from `first` to `longest`.

    "Full jitter": any moment up to the ceiling, so that clients that failed together do not return together.
    """
    ceiling = min(longest, first * 2.0 ** min(failures - 1, 30))
    return random.random() * ceiling  # noqa: S311 - spreads load, guards nothing


class Retries:
    """Calls to one thing, such as a bucket. It may be away for so many seconds, however many calls ask for it."""

    def __init__(
        self, seconds: float, stop: threading.Event, *, name: str | None = None, since: float | None = None
    ) -> None:
        """Setting `stop` ends all waiting: the error is raised then. `name` is for errors that do not name it.

        The time begins at `since`, on the monotonic clock, else with the first failure.
        """
        self._name = "" if name is None else f"{name}: "
        self._seconds = seconds
        self._stop = stop
        self._lock = threading.Lock()
        self._since = since  # when it went away
        self._failures = 0
        self._said: float | None = None  # when that was said last

    def call(self, call: Callable[[], T]) -> T:
        """Make a call until it works.

        Raises:
            BirdliteError: the last error of the call.
        """
        while True:
            try:
                answer = call()
            except BirdliteError as error:
                self.wait(error)
            else:
                self.worked()
                return answer

    def worked(self) -> None:
        """It is there."""
        with self._lock:
            self._since, self._failures, self._said = None, 0, None

    def wait(self, error: BirdliteError) -> None:
        """Pause after an error. Raises it if another try makes no sense, or no time is left for one."""
        if not error.temporary or self._seconds <= 0:
            raise error
        with self._lock:
            now = time.monotonic()
            if self._since is None:
                self._since = now
            self._failures += 1
            left = self._since + self._seconds - now
            pause = min(left, full_jitter(self._failures, FIRST_S, LONGEST_S))
            if left >= 0.5 and (self._said is None or now - self._said >= LOG_S):
                self._said = now
                log.warning(f"{self._name}{error}; trying again for up to {left:.0f} s (--startup-timeout)")
        if left <= 0:
            error.args = (f"{error}; given up after {self._seconds:g} s (--startup-timeout)",)
        if left <= 0 or self._stop.wait(pause):
            raise error
