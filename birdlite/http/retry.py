"""Which failures deserve another try, and how long to wait before it. `fetcher` does the waiting."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from birdlite.errors import PictureError
from birdlite.results import FailureKind
from birdlite.settings import BACKOFF_S

BACKOFF_CAP_S = 5.0
"""Ceiling of every later wait. Longer waits leave no time for another try within the deadline of a picture (30 s)."""

MAX_RETRY_AFTER_S = 10.0
"""The longest wait that a server may ask for. After a longer one the picture fails; the next run asks again."""

_PASSING_4XX = frozenset({408, 425, 429})
_LASTING_5XX = frozenset({501, 505, 506, 508, 510, 511})  # "never in this way", says RFC 9110 and the registry of codes


class TransientError(PictureError):
    """A failure that may not happen again. It is the final one when no try is left."""

    def __init__(self, kind: FailureKind, message: str, retry_after: float | None = None) -> None:
        super().__init__(kind, message)
        self.retry_after = retry_after  # s that the server asks to wait; None if it does not say


def phrase(status: int) -> str:
    """Name a status, as in `404 Not Found`, in standard words: a server's own may be anything."""
    from http import HTTPStatus  # only a failure needs it

    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def may_pass(status: int) -> bool:
    """Tell whether the same request may get another answer later: 408, 425, 429, and most 5xx.

    The exceptions are 501, 505, 506, 508, 510 and 511. So the content networks' own (520 to 530) may pass.
    """
    return status in _PASSING_4XX or (500 <= status < 600 and status not in _LASTING_5XX)


def backoff(failures: int, chance: Callable[[], float], base: float = BACKOFF_S) -> float:
    """Draw the seconds to wait after so many failures (from 1), below a ceiling that doubles each time.

    "Full jitter": any moment up to the ceiling, so that clients that failed together do not return together.
    `chance` gives a number in [0, 1), as `random.random` does.
    """
    ceiling = min(BACKOFF_CAP_S, base * 2.0 ** min(failures - 1, 30))
    return chance() * ceiling


def retry_after(value: str | None, now: Callable[[], float] = time.time) -> float | None:
    """Read the seconds that a Retry-After header asks for (RFC 9110, 10.2.3), a number or a date; None otherwise.

    A date in the past asks for 0. `now` is the wall clock in seconds since 1970.
    """
    if value is None:
        return None
    value = value.strip()
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", value, re.ASCII):  # fractions are not in the standard, but they are sent
        return float(value)
    from email.utils import mktime_tz, parsedate_tz

    parts = parsedate_tz(value)
    if parts is None:
        return None
    try:
        return max(0.0, mktime_tz(parts) - now())
    except (ValueError, OverflowError):  # the 40th of January, the year 99999
        return None
