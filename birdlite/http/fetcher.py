"""A URL's bytes: many threads ask one `Fetcher`, each for a picture, a model or a list of labels.

It asks politely (`politeness`), through a mirror if there is one (`address`), again if that may help, and never for
longer than one deadline per URL (`deadline`). Connecting, pauses and redirects count towards the deadline; waiting for
a turn at a busy host does not. Every failure is a `PictureError` with a kind and one line that does not repeat the URL.

URLs may lead anywhere, the local network included. With `public_only`, a `Guard` sees every URL, redirect and address
before it is connected to. With a mirror, every request goes to that.

A run without a URL does not import this module.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from contextlib import closing, suppress
from functools import partial
from typing import TYPE_CHECKING

from birdlite import log
from birdlite.deadline import Deadline
from birdlite.errors import PictureError
from birdlite.http.address import Address, address, join, mirror_address, under_mirror
from birdlite.http.body import body_length, finish, read_body
from birdlite.http.network import Network
from birdlite.http.politeness import (
    MAX_RETRY_AFTER_S,
    HostLimits,
    backoff,
    check_user_agent,
    may_pass,
    phrase,
    retry_after,
    span,
)
from birdlite.http.proxies import find_proxies
from birdlite.http.sockets import Timeouts, TransientError
from birdlite.settings import DEFAULTS, FetchSettings, PerHost

if TYPE_CHECKING:
    import httpx

    from birdlite.deadline import Room
    from birdlite.http.client import Client
    from birdlite.http.guard import Guard

__all__ = ["DEFAULTS", "FetchSettings", "Fetcher", "PerHost"]

_REDIRECTS = frozenset({300, 301, 302, 303, 307, 308})


class Fetcher:
    """Fetches URLs for many threads at once, over connections that they share.

    `close` ends every fetch under way within a fraction of a second, as setting `cancel` does, except those that
    connect. These end with their own timeout, so run them in daemon threads.
    """

    def __init__(
        self,
        settings: FetchSettings = DEFAULTS,
        cancel: threading.Event | None = None,
        *,
        named: Iterable[str] = (),
    ) -> None:
        """`named` are URLs that the operator has named himself: with `public_only`, their servers are trusted.

        Raises:
            UsageError: the mirror, the User-Agent, an allowed host or a proxy of the environment cannot be used.
        """
        check_user_agent(settings.user_agent)
        self._settings = settings
        self._mirror = None if settings.mirror is None else mirror_address(settings.mirror)
        self._proxies = None if settings.offline else find_proxies()
        self._guard = self._make_guard(named) if settings.public_only else None
        self._network = Network(None if self._guard is None else self._guard.permit, self._mirror)
        self._closed = threading.Event()
        self._stops = (self._closed,) if cancel is None else (cancel, self._closed)
        self._lock = threading.Lock()  # around the two below
        self._under_way = 0
        self._client: Client | None = None
        self.hosts = HostLimits(settings.per_host)

    def preload(self) -> None:
        """Import httpx, which takes a while. Else `get` does it, after sending its first request."""
        if not self._settings.offline and not self._closed.is_set():
            self._opened()

    def get(
        self,
        url: str,
        stops: tuple[threading.Event, ...] = (),
        *,
        max_bytes: int | None = None,
        timeout: float | None = None,
        room: Room | None = None,
        answer_by: float | None = None,
    ) -> bytes:
        """Fetch all the bytes at `url`.

        Setting any of `stops` cancels it. `max_bytes` and `timeout` (s, everything included) replace those of the
        settings. `room` is asked for memory before a body is read, and may wait or refuse. `answer_by`, on the
        monotonic clock, is when it is given up unless the body has begun to come.

        Raises:
            PictureError: `blocked` (offline, not public, or a redirect from https to http), `unsupported` (not http or
                https, not a URL, a compression that was not asked for), `not_found` (no such host), `http_status`,
                `network`, `timeout`, `too_large`, `cancelled`.
        """
        if self._settings.offline:
            raise PictureError("blocked", "it would have to be fetched, which --offline forbids")
        clock = Deadline(self._settings.timeout if timeout is None else timeout, (*stops, *self._stops), room)
        clock.answer_by(answer_by)
        clock.left()
        with self._lock:
            self._under_way += 1
        try:
            return self._smallest(url, self._settings.max_bytes if max_bytes is None else max_bytes, clock)
        except PictureError as error:
            if error.kind == "too_large" and max_bytes is None:
                raise PictureError(error.kind, f"{error} by {clock.bound}") from error
            raise
        finally:
            with self._lock:
                self._under_way -= 1
            if self._closed.is_set():
                self._release()

    def close(self) -> None:
        """Cancel what is under way and close every connection. Closing twice is harmless.

        The call does not wait: threads in `get` notice by themselves, and the last of them closes the client.
        """
        self._closed.set()
        self._release()

    def _opened(self) -> Client:
        """Give the client; the first thread that needs it imports it, and Python lets the others wait."""
        from birdlite.http.client import Client

        agent, kept = self._settings.user_agent, self._settings.downloads
        with self._lock:
            if self._client is None:
                self._client = Client(self._network, self._proxies, user_agent=agent, kept=kept)
            return self._client

    def _release(self) -> None:
        """Close the client if no fetch uses it."""
        with self._lock:
            if self._client is None or self._under_way:
                return
            client, self._client = self._client, None
        client.close()

    def _smallest(self, url: str, max_bytes: int, clock: Deadline) -> bytes:
        """Get a smaller form of a photograph if one is wanted and known, else what is at `url` itself."""
        if self._settings.renditions:
            from birdlite.http.wikimedia import smaller

            rendition = smaller(url)
            if rendition is not None:
                try:
                    return self._pursue(rendition, max_bytes, clock)
                except PictureError as error:
                    if error.kind != "http_status":
                        raise
                    log.debug("no rendition, so the original", url=address(url).shown, reason=str(error))
        return self._pursue(url, max_bytes, clock)

    def _pursue(self, url: str, max_bytes: int, clock: Deadline) -> bytes:
        """Ask, follow redirects and ask again until there is an answer or a final failure."""
        target = self._checked(address(url), clock)
        failures = redirects = 0
        while True:
            try:
                answer = self._ask(target, max_bytes, clock)
            except TransientError as failure:
                failures += 1
                self._pause(failure, failures, target, clock)
                continue
            if isinstance(answer, bytes):
                return answer
            redirects += 1
            if redirects > self._settings.max_redirects:
                raise PictureError("http_status", f"more than {log.counted(self._settings.max_redirects, 'redirect')}")
            target = self._follow(target, answer, clock)

    def _make_guard(self, named: Iterable[str]) -> Guard:
        from birdlite.http.guard import Guard

        places = [] if self._mirror is None else [self._mirror]
        for url in named:
            with suppress(PictureError):  # `get` tells what is wrong with it
                places.append(address(url))
        return Guard(self._settings, places, () if self._proxies is None else self._proxies.all())

    def _checked(self, target: Address, clock: Deadline) -> Address:
        """Find whom to ask for a target: a mirror, or its host.

        Raises:
            PictureError: `blocked`; the guard forbids it.
        """
        if self._guard is not None:
            self._guard.check(target, mirrored=self._mirror is not None)
        if self._mirror is not None:
            return under_mirror(target, self._mirror)
        if self._guard is not None and self._proxies is not None and self._proxies.on_the_way_to(target) is not None:
            self._guard.check_behind_proxy(target, partial(self._network.places, target.host, target.port), clock)
        return target

    def _follow(self, target: Address, location: str, clock: Deadline) -> Address:
        """Find where a redirect from `target` leads. A relative one is relative to `target`, mirror or not."""
        try:
            following = self._checked(join(target, location), clock)
        except PictureError as error:
            if error.kind in ("blocked", "cancelled"):
                raise
            words = f"redirected by {target.host} to a URL that cannot be fetched: {error}"
            raise PictureError(error.kind, words) from error
        if target.scheme == "https" and following.scheme == "http":
            raise PictureError("blocked", f"redirected by {target.host} from https to http, which is not secure")
        log.debug("redirect", url=target.shown, to=following.shown)
        return following

    def _ask(self, target: Address, max_bytes: int, clock: Deadline) -> bytes | str:
        """Make one request, in its turn: the body, or the Location that a redirect names."""
        host = target.host
        queued = time.monotonic()
        self.hosts.enter(host, clock.check)
        clock.excuse(time.monotonic() - queued)  # a long queue is our own politeness, not the server's delay
        try:
            clock.doing = f"waiting for {host}"
            timeouts = Timeouts(clock, self._settings.connect_timeout, self._settings.read_timeout)
            with closing(self._send(target, timeouts)) as response:
                clock.doing = f"receiving from {host}"
                if 200 <= response.status_code < 300:
                    clock.answered = True
                    max_bytes = clock.room_for(body_length(response), max_bytes)
                return self._judge(response, target, max_bytes)
        finally:
            self.hosts.leave(host)

    def _send(self, target: Address, timeouts: Timeouts) -> httpx.Response:
        """Send a request and wait for the head of its answer.

        The first is sent before httpx is imported: the import then happens while the server answers.
        """
        early = None
        if self._client is None and self._proxies is None:
            early = self._network.send_early(target, self._settings.user_agent, timeouts)
        try:
            client = self._opened()
        except BaseException:
            if early is not None:
                early.stream.close()
            raise
        return client.get(target, timeouts, early)

    def _judge(self, response: httpx.Response, target: Address, max_bytes: int) -> bytes | str:
        """Decide what an answer means: give the body or the Location of a redirect, or raise."""
        status = response.status_code
        if 200 <= status < 300:
            return read_body(response, max_bytes)
        said = f"{phrase(status)} from {target.host}"
        location = _location(response)
        asked = retry_after(response.headers.get("Retry-After"))
        try:
            finish(response)
        except TransientError as failure:  # the status is the answer; the rest was read only to keep the connection
            log.debug("unfinished answer", url=target.shown, reason=str(failure))
        if status in _REDIRECTS:
            if location:
                return location
            raise PictureError("http_status", f"{said}, without a Location")
        if status in (400, 429):
            from birdlite.http.wikimedia import thumbnail_advice

            advice = thumbnail_advice(target.host, target.path)
            if advice is not None:
                raise PictureError("http_status", f"{said}: {advice}")
        if status == 401:
            raise PictureError("http_status", f"{said}: {_who_may(response, target)}")
        if may_pass(status):
            raise TransientError("http_status", said, asked)
        raise PictureError("http_status", said)

    def _pause(self, failure: TransientError, failures: int, target: Address, clock: Deadline) -> None:
        """Wait before another try, or raise what the last failure of so many comes to."""
        clock.answered = False
        kind, tries = failure.kind, "" if failures == 1 else f" ({failures} tries)"
        if failures > self._settings.retries:
            raise PictureError(kind, f"{failure}{tries}", temporary=True) from failure
        asked = failure.retry_after or 0.0
        if asked > MAX_RETRY_AFTER_S:
            words = f"it asks to wait {span(asked)}, longer than {MAX_RETRY_AFTER_S:.0f} s"
            raise PictureError(kind, f"{failure}{tries}; {words}", temporary=True) from failure
        pause = max(asked, backoff(failures, self._settings.backoff))
        clock.doing = f"pausing after: {failure}"
        if pause >= clock.left():
            words = f"no time is left to try again after {pause:.1f} s"
            raise PictureError(kind, f"{failure}{tries}; {words}", temporary=True) from failure
        log.debug("retry", url=target.shown, reason=str(failure), failures=failures, wait_s=round(pause, 3))
        clock.wait(pause)


def _location(response: httpx.Response) -> str:
    """Give the first Location, or "". httpx would join several, and read its letters as those of the other fields."""
    sent = next((value for name, value in response.headers.raw if name.lower() == b"location"), b"")
    try:
        return sent.decode()
    except UnicodeDecodeError:
        return sent.decode("latin-1")


def _who_may(response: httpx.Response, target: Address) -> str:
    """Say what to do about a 401."""
    if not target.userinfo:
        return f"put a user name and a password before the host: USER:PASSWORD@{target.netloc}/…"
    from birdlite.http.digest import challenges

    ways = {challenge.partition(" ")[0].lower() for challenge in challenges(response)}
    if ways and not ways & {"basic", "digest"}:
        return f"it asks for {', '.join(sorted(ways))[:40]!a}; birdlite knows Basic and Digest"
    return "the user name and the password in the URL are not accepted"
