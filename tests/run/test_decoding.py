"""A picture that takes too long to decode is given up, and its thread with it; the run goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from birdlite import Classifier, FetchSettings, Result, Settings
from birdlite.images import picture as pictures
from birdlite.models.catalog import DEMO_MODEL
from birdlite.run import decoding
from birdlite.run.pipeline import WAKE_S
from birdlite.targets import Target
from birdlite.timing import Timeline
from tests.cli.test_faults import no_thread
from tests.demo_world import PICTURES
from tests.fetching import until
from tests.origin import PATIENCE, Origin

PLAN = pictures.plan
LIMIT = 3600.0  # s


class Stuck:
    """Pictures whose decoding waits until the test lets go of it: C code that does not come back."""

    def __init__(self) -> None:
        self.slow: set[bytes] = set()
        self.go = threading.Event()
        self.begun: list[str] = []
        self.ended: list[threading.Thread] = []
        self._passed = 0.0  # s on `clock` beside the real ones

    def clock(self) -> float:
        """Two hours pass whenever a picture is stuck, so that no other one takes too long on a busy machine."""
        return time.perf_counter() + self._passed

    def plan(self, data: bytes, **how: object) -> pictures.Plan:
        made = PLAN(data, **how)  # type: ignore[arg-type]
        if data in self.slow:
            decode = made.decode

            def slowly() -> pictures.Picture:
                if not self.go.is_set():
                    self._passed += 2 * LIMIT
                self.begun.append(threading.current_thread().name)
                self.go.wait(PATIENCE)
                self.ended.append(threading.current_thread())
                return decode()

            made.decode = slowly  # type: ignore[method-assign]
        return made


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stuck]:
    stuck = Stuck()
    monkeypatch.setattr(pictures, "plan", stuck.plan)
    monkeypatch.setattr(decoding, "clock", stuck.clock)
    yield stuck
    stuck.go.set()


@pytest.fixture
def make_classifier(warm_cache: Path) -> Iterator[Callable[..., Classifier]]:
    made: list[Classifier] = []

    def make(**settings: object) -> Classifier:
        settings = {"model": DEMO_MODEL, "cache_dir": str(warm_cache), "decode_timeout": LIMIT, **settings}
        made.append(Classifier(Settings(**settings)))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for classifier in made:
        classifier.close()


def kinds(results: list[Result]) -> list[str]:
    return [result.failure.kind if result.failure else "ok" for result in results]


def test_a_picture_that_takes_too_long_is_a_timeout_and_the_next_one_gets_its_birds(
    stuck: Stuck, make_classifier: Callable[..., Classifier]
) -> None:
    stuck.slow.add(PICTURES[0].read_bytes())

    results = list(make_classifier(workers=1).classify_many(PICTURES[:3]))

    assert kinds(results) == ["timeout", "ok", "ok"]
    assert results[0].failure is not None
    limit = "decoding it takes more than 3600 s (--decode-timeout)"
    assert results[0].failure.message == f"{PICTURES[0]}: {limit}"
    assert stuck.ended == []


def test_the_thread_that_was_left_behind_ends_with_its_decoding_and_gives_its_memory_back(
    stuck: Stuck, make_classifier: Callable[..., Classifier]
) -> None:
    stuck.slow.add(PICTURES[0].read_bytes())
    classifier = make_classifier(workers=1)
    assert kinds(list(classifier.classify_many(PICTURES[:2]))) == ["timeout", "ok"]
    memory = classifier._memory
    assert (memory.decoding.used > 0, memory.files.used > 0) == (True, True)

    stuck.go.set()

    until(lambda: bool(stuck.ended))
    stuck.ended[0].join(PATIENCE)
    assert not stuck.ended[0].is_alive()
    assert classifier.engines == 1  # that of the thread that took its place
    assert (memory.decoding.used, memory.files.used) == (0, 0)
    assert kinds(list(classifier.classify_many(PICTURES[:2]))) == ["ok", "ok"]


def test_no_more_threads_are_left_behind_than_there_are_workers(
    stuck: Stuck, make_classifier: Callable[..., Classifier]
) -> None:
    stuck.slow.update(picture.read_bytes() for picture in PICTURES[:2])
    results = make_classifier(workers=1).classify_many(PICTURES[:3])
    assert kinds([next(results)]) == ["timeout"]

    rest: list[Result] = []
    thread = threading.Thread(target=lambda: rest.extend(results))
    thread.start()
    until(lambda: len(stuck.begun) == 2)
    thread.join(3 * WAKE_S)  # the second one is seen, and waited for
    assert rest == []
    stuck.go.set()
    thread.join(PATIENCE)

    assert kinds(rest)[1:] == ["ok"]


def test_a_downloader_that_decodes_early_is_left_behind_too(
    stuck: Stuck, make_classifier: Callable[..., Classifier], origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck.slow.add(PICTURES[0].read_bytes())
    urls = [origin.serve(f"/{picture.name}", picture.read_bytes()) for picture in PICTURES[:2]]
    classifier = make_classifier(workers=1, fetch=FetchSettings(downloads=1))
    open_model = classifier._loader.open

    def open_when_a_picture_is_stuck() -> object:
        until(lambda: bool(stuck.begun))
        return open_model()

    monkeypatch.setattr(classifier._loader, "open", open_when_a_picture_is_stuck)

    assert kinds(list(classifier.classify_many(urls))) == ["timeout", "ok"]
    assert stuck.begun[0].startswith("birdlite-fetch")


def test_a_picture_that_is_given_up_has_its_result_even_if_no_thread_can_take_the_place_of_its_own(
    make_classifier: Callable[..., Classifier], stuck: Stuck, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(model=DEMO_MODEL, workers=1)
    classifier = make_classifier(workers=1)
    classifier.classify(PICTURES[1])
    slow = PICTURES[0].read_bytes()
    stuck.slow.add(slow)
    told: list[Result | BaseException | None] = []
    refused = 0
    no_thread(monkeypatch, "birdlite-classify")

    for data in (slow, PICTURES[1].read_bytes()):  # the second one waits for the worker
        classifier.submit(Target("a.jpg", "file", "", data=data), settings, Timeline(), told.append)
    end = time.monotonic() + PATIENCE
    while not told and time.monotonic() < end:
        try:
            classifier.look_for_overdue()
        except RuntimeError:
            refused += 1

    assert refused == 1
    assert isinstance(told[0], Result)
    assert told[0].failure is not None
    assert told[0].failure.kind == "timeout"
