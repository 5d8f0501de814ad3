"""How birdlite treats other people's servers: its User-Agent, its requests at one host at once, its further tries.

The numbers follow https://wikitech.wikimedia.org/wiki/Robot_policy, the strictest published policy among the hosts that
serve pictures of birds: at most 2 connections at once, and a User-Agent that names the tool and a contact. A library's
default User-Agent is answered there with 403 or 429.
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable

from birdlite.deadline import POLL_S
from birdlite.errors import UsageError
from birdlite.settings import PER_HOST, PER_NAMED_HOST, PerHost, host_key, is_header_text

BACKOFF_CAP_S = 5.0
"""Ceiling of every later wait. Longer waits leave no time for another try within the deadline of a picture (30 s)."""

MAX_RETRY_AFTER_S = 10.0
"""The longest wait that a server may ask for. After a longer one the picture fails; the next run asks again."""

_DAY_S = 86_400
_LAST_YEAR = 9999  # of Python's calendar
_PASSING_4XX = frozenset({408, 425, 429})
_LASTING_5XX = frozenset({501, 505, 506, 508, 510, 511})  # "never in this way", says RFC 9110 and the registry of codes


def check_user_agent(text: str) -> None:
    """Check that `text` can stand in a header.

    Raises:
        UsageError: it is empty, or holds control characters or characters beyond ASCII.
    """
    if not is_header_text(text):
        raise UsageError(f"--user-agent {text!a}: a User-Agent is printable ASCII, and not empty")


def parse_per_host(values: Iterable[str]) -> PerHost:
    """Read the values of `--per-host`: `6` is the general limit, `upload.wikimedia.org=1` that of a named host.

    A value may hold several, separated by commas, as in an environment variable. Later ones win.

    Raises:
        UsageError: a value is neither N nor HOST=N with N from 1.
    """
    general, named = PER_HOST, dict(PER_NAMED_HOST)
    for value in ",".join(values).split(","):
        host, equals, number = (part.strip() for part in value.rpartition("="))
        if not (host or equals or number):
            continue
        if bool(host) != bool(equals) or not re.fullmatch(r"0*[1-9]\d{0,5}", number, re.ASCII):
            raise UsageError(f"--per-host {value.strip()!a}: must be a number from 1, or HOST=NUMBER")
        if host:
            named[host_key(host)] = int(number)
        else:
            general = int(number)
    return PerHost(general, named)


class HostLimits:
    """Limits the requests under way at one host. The others wait and get their turns in the order in which they came.

    Only hosts with a request under way are remembered, so that a list of a million hosts costs no memory.
    """

    def __init__(self, limits: PerHost) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._hosts: dict[str, _Host] = {}

    def enter(self, host: str, check: Callable[[], object]) -> None:
        """Wait for a turn at `host`. Each `enter` that returns is followed by one `leave`.

        `check` is called every `POLL_S` and ends the wait by raising.
        """
        key = host_key(host)
        check()
        with self._lock:
            entry = self._hosts.setdefault(key, _Host())
            if entry.under_way < self._limits.limit(key):
                entry.under_way += 1
                return
            ticket = threading.Event()
            entry.queue.append(ticket)
        try:
            while not ticket.wait(POLL_S):
                check()
        except BaseException:
            with self._lock:
                if ticket.is_set():  # the turn came at the same moment: pass it on
                    self._pass_on(key)
                else:
                    entry.queue.remove(ticket)
            raise

    def leave(self, host: str) -> None:
        """Pass the turn on to the request that has waited longest, if any waits."""
        with self._lock:
            self._pass_on(host_key(host))

    def counts(self) -> dict[str, tuple[int, int]]:
        """Count the requests under way and those that wait, by host."""
        with self._lock:
            return {key: (entry.under_way, len(entry.queue)) for key, entry in self._hosts.items()}

    def _pass_on(self, key: str) -> None:
        """Pass a turn at `key` on. The lock is held."""
        entry = self._hosts[key]
        if entry.queue:
            entry.queue.popleft().set()
            return
        entry.under_way -= 1
        if not entry.under_way:
            del self._hosts[key]


class _Host:
    """The requests at one host."""

    def __init__(self) -> None:
        self.under_way = 0
        self.queue: deque[threading.Event] = deque()  # one for each request that waits; set when its turn has come


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


def backoff(failures: int, base: float) -> float:
    """Draw the seconds to wait after so many failures (from 1), as `full_jitter`."""
    from birdlite.retries import full_jitter  # only a failure needs it

    return full_jitter(failures, base, BACKOFF_CAP_S)


def retry_after(value: str | None) -> float | None:
    """Read the seconds that a Retry-After header asks for (RFC 9110, 10.2.3), a number or a date; None otherwise.

    A date in the past asks for 0. A number of any length counts, and may be infinite.
    """
    if value is None:
        return None
    value = value.strip()
    if re.fullmatch(r"\d+(\.\d+)?", value, re.ASCII):  # fractions are not in the standard, but they are sent
        return float(value)
    from email.utils import mktime_tz, parsedate_tz

    parts = parsedate_tz(value)
    if parts is None:
        return None
    try:
        return max(0.0, mktime_tz(parts) - time.time())
    except (ValueError, OverflowError):  # the 40th of January, the year 99999
        return math.inf if parts[0] > _LAST_YEAR else None


def span(seconds: float) -> str:
    """Name a time that a server asks to wait."""
    return f"{seconds:.0f} s" if seconds <= _DAY_S else "more than a day"
