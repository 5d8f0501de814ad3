"""How birdlite behaves towards other people's servers: its User-Agent, and how many requests one host gets at once.

The numbers follow https://wikitech.wikimedia.org/wiki/Robot_policy, the strictest published policy among the hosts that
serve pictures of birds: at most 2 connections at once, and a User-Agent that names the tool and a contact. A library's
default User-Agent is answered there with 403 or 429.
"""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Callable, Iterable

from birdlite.deadline import POLL_S
from birdlite.errors import UsageError
from birdlite.settings import PER_HOST, PER_NAMED_HOST, WIKIMEDIA, PerHost, host_key

_WIKIMEDIA_WIDTHS = (20, 40, 60, 120, 250, 330, 500, 960, 1280, 1920, 3840)  # px


def check_user_agent(text: str) -> str:
    """Give `text` back if it can stand in a header.

    Raises:
        UsageError: it is empty, or holds control characters or characters beyond ASCII.
    """
    if not re.fullmatch(r"[!-~]([ -~]*[!-~])?", text):
        raise UsageError(f"--user-agent {text!a}: a User-Agent is printable ASCII, and not empty")
    return text


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


def thumbnail_advice(host: str, path: str) -> str | None:
    """Say what is wrong with a URL of a Wikimedia thumbnail whose width is not served; None for all other URLs.

    Such a request is answered 429 without Retry-After. Asking again does not help.
    """
    match = re.search(r"/thumb/.*/(?:[a-z0-9]+-)*(\d{1,6})px-[^/]*$", path)
    if host_key(host) != WIKIMEDIA or match is None or int(match[1]) in _WIKIMEDIA_WIDTHS:
        return None
    return f"thumbnails are served {', '.join(map(str, _WIKIMEDIA_WIDTHS))} px wide, not {match[1]}"


DEFAULT_LIMITS = PerHost()


class HostLimits:
    """Limits the requests under way at one host. The others wait and get their turns in the order in which they came.

    Only hosts with a request under way are remembered, so that a list of a million hosts costs no memory.
    """

    def __init__(self, limits: PerHost = DEFAULT_LIMITS) -> None:
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

    def under_way(self, host: str) -> int:
        """Count the requests under way at `host`."""
        with self._lock:
            entry = self._hosts.get(host_key(host))
            return 0 if entry is None else entry.under_way

    def waiting(self, host: str) -> int:
        """Count the requests that wait for their turn at `host`."""
        with self._lock:
            entry = self._hosts.get(host_key(host))
            return 0 if entry is None else len(entry.queue)

    def __len__(self) -> int:
        """Count the hosts that are remembered."""
        with self._lock:
            return len(self._hosts)

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
    """How many requests are under way at one host, and an event for each that waits. Turns are passed on in order."""

    __slots__ = ("queue", "under_way")

    def __init__(self) -> None:
        self.under_way = 0
        self.queue: deque[threading.Event] = deque()
