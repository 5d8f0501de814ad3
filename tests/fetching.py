"""What the tests of `fetch` share: a body, settings that do not pause, fetches that fail, time, and patience."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from birdlite.deadline import Deadline
from birdlite.errors import PictureError
from birdlite.http.fetcher import Fetcher, FetchSettings
from tests.origin import PATIENCE

BODY = bytes(range(256)) * 100  # 25,600 bytes
SETTINGS = FetchSettings(backoff=0.0)
PATIENT = FetchSettings(timeout=3600.0, read_timeout=3600.0)  # s: nothing that a test holds is given up meanwhile


class Time:
    """The monotonic clock of this process, on which a test lets time pass."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._clock, self._passed = time.monotonic, 0.0
        monkeypatch.setattr(time, "monotonic", lambda: self._clock() + self._passed)

    def let_pass(self, seconds: float) -> None:
        """From now on it is so much later."""
        self._passed += seconds


@contextmanager
def fetchers() -> Iterator[Callable[..., Fetcher]]:
    """Make fetchers, and close them after the test."""
    made: list[Fetcher] = []

    def make(settings: FetchSettings = SETTINGS, cancel: threading.Event | None = None, **how: object) -> Fetcher:
        made.append(Fetcher(settings, cancel, **how))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for fetcher in made:
        fetcher.close()


def failure_of(
    fetcher: Fetcher, url: str, *, max_bytes: int | None = None, timeout: float | None = None
) -> PictureError:
    """Fetch in vain, and give back why; the reason is one line for a person."""
    with pytest.raises(PictureError) as caught:
        fetcher.get(url, max_bytes=max_bytes, timeout=timeout)
    assert str(caught.value).isprintable()
    assert 0 < len(str(caught.value)) < 400
    return caught.value


def note_pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let fetches note their pauses instead of making them."""
    pauses: list[float] = []
    monkeypatch.setattr(Deadline, "wait", lambda clock, seconds: pauses.append(seconds))
    return pauses


def until(happened: Callable[[], bool]) -> None:
    """Wait for another thread to get somewhere."""
    tick = threading.Event()
    for _ in range(int(PATIENCE * 1000)):
        if happened():
            return
        tick.wait(0.001)
    pytest.fail("it never happened")
