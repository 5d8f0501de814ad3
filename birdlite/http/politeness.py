"""How birdlite behaves towards other people's servers: who it says it is, and how much it asks of one host at once.

The numbers follow https://wikitech.wikimedia.org/wiki/Robot_policy, the strictest published policy among the hosts that
pictures of birds come from: at most 2 connections at once, and a User-Agent that names the tool and a way to reach its
makers. Library defaults are answered there with 403 or 429.
"""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Callable, Iterable

from birdlite.deadline import POLL_S
from birdlite.errors import UsageError
from birdlite.http.settings import PER_HOST, PER_NAMED_HOST, WIKIMEDIA, PerHost, host_key

_WIKIMEDIA_WIDTHS = (20, 40, 60, 120, 250, 330, 500, 960, 1280, 1920, 3840)  # px


def check_user_agent(text: str) -> str:
    """Pass `text` if it is fit for a header.

    Raises:
        UsageError: it is empty, or holds what a header cannot carry: control characters or anything beyond ASCII.
    """
    if not re.fullmatch(r"[!-~]([ -~]*[!-~])?", text):
        raise UsageError(f"--user-agent {text!a}: a User-Agent is printable ASCII, and not empty")
    return text


def parse_per_host(values: Iterable[str]) -> PerHost:
    """Read the values of `--per-host`: `6` is the general limit, `upload.wikimedia.org=1` that of a named host.

    Each value may hold several, separated by commas, as an environment variable must. Later ones win.

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


def thumbnail_advice(host: str, path: str) -> str | None:
    """Say what is wrong with a Wikimedia thumbnail of a width that is not served; None for everything else.

    Such a request is answered 429 without Retry-After: asking again would be in vain, and rude.
    """
    match = re.search(r"/thumb/.*/(?:[a-z0-9]+-)*(\d{1,6})px-[^/]*$", path)
    if host_key(host) != WIKIMEDIA or match is None or int(match[1]) in _WIKIMEDIA_WIDTHS:
        return None
    return f"thumbnails are served {', '.join(map(str, _WIKIMEDIA_WIDTHS))} px wide, not {match[1]}"


DEFAULT_LIMITS = PerHost()


class HostLimits:
    """At most so many requests under way at one host. Those that wait get their turns in the order in which they came.

    Only hosts with a request under way are remembered: a list of a million hosts costs no memory.
    """

    def __init__(self, limits: PerHost = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._hosts: dict[str, _Host] = {}

    def enter(self, host: str, check: Callable[[], object]) -> None:
        """Wait for a turn at `host`. Each `enter` that returns is followed by one `leave`.

        `check` is called at every look-up and ends the wait by raising.
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
                if ticket.is_set():  # the turn came in the same moment: hand it on
                    self._pass_on(key)
                else:
                    entry.queue.remove(ticket)
            raise

    def leave(self, host: str) -> None:
        """Give the turn to the one who has waited longest, or back."""
        with self._lock:
            self._pass_on(host_key(host))

    def under_way(self, host: str) -> int:
        """Count the requests that have their turn at `host` now."""
        with self._lock:
            entry = self._hosts.get(host_key(host))
            return 0 if entry is None else entry.under_way

    def waiting(self, host: str) -> int:
        """Count those that wait for one."""
        with self._lock:
            entry = self._hosts.get(host_key(host))
            return 0 if entry is None else len(entry.queue)

    def __len__(self) -> int:
        """Count the hosts that are remembered."""
        with self._lock:
            return len(self._hosts)

    def _pass_on(self, key: str) -> None:
        """Hand a turn at `key` on. The lock is held."""
        entry = self._hosts[key]
        if entry.queue:
            entry.queue.popleft().set()
            return
        entry.under_way -= 1
        if not entry.under_way:
            del self._hosts[key]


class _Host:
    """Who is at one host and who waits, one event each. Turns are handed over directly, so nobody can push in."""

    __slots__ = ("queue", "under_way")

    def __init__(self) -> None:
        self.under_way = 0
        self.queue: deque[threading.Event] = deque()
