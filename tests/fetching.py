"""What the tests of `fetch` share: a body, settings that do not pause, fetches that fail, and patience."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from birdlite.deadline import Deadline
from birdlite.errors import PictureError
from birdlite.http.fetcher import Fetcher, FetchSettings
from tests.origin import PATIENCE

BODY = bytes(range(256)) * 100  # 25,600 bytes
SETTINGS = FetchSettings(backoff=0.0)


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
