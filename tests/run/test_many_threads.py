"""One classifier, many callers: each gets its own answers, and together they run no more than the settings allow."""

from __future__ import annotations

import multiprocessing
import pickle
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest

from birdlite import Classifier, Settings, UsageError
from birdlite.errors import InvalidModel
from birdlite.models.catalog import DEMO_MODEL
from birdlite.targets.expand import expand
from tests.demo_world import PICTURES, slug, species_of
from tests.fetching import PATIENT, until
from tests.origin import PATIENCE, Origin

CALLERS = 12


@pytest.fixture
def make_classifier(warm_cache: Path) -> Iterator[Callable[..., Classifier]]:
    made: list[Classifier] = []

    def make(**settings: object) -> Classifier:
        made.append(Classifier(Settings(model=DEMO_MODEL, cache_dir=str(warm_cache), **settings)))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for classifier in made:
        classifier.close()


def best(classifier: Classifier, picture: object) -> str:
    result = classifier.classify(picture)  # type: ignore[arg-type]
    assert result.ok, result.failure
    return slug(result.predictions[0].common_name)


def test_each_caller_gets_the_answers_to_its_own_pictures(make_classifier: Callable[..., Classifier]) -> None:
    classifier = make_classifier(workers=2)
    pictures = [PICTURES[number % len(PICTURES)] for number in range(60)]

    with ThreadPoolExecutor(CALLERS) as callers:
        answers = list(callers.map(lambda picture: best(classifier, picture), pictures))

    assert answers == [species_of(picture) for picture in pictures]


def test_streams_of_several_callers_keep_their_own_order(make_classifier: Callable[..., Classifier]) -> None:
    classifier = make_classifier(workers=2)

    def classified(turn: int) -> bool:
        pictures = [str(PICTURES[(turn + at) % len(PICTURES)]) for at in range(20)]
        return [result.target for result in classifier.classify_many(pictures)] == pictures

    with ThreadPoolExecutor(CALLERS) as callers:
        assert all(callers.map(classified, range(CALLERS)))


def test_as_many_engines_run_as_the_settings_say_however_many_callers_there_are(
    make_classifier: Callable[..., Classifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = make_classifier(workers=2)
    loads: list[str] = []
    load = classifier._loader.load

    def counted(threads: int = 1) -> object:
        loads.append(threading.current_thread().name)
        return load(threads)

    monkeypatch.setattr(classifier._loader, "load", counted)
    together = threading.Barrier(CALLERS, timeout=PATIENCE)

    def call(number: int) -> str:
        together.wait()
        return best(classifier, PICTURES[number % len(PICTURES)])

    with ThreadPoolExecutor(CALLERS) as callers:
        list(callers.map(call, range(CALLERS)))

    assert 1 <= len(loads) <= 2


def test_a_caller_that_leaves_early_takes_its_downloads_with_it(
    make_classifier: Callable[..., Classifier], origin: Origin
) -> None:
    origin.hold("/never")
    bird = origin.serve("/bird.jpg", PICTURES[1].read_bytes())
    classifier = make_classifier(workers=2, ordered=False, fetch=PATIENT._replace(downloads=1))
    left = classifier.stream(expand([str(PICTURES[0]), origin.url("/never")]))
    next(left)
    origin.wait_for(1, "/never")
    left.close()

    with ThreadPoolExecutor(1) as callers:
        assert callers.submit(best, classifier, bird).result(PATIENCE) == species_of(PICTURES[1])


def test_a_file_does_not_wait_for_the_slow_servers_of_another_caller(
    make_classifier: Callable[..., Classifier], origin: Origin
) -> None:
    slow = [origin.url(f"/slow-{number}.jpg") for number in range(9)]  # more than may be under way at once
    release = origin.hold("/slow-0.jpg", PICTURES[0].read_bytes())
    for number in range(1, 9):
        origin.serve(f"/slow-{number}.jpg", PICTURES[0].read_bytes())
    classifier = make_classifier(workers=1, fetch=PATIENT._replace(downloads=1))
    slots_are_taken = threading.Event()

    def urls() -> Iterator[str]:
        for number, url in enumerate(slow):
            yield url
            if number == 2:  # it was put, and the next one waits for a slot
                slots_are_taken.set()

    with ThreadPoolExecutor(2) as callers:
        other = callers.submit(lambda: list(classifier.classify_many(urls())))
        assert slots_are_taken.wait(PATIENCE)
        origin.wait_for(1, "/slow-0.jpg")
        assert callers.submit(best, classifier, PICTURES[2]).result(PATIENCE) == species_of(PICTURES[2])
        release.set()
        assert [result.ok for result in other.result(PATIENCE)] == [True] * 9


@pytest.mark.parametrize("downloads", [4, 1])  # 1: three callers wait for their turn
def test_cancelling_ends_the_runs_of_all_callers(
    make_classifier: Callable[..., Classifier], origin: Origin, downloads: int
) -> None:
    origin.hold("/never")
    classifier = make_classifier(fetch=PATIENT._replace(downloads=downloads))
    with ThreadPoolExecutor(4) as callers:
        calls = [callers.submit(classifier.classify, origin.url("/never")) for _ in range(4)]
        origin.wait_for(downloads, "/never")
        until(lambda: len(classifier._pipeline.streams) == 4)
        classifier.cancel()
        results = [call.result(PATIENCE) for call in calls]

    assert [result.failure.kind for result in results if result.failure] == ["cancelled"] * 4


def test_closing_ends_a_call_that_is_under_way_in_another_thread(
    make_classifier: Callable[..., Classifier], origin: Origin
) -> None:
    origin.hold("/never")
    classifier = make_classifier()
    with ThreadPoolExecutor(1) as callers:
        call = callers.submit(classifier.classify, origin.url("/never"))
        origin.wait_for(1, "/never")
        classifier.close()
        failure = call.result(PATIENCE).failure

    assert failure is not None
    assert failure.kind == "cancelled"


def test_after_a_model_that_could_not_be_opened_the_next_call_tries_again(
    make_classifier: Callable[..., Classifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = make_classifier(workers=1)
    open_model = classifier._loader.open

    def fail() -> None:
        raise InvalidModel("half of it is not there yet")

    monkeypatch.setattr(classifier._loader, "open", fail)
    for _ in range(2):
        with pytest.raises(InvalidModel, match="half of it"):
            classifier.classify(PICTURES[0])
    monkeypatch.setattr(classifier._loader, "open", open_model)

    assert best(classifier, PICTURES[0]) == species_of(PICTURES[0])


def test_a_failing_model_is_the_error_of_every_caller(
    make_classifier: Callable[..., Classifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = make_classifier(workers=2)
    together = threading.Barrier(CALLERS, timeout=PATIENCE)

    def fail() -> None:
        raise InvalidModel("no model")

    monkeypatch.setattr(classifier._loader, "open", fail)

    def call(_: int) -> str:
        together.wait()
        with pytest.raises(InvalidModel, match="no model"):
            classifier.classify(PICTURES[0])
        return "raised"

    with ThreadPoolExecutor(CALLERS) as callers:
        assert list(callers.map(call, range(CALLERS))) == ["raised"] * CALLERS


# In other processes


def test_settings_and_classifiers_can_be_sent_to_other_processes(make_classifier: Callable[..., Classifier]) -> None:
    classifier = make_classifier(top=1)

    settings = pickle.loads(pickle.dumps(classifier._settings))
    with pickle.loads(pickle.dumps(classifier)) as copy:
        assert copy is not classifier
        assert settings == classifier._settings == copy._settings
        assert copy.engine_name == ""
        assert best(copy, PICTURES[2]) == species_of(PICTURES[2])


def _in_worker(classifier: Classifier, picture: str) -> str:
    with classifier:
        return best(classifier, picture)


@pytest.mark.parametrize("way", ["spawn", "forkserver"])
def test_a_worker_process_loads_the_model_itself(make_classifier: Callable[..., Classifier], way: str) -> None:
    classifier = make_classifier()
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(way)) as workers:
        answer = workers.submit(_in_worker, classifier, str(PICTURES[3])).result(PATIENCE)

    assert answer == species_of(PICTURES[3])


def test_in_a_fork_the_classifier_says_that_it_belongs_to_another_process(
    make_classifier: Callable[..., Classifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its threads are not there: it would wait for ever."""
    classifier = make_classifier()
    monkeypatch.setattr("os.getpid", lambda: 1)

    with pytest.raises(UsageError, match="make another here"):
        classifier.classify(PICTURES[0])


@pytest.mark.parametrize("used", [False, True])
def test_a_closed_classifier_refuses_instead_of_waiting_for_ever(
    make_classifier: Callable[..., Classifier], *, used: bool
) -> None:
    classifier = make_classifier()
    if used:
        best(classifier, PICTURES[0])
    classifier.close()

    with ThreadPoolExecutor(1) as callers, pytest.raises(UsageError, match="closed"):
        callers.submit(classifier.classify, PICTURES[0]).result(PATIENCE)


def test_iterators_that_are_forgotten_end_and_leave_no_thread(make_classifier: Callable[..., Classifier]) -> None:
    classifier = make_classifier()
    pictures = [str(PICTURES[0])] * 2000  # more than a stream stays ahead
    for _ in range(5):
        for _result in classifier.classify_many(pictures):
            break

    assert classifier._pipeline.streams == []
    for thread in threading.enumerate():
        if thread.name == "birdlite-feed":
            thread.join(PATIENCE)
            assert not thread.is_alive()
