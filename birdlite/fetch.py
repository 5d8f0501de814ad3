"""A URL's bytes: many threads ask one `Fetcher`, each for a picture, a model or a list of labels.

It asks politely (`politeness`), through a mirror if there is one (`mirror`), again if that may help (`retry`), and
never for longer than one deadline per URL (`deadline`), in which everything counts but waiting for a turn: connecting,
pauses, redirects. Whatever goes wrong is a `PictureError` with a kind and one line that does not repeat the URL.

The user names the URLs, so they may lead anywhere, the local network included: whoever lets strangers name them must
guard that network himself, or set a mirror, which every request then goes to.

Importing this room imports no HTTP client. The first `get` does, or `preload`, for a caller that times it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from birdlite import log
from birdlite.errors import PictureError
from birdlite.network.body import finish, read_body
from birdlite.network.deadline import Deadline
from birdlite.network.mirror import check_mirror, rewrite
from birdlite.network.politeness import (
    USER_AGENT,
    HostLimits,
    PerHost,
    check_user_agent,
    parse_per_host,
    thumbnail_advice,
)
from birdlite.network.retry import BACKOFF_S, MAX_RETRY_AFTER_S, Setback, backoff, may_pass, retry_after
from birdlite.records import NamedTuple

__all__ = ["DEFAULTS", "FetchSettings", "Fetcher", "PerHost", "check_mirror", "parse_per_host"]

if TYPE_CHECKING:
    import httpx

    from birdlite.network.sockets import Current

TIMEOUT_S = 30.0
"""One URL, all in all: a photograph of 10 MB at 3 Mbit/s."""

CONNECT_TIMEOUT_S = 5.0
"""A host that has not answered after two lost packets (1 + 2 s) and a slow line is most likely not there."""

READ_TIMEOUT_S = 10.0
"""Silence: longer than any server takes to find a file, short enough for a second try within the deadline."""

RETRIES = 3
"""Pauses of up to 0.2, 0.4 and 0.8 s: a server's hiccup is over by then, and an outage will not be."""

MAX_BYTES = 64 * 1024 * 1024
"""A 24 Mpx photograph is 5 to 15 MB as JPEG and 72 MB uncompressed; the bound is per download under way."""

MAX_REDIRECTS = 5
"""Model stores take two or three; a loop ends here."""

DOWNLOADS = 16
"""Downloads at once: most of a download is waiting, and two or three hosts at 6 each keep an ordinary line full."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class FetchSettings(NamedTuple):
    """How to fetch. Times in seconds; every field can be set from the command line or the environment."""

    user_agent: str = USER_AGENT
    timeout: float = TIMEOUT_S  # for one URL, everything included
    connect_timeout: float = CONNECT_TIMEOUT_S  # for one of a host's addresses
    read_timeout: float = READ_TIMEOUT_S  # of silence
    retries: int = RETRIES  # after the first try, redirects included
    max_bytes: int = MAX_BYTES
    max_redirects: int = MAX_REDIRECTS
    per_host: PerHost = PerHost()  # `parse_per_host` reads it from text
    downloads: int = (
        DOWNLOADS  # how many idle connections are kept; how many threads there are is the pipeline's affair
    )
    mirror: str | None = None
    offline: bool = False
    backoff: float = BACKOFF_S  # ceiling of the first pause


DEFAULTS = FetchSettings()


class Fetcher:
    """Fetches URLs for many threads at once, over connections that they share.

    `close` ends every fetch under way within a fraction of a second, as setting `cancel` does, save those that look up
    a name or connect: these end with their own timeouts, so run them in daemon threads.
    """

    def __init__(
        self,
        settings: FetchSettings = DEFAULTS,
        cancel: threading.Event | None = None,
        *,
        wait: Callable[[float], None] | None = None,
        chance: Callable[[], float] | None = None,
    ) -> None:
        """`wait` sleeps between two tries and `chance` draws from [0, 1); tests put in their own.

        Raises:
            UsageError: the mirror or the User-Agent makes no sense.
        """
        check_user_agent(settings.user_agent)
        self._settings = settings
        self._mirror = None if settings.mirror is None else check_mirror(settings.mirror)
        self._closed = threading.Event()
        self._stops = (self._closed,) if cancel is None else (cancel, self._closed)
        self._wait = wait
        self._chance = chance
        self._lock = threading.Lock()
        self._under_way = 0
        self._client: httpx.Client | None = None
        self._current: Current | None = None
        self.hosts = HostLimits(settings.per_host)

    def preload(self) -> None:
        """Import the HTTP client and open it, without a connection yet. `get` does it when nobody has.

        Raises:
            UsageError: a proxy variable of the environment holds something that cannot be used.
        """
        with self._lock:
            if self._client is None and not self._settings.offline and not self._closed.is_set():
                from birdlite.network import sockets, transport

                self._current = sockets.Current()
                self._client = transport.open_client(self._settings.user_agent, self._settings.downloads, self._current)

    def get(self, url: str, *, max_bytes: int | None = None, timeout: float | None = None) -> bytes:
        """Fetch the bytes at `url`, all of them; none at all if the server sends none.

        `max_bytes` and `timeout` (s, everything included) stand in for those of the settings.

        Raises:
            PictureError: `blocked` (offline, or a redirect from https to http), `unsupported` (not http or https, no
                URL at all, an encoding that nobody asked for), `not_found` (no such host), `http_status`, `network`,
                `timeout`, `too_large`, `cancelled`.
            UsageError: what `preload` raises.
        """
        if self._settings.offline:
            raise PictureError("blocked", "it would have to be fetched, which --offline forbids")
        clock = Deadline(self._settings.timeout if timeout is None else timeout, self._stops)
        clock.left()
        self.preload()
        with self._lock:
            self._under_way += 1
        try:
            return self._pursue(url, self._settings.max_bytes if max_bytes is None else max_bytes, clock)
        except PictureError as error:
            if error.kind == "too_large" and max_bytes is None:
                raise PictureError(error.kind, f"{error} by --max-bytes") from error
            raise
        finally:
            with self._lock:
                self._under_way -= 1
            if self._closed.is_set():
                self._release()

    def close(self) -> None:
        """Call off what is under way and close every connection. Closing twice is harmless.

        The call does not wait: threads in `get` find out by themselves, and the last of them closes the client.
        """
        self._closed.set()
        self._release()

    def _release(self) -> None:
        """Close the client if nobody uses it."""
        with self._lock:
            if self._client is None or self._under_way:
                return
            client, self._client = self._client, None
        client.close()

    def _pursue(self, url: str, max_bytes: int, clock: Deadline) -> bytes:
        """Ask, follow and ask again until there is an answer or no sense in going on."""
        target = self._address(url)
        setbacks = redirects = 0
        while True:
            try:
                answer = self._ask(target, max_bytes, clock)
            except Setback as setback:
                setbacks += 1
                self._pause(setback, setbacks, target, clock)
                continue
            if isinstance(answer, bytes):
                return answer
            redirects += 1
            if redirects > self._settings.max_redirects:
                raise PictureError("http_status", f"more than {self._settings.max_redirects} redirects")
            target = self._follow(target, answer)

    def _address(self, url: str) -> httpx.URL:
        """Find where `url` is really asked for."""
        from birdlite.network import transport

        target = transport.address(url)
        return target if self._mirror is None else transport.address(rewrite(str(target), self._mirror))

    def _follow(self, target: httpx.URL, location: str) -> httpx.URL:
        """Find where a redirect from `target` leads. A relative one is relative to what was asked, mirror or not."""
        from birdlite.network import transport

        host = transport.host_of(target)
        try:
            following = self._address(transport.join(target, location))
        except PictureError as error:
            raise PictureError(error.kind, f"redirected by {host} to what cannot be fetched: {error}") from error
        if target.scheme == "https" and following.scheme == "http":
            raise PictureError("blocked", f"redirected by {host} from https to http, where anybody could answer")
        log.debug("redirect", url=transport.shown(target), to=transport.shown(following))
        return following

    def _ask(self, target: httpx.URL, max_bytes: int, clock: Deadline) -> bytes | str:
        """Make one request, in its turn: the body, or the Location that a redirect names."""
        from birdlite.network import transport

        host = transport.host_of(target)
        queued = time.monotonic()
        self.hosts.enter(host, clock.check)
        clock.excuse(
            time.monotonic() - queued
        )  # politeness is ours: a long queue must not cost the last ones their time
        try:
            clock.doing = f"waiting for {host}"
            client, current = self._client, self._current
            if client is None or current is None:  # closed in this very moment
                raise PictureError("cancelled", "called off before it was asked for")
            current.deadline = clock
            response: httpx.Response | None = None
            try:
                response = client.send(client.build_request("GET", target, timeout=self._timeouts(clock)), stream=True)
                clock.doing = f"receiving from {host}"
                return self._judge(response, target, max_bytes, clock)
            except transport.FAULTS as fault:
                raise transport.explain(fault, host) from fault
            finally:
                if response is not None:
                    response.close()
                current.deadline = None
        finally:
            self.hosts.leave(host)

    def _timeouts(self, clock: Deadline) -> tuple[float, float, float, float]:
        """Limit connecting, reading, writing and the wait for the pool, each to no more than what is left."""
        left = clock.left()
        reading = min(self._settings.read_timeout, left)
        return min(self._settings.connect_timeout, left), reading, reading, left

    def _judge(self, response: httpx.Response, target: httpx.URL, max_bytes: int, clock: Deadline) -> bytes | str:
        """Decide what an answer means: the body, the Location of a redirect, or a failure."""
        from birdlite.network import transport

        status = response.status_code
        if 200 <= status < 300:
            return read_body(response, max_bytes, clock)
        host = transport.host_of(target)
        said = f"{transport.phrase(status)} from {host}"
        location: str | None = response.extensions.get("location")
        asked = retry_after(response.headers.get("Retry-After"))
        try:
            finish(response, clock)
        except transport.FAULTS as fault:  # the status is the answer; its page was wanted only to keep the connection
            log.debug("unfinished answer", url=transport.shown(target), reason=type(fault).__name__)
        if status in _REDIRECTS:
            if location:
                return location
            raise PictureError("http_status", f"{said}, without a Location to go to")
        advice = thumbnail_advice(host, target.path) if status == 429 else None
        if advice is not None:
            raise PictureError("http_status", f"{said}: {advice}")
        if may_pass(status):
            raise Setback("http_status", said, asked)
        raise PictureError("http_status", said)

    def _pause(self, setback: Setback, setbacks: int, target: httpx.URL, clock: Deadline) -> None:
        """Wait before another try, or raise what the `setbacks`-th setback comes to."""
        from birdlite.network import transport

        kind, tries = setback.kind, "" if setbacks == 1 else f" ({setbacks} tries)"
        if setbacks > self._settings.retries:
            raise PictureError(kind, f"{setback}{tries}") from setback
        asked = setback.retry_after or 0.0
        if asked > MAX_RETRY_AFTER_S:
            raise PictureError(
                kind, f"{setback}{tries}; it asks to wait {asked:.0f} s, longer than {MAX_RETRY_AFTER_S:.0f} s"
            ) from setback
        pause = max(asked, backoff(setbacks, self._chance or _random, self._settings.backoff))
        if pause >= clock.left():
            raise PictureError(kind, f"{setback}{tries}; no time is left to try again after {pause:.1f} s") from setback
        log.debug("retry", url=transport.shown(target), reason=str(setback), setbacks=setbacks, wait_s=round(pause, 3))
        clock.doing = f"pausing after: {setback}"
        (self._wait or clock.wait)(pause)
        clock.left()


def _random() -> float:
    import random  # httpx has imported it long since, with email.utils

    return random.random()  # noqa: S311 - spreads load, guards nothing
