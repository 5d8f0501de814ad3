"""Which failures deserve another try, and how long to wait before it. Pure arithmetic; `fetch` does the waiting."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from birdlite.errors import PictureError
from birdlite.http.settings import BACKOFF_S
from birdlite.results import FailureKind

BACKOFF_CAP_S = 5.0
"""Ceiling of every later wait: beyond it the deadline of one picture (30 s) leaves no room for another try."""

MAX_RETRY_AFTER_S = 10.0
"""The longest wait that a server may ask of us. One picture is not worth more; the next run asks again."""

_PASSING_4XX = frozenset({408, 425, 429})
_LASTING_5XX = frozenset({501, 505, 506, 508, 510, 511})  # "never in this way", says RFC 9110 and the registry of codes


class Setback(PictureError):
    """A failure that may pass: what it would be if nobody tried again, and what the server asked for meanwhile."""

    def __init__(self, kind: FailureKind, message: str, retry_after: float | None = None) -> None:
        super().__init__(kind, message)
        self.retry_after = retry_after  # s, or None when the server did not say


def may_pass(status: int) -> bool:
    """Tell whether the same request may get another answer later: 408, 425, 429, and the 5xx that are not for ever.

    That is every 5xx but 501, 505, 506, 508, 510 and 511, so the content networks' own (520 to 530) are in.
    """
    return status in _PASSING_4XX or (500 <= status < 600 and status not in _LASTING_5XX)


def backoff(setbacks: int, chance: Callable[[], float], base: float = BACKOFF_S) -> float:
    """Draw the seconds to wait after the `setbacks`-th failure (from 1), below a ceiling that doubles each time.

    "Full jitter": any moment up to the ceiling, so that clients which failed together do not come back together.
    `chance` gives a number in [0, 1), as `random.random` does.
    """
    ceiling = min(BACKOFF_CAP_S, base * 2.0 ** min(setbacks - 1, 30))
    return chance() * ceiling


def retry_after(value: str | None, now: Callable[[], float] = time.time) -> float | None:
    """Read the seconds that a Retry-After header asks for (RFC 9110, 10.2.3): a number or a date, else None.

    A date that is past asks for 0. `now` is the wall clock in seconds since 1970.
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
