"""One picture whose caller does not wait in a thread: what the caller is told, and that it is told all of it once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from birdlite import Classifier, Result, Settings
from birdlite.errors import EngineError
from birdlite.models.catalog import DEMO_MODEL
from birdlite.run import pipeline
from birdlite.run.single import Single
from birdlite.targets import Target
from birdlite.timing import Timeline
from tests.cli.test_faults import no_thread
from tests.demo_world import PICTURES, slug, species_of
from tests.hold import HELD, Hold
from tests.origin import PATIENCE, Origin

PICTURE = PICTURES[0].read_bytes()


class Caller:
    """Submits pictures, and keeps what it is told."""

    def __init__(self, classifier: Classifier, settings: Settings) -> None:
        self.classifier = classifier
        self.settings = settings
        self._told: list[Result | BaseException | None] = []
        self._is_over = threading.Event()

    def submit(self, data: bytes) -> Single:
        return self.submit_target(Target("a.jpg", "file", "", data=data))

    def submit_target(self, target: Target) -> Single:
        return self.classifier.submit(target, self.settings, Timeline(), self._tell)

    def _tell(self, outcome: Result | BaseException | None) -> None:
        self._told.append(outcome)
        if not isinstance(outcome, BaseException):
            self._is_over.set()

    def told_until_now(self) -> list[Result | BaseException | None]:
        """All of it, when the first picture is over."""
        assert self._is_over.wait(PATIENCE)
        return self._told

    def told(self) -> list[Result | BaseException | None]:
        """All of it: the classifier is closed, so no thread is left that would say more."""
        assert self._is_over.wait(PATIENCE)
        self.classifier.close()
        return self._told


@pytest.fixture
def caller(warm_cache: Path) -> Iterator[Caller]:
    settings = Settings(model=DEMO_MODEL, cache_dir=str(warm_cache), workers=1)
    with Classifier(settings) as classifier:
        classifier.classify(PICTURES[1])
        yield Caller(classifier, settings)


def test_the_result_is_all_that_the_caller_is_told(caller: Caller) -> None:
    caller.submit(PICTURE)

    (result,) = caller.told()
    assert isinstance(result, Result)
    assert slug(result.predictions[0].common_name) == species_of(PICTURES[0])


def test_a_failure_is_a_result(caller: Caller) -> None:
    caller.submit(b"no picture")

    (result,) = caller.told()
    assert isinstance(result, Result)
    assert result.failure is not None
    assert result.failure.kind == "not_an_image"


def test_of_a_picture_that_is_cancelled_the_caller_is_only_told_when_it_is_over(caller: Caller, hold: Hold) -> None:
    single = caller.submit(HELD + PICTURE)
    hold.wait_for(1)
    single.cancel()
    hold.release()

    assert caller.told() == [None]


def test_a_picture_that_no_thread_could_be_started_for_takes_nothing_of_the_pipeline(
    caller: Caller, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    slots = pipeline.slots(caller.settings)[1]
    url = Target("a.jpg", "url", origin.serve("/a.jpg", PICTURE))
    with monkeypatch.context() as patched:
        no_thread(patched, "birdlite-fetch")
        for _ in range(slots):
            with pytest.raises(RuntimeError, match="can't start new thread"):
                caller.submit_target(url)

    caller.submit_target(url)  # there is a slot for it
    (result,) = caller.told()
    assert isinstance(result, Result)
    assert result.ok
    assert caller.classifier._pipeline.streams == []


def test_a_picture_that_no_worker_could_be_started_for_gives_its_slot_back(
    caller: Caller, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> bool:
        raise RuntimeError("can't start new thread")

    url = Target("a.jpg", "url", origin.serve("/a.jpg", PICTURE))
    with monkeypatch.context() as patched:
        patched.setattr(caller.classifier._pipeline._workers, "put", refuse)
        caller.submit_target(url)
        assert [str(outcome) for outcome in caller.told_until_now()] == ["can't start new thread", "None"]

    again = Caller(caller.classifier, caller.settings)
    again.submit_target(url)  # the downloader goes on
    (result,) = again.told()
    assert isinstance(result, Result)
    assert result.ok


def test_of_an_engine_that_breaks_the_caller_is_told_and_then_when_the_picture_is_over(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = EngineError("the engine is broken")

    def top_k(*_: object) -> object:
        raise broken

    monkeypatch.setattr(pipeline, "top_k", top_k)
    caller.submit(PICTURE)

    assert caller.told() == [broken, None]


def test_a_fault_in_telling_of_a_failure_is_told_and_costs_no_thread(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = ZeroDivisionError("division by zero")

    def failure(*_: object) -> object:
        raise fault

    monkeypatch.setattr(pipeline, "_failure", failure)
    caller.submit(b"no picture")
    assert caller.told_until_now() == [fault, None]

    again = Caller(caller.classifier, caller.settings)
    again.submit(PICTURE)
    (result,) = again.told()
    assert isinstance(result, Result)
    assert result.ok


def test_a_fault_in_handing_out_a_result_gives_the_slot_back_once(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    slots = caller.classifier._pipeline._for_files.slots
    before, fault = slots._value, ZeroDivisionError("division by zero")

    def finish(*_: object) -> object:
        raise fault

    monkeypatch.setattr(Single, "finish", finish)
    caller.submit(PICTURE)

    assert caller.told() == [fault, None]
    assert slots._value == before
