"""A URL's bytes: many threads ask one `Fetcher`, each for a picture, a model or a list of labels.

It asks politely (`politeness`), through a mirror if there is one (`mirror`), again if that may help (`retry`), and
never for longer than one deadline per URL (`deadline`), in which everything counts but waiting for a turn: connecting,
pauses, redirects. Whatever goes wrong is a `PictureError` with a kind and one line that does not repeat the URL.

The user names the URLs, so they may lead anywhere, the local network included: whoever lets strangers name them must
guard that network himself, or set a mirror, which every request then goes to.

A run without a URL does not import this room. What it may be told stands in `network.settings`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from birdlite import log
from birdlite.deadline import Deadline
from birdlite.errors import PictureError
from birdlite.http.address import Address, address, join
from birdlite.http.body import finish, read_body
from birdlite.http.connection import Response, phrase
from birdlite.http.mirror import check_mirror, rewrite
from birdlite.http.network_backend import Patience
from birdlite.http.politeness import HostLimits, check_user_agent, parse_per_host, thumbnail_advice
from birdlite.http.retry import MAX_RETRY_AFTER_S, Setback, backoff, may_pass, retry_after
from birdlite.http.settings import DEFAULTS, FetchSettings, PerHost
from birdlite.http.transport import Client

__all__ = ["DEFAULTS", "FetchSettings", "Fetcher", "PerHost", "check_mirror", "parse_per_host"]

_REDIRECTS = frozenset({301, 302, 303, 307, 308})


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
        self._client: Client | None = None
        self.hosts = HostLimits(settings.per_host)

    def preload(self) -> None:
        """Open the HTTP client, without a connection yet. `get` does it when nobody has.

        Raises:
            UsageError: a proxy variable of the environment holds something that cannot be used.
        """
        with self._lock:
            if self._client is None and not self._settings.offline and not self._closed.is_set():
                self._client = Client(self._settings.user_agent, self._settings.downloads)

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
            return self._smallest(url, self._settings.max_bytes if max_bytes is None else max_bytes, clock)
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

    def _smallest(self, url: str, max_bytes: int, clock: Deadline) -> bytes:
        """Get a rendition where one is wanted and to be had, else what is at `url` itself."""
        if self._settings.renditions:
            from birdlite.http.renditions import smaller

            rendition = smaller(url)
            if rendition is not None:
                try:
                    return self._pursue(rendition, max_bytes, clock)
                except PictureError as error:
                    if error.kind != "http_status":
                        raise
                    log.debug("no rendition, so the original", url=url, reason=str(error))
        return self._pursue(url, max_bytes, clock)

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

    def _address(self, url: str) -> Address:
        """Find where `url` is really asked for."""
        target = address(url)
        return target if self._mirror is None else address(rewrite(str(target), self._mirror))

    def _follow(self, target: Address, location: str) -> Address:
        """Find where a redirect from `target` leads. A relative one is relative to what was asked, mirror or not."""
        try:
            following = self._address(join(target, location))
        except PictureError as error:
            raise PictureError(error.kind, f"redirected by {target.host} to what cannot be fetched: {error}") from error
        if target.scheme == "https" and following.scheme == "http":
            raise PictureError("blocked", f"redirected by {target.host} from https to http, where anybody could answer")
        log.debug("redirect", url=target.shown, to=following.shown)
        return following

    def _ask(self, target: Address, max_bytes: int, clock: Deadline) -> bytes | str:
        """Make one request, in its turn: the body, or the Location that a redirect names."""
        host = target.host
        queued = time.monotonic()
        self.hosts.enter(host, clock.check)
        clock.excuse(
            time.monotonic() - queued
        )  # politeness is ours: a long queue must not cost the last ones their time
        try:
            clock.doing = f"waiting for {host}"
            client = self._client
            if client is None:  # closed in this very moment
                raise PictureError("cancelled", "called off before it was asked for")
            patience = Patience(clock, self._settings.connect_timeout, self._settings.read_timeout)
            response = client.get(target, patience)
            try:
                clock.doing = f"receiving from {host}"
                return self._judge(response, target, max_bytes, clock)
            finally:
                response.close()
        finally:
            self.hosts.leave(host)

    def _judge(self, response: Response, target: Address, max_bytes: int, clock: Deadline) -> bytes | str:
        """Decide what an answer means: the body, the Location of a redirect, or a failure."""
        status = response.status
        if 200 <= status < 300:
            return read_body(response, max_bytes, clock)
        said = f"{phrase(status)} from {target.host}"
        location = response.headers.get("Location")
        asked = retry_after(response.headers.get("Retry-After"))
        try:
            finish(response, clock)
        except Setback as setback:  # the status is the answer; its page was wanted only to keep the connection
            log.debug("unfinished answer", url=target.shown, reason=str(setback))
        if status in _REDIRECTS:
            if location:
                return location
            raise PictureError("http_status", f"{said}, without a Location to go to")
        advice = thumbnail_advice(target.host, target.path) if status == 429 else None
        if advice is not None:
            raise PictureError("http_status", f"{said}: {advice}")
        if may_pass(status):
            raise Setback("http_status", said, asked)
        raise PictureError("http_status", said)

    def _pause(self, setback: Setback, setbacks: int, target: Address, clock: Deadline) -> None:
        """Wait before another try, or raise what the `setbacks`-th setback comes to."""
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
        log.debug("retry", url=target.shown, reason=str(setback), setbacks=setbacks, wait_s=round(pause, 3))
        clock.doing = f"pausing after: {setback}"
        (self._wait or clock.wait)(pause)
        clock.left()


def _random() -> float:
    import random  # only a setback needs it

    return random.random()  # noqa: S311 - spreads load, guards nothing
