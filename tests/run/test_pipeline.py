"""One run: everything at once, in order, in bounded memory, and nothing lost when it is stopped."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from birdlite import Classifier, FetchSettings, Result, Settings
from birdlite.demo import FOLDER
from birdlite.engines.contract import Pixels
from birdlite.errors import EngineError, InvalidModel, UsageError
from birdlite.images import picture as pictures
from birdlite.models.bundle import Model
from birdlite.models.catalog import DEMO_MODEL, find
from birdlite.models.labels import Labels
from birdlite.run.engine_pool import EnginePool
from birdlite.run.model_loader import ModelLoader
from birdlite.run.pipeline import Pipeline
from birdlite.run.remote import Remote
from birdlite.run.stream import Stream
from birdlite.targets import BadTarget, Target
from birdlite.targets.expand import expand
from birdlite.timing import Timeline
from tests.demo_world import MODEL, PICTURES, slug, species_of
from tests.fetching import PATIENT, until
from tests.origin import PATIENCE, Origin

MakeClassifier = Callable[..., Classifier]


@pytest.fixture
def make_classifier(warm_cache: Path) -> Iterator[MakeClassifier]:
    """Classifiers on the demo model in a warm cache, closed at the end."""
    made: list[Classifier] = []

    def make(**settings: Any) -> Classifier:
        made.append(Classifier(Settings(model=DEMO_MODEL, cache_dir=str(warm_cache))._replace(**settings)))
        return made[-1]

    yield make
    for classifier in made:
        classifier.close()


def best(result: Result) -> str:
    assert result.ok, result.failure
    return slug(result.predictions[0].common_name)


def kinds(results: list[Result]) -> list[str]:
    return [result.failure.kind if result.failure else "ok" for result in results]


def serve_pictures(origin: Origin) -> list[str]:
    return [origin.serve(f"/{picture.name}", picture.read_bytes()) for picture in PICTURES]


def test_files_and_urls_get_their_birds_in_the_order_given(make_classifier: MakeClassifier, origin: Origin) -> None:
    urls = serve_pictures(origin)
    targets = [name for pair in zip(map(str, PICTURES), reversed(urls), strict=True) for name in pair]

    results = list(make_classifier().classify_many(targets))

    assert [result.target for result in results] == targets
    assert [result.index for result in results] == list(range(len(targets)))
    assert [best(result) for result in results] == [species_of(target) for target in targets]


def test_a_result_says_how_large_the_picture_was_and_where_its_time_went(make_classifier: MakeClassifier) -> None:
    result = make_classifier().classify(PICTURES[0])

    assert result.image is not None
    assert result.image.bytes == PICTURES[0].stat().st_size
    assert (result.image.format, result.image.width > 0, result.image.height > 0) == ("JPEG", True, True)
    assert result.times is not None
    parts = (result.times.fetch, result.times.decode, result.times.infer)
    assert all(part is not None and part > 0 for part in parts)
    assert result.times.total >= sum(part or 0 for part in parts)


def test_a_slow_download_at_the_head_holds_up_the_order_but_not_the_work(
    make_classifier: MakeClassifier, origin: Origin
) -> None:
    urls = serve_pictures(origin)
    release = origin.hold("/slow", PICTURES[0].read_bytes())
    classifier = make_classifier(fetch=PATIENT)

    results = classifier.classify_many([origin.url("/slow"), *urls])
    consumer: list[Result] = []
    thread = threading.Thread(target=lambda: consumer.extend(results))
    thread.start()
    for picture in PICTURES:
        wait_until_answered(origin, f"/{picture.name}")
    assert consumer == []
    release.set()
    thread.join()

    assert [result.target for result in consumer] == [origin.url("/slow"), *urls]


def wait_until_answered(origin: Origin, path: str) -> None:
    until(lambda: origin.hits(path) > 0 and not origin.under_way(path))


def test_unordered_results_do_not_wait_for_a_slow_one(make_classifier: MakeClassifier, origin: Origin) -> None:
    release = origin.hold("/slow", PICTURES[0].read_bytes())
    classifier = make_classifier(ordered=False, fetch=PATIENT)
    results = classifier.classify_many([origin.url("/slow"), *map(str, PICTURES)])

    first = list(itertools.islice(results, len(PICTURES)))
    release.set()
    last = list(results)

    assert sorted(result.index for result in first) == list(range(1, len(PICTURES) + 1))
    assert [result.index for result in last] == [0]
    assert best(last[0]) == species_of(PICTURES[0])


def test_bad_targets_are_values_and_the_others_still_get_their_birds(
    make_classifier: MakeClassifier, origin: Origin, tmp_path: Path
) -> None:
    page = origin.serve("/page", b"<!doctype html><title>Not a bird</title>", content_type="text/html")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "torn.jpg").write_bytes(PICTURES[0].read_bytes()[:5000])
    good = str(PICTURES[1])
    targets = [
        origin.url("/missing"),
        page,
        str(tmp_path / "empty.jpg"),
        str(tmp_path / "torn.jpg"),
        str(tmp_path / "absent.jpg"),
        "ftp://example.org/a.jpg",
        good,
    ]

    results = list(make_classifier().classify_many(targets))

    expected = ["http_status", "not_an_image", "not_an_image", "decode", "not_found", "unsupported", "ok"]
    assert kinds(results) == expected
    assert best(results[-1]) == species_of(good)
    for target, result in zip(targets, results, strict=True):
        if result.failure:
            assert result.failure.message.startswith(f"{target}: ")
            assert result.failure.message.count(target) == 1
            assert "\n" not in result.failure.message


def test_downloads_of_pictures_do_not_wait_for_the_model(origin: Origin, tmp_path: Path) -> None:
    origin.serve_folder("/demo.birdlite.invalid", Path(FOLDER))
    release = origin.hold("/demo.birdlite.invalid/model.tflite", MODEL.read_bytes())
    origin.serve("/a/bird.jpg", PICTURES[0].read_bytes())
    settings = Settings(model=DEMO_MODEL, cache_dir=str(tmp_path), fetch=PATIENT._replace(mirror=origin.base))

    with Classifier(settings) as classifier:
        results: list[Result] = []
        thread = threading.Thread(target=lambda: results.extend(classifier.classify_many(["https://a/bird.jpg"])))
        thread.start()
        origin.wait_for(1, "/demo.birdlite.invalid/model.tflite")
        wait_until_answered(origin, "/a/bird.jpg")
        assert results == []
        release.set()
        thread.join()

    assert [best(result) for result in results] == [species_of(PICTURES[0])]


def test_the_model_is_opened_once_for_many_runs(make_classifier: MakeClassifier, warm_cache: Path) -> None:
    classifier = make_classifier()
    first = classifier.classify(PICTURES[0])
    for path in (warm_cache / "models").rglob("*.*"):
        path.unlink()

    second = classifier.classify(PICTURES[0])

    assert second.predictions == first.predictions


def test_closing_the_classifier_ends_a_run_that_was_left_early(make_classifier: MakeClassifier) -> None:
    classifier = make_classifier()
    results = classifier.classify_many(map(str, PICTURES))
    next(results)

    classifier.close()

    assert list(results) == []


def test_without_a_model_the_run_raises_instead_of_failing_each_picture(make_classifier: MakeClassifier) -> None:
    classifier = make_classifier(model="nosuch/model.tflite")

    with pytest.raises(Exception, match="no such model file or folder"):
        list(classifier.classify_many(PICTURES))


def test_a_list_that_turns_out_unreadable_ends_the_run(make_classifier: MakeClassifier) -> None:
    def targets() -> Iterator[Target]:
        yield Target(str(PICTURES[0]), "file", str(PICTURES[0]))
        raise UsageError("list.csv: no column url")

    with pytest.raises(UsageError, match="no column url"):
        list(make_classifier().stream(targets()))


def test_nothing_to_classify_is_no_result(make_classifier: MakeClassifier) -> None:
    assert list(make_classifier().classify_many([])) == []


def test_cancelling_hands_out_what_is_finished_and_names_what_was_under_way(
    make_classifier: MakeClassifier, origin: Origin
) -> None:
    origin.hold("/never")
    classifier = make_classifier(ordered=False, fetch=PATIENT)
    results = classifier.classify_many([origin.url("/never"), *map(str, PICTURES)])
    finished = [next(results) for _ in PICTURES]
    origin.wait_for(1, "/never")

    classifier.cancel()
    rest = list(results)

    assert kinds(finished) == ["ok"] * len(PICTURES)
    assert kinds(rest) == ["cancelled"]
    assert rest[0].target == origin.url("/never")


def test_what_only_waited_when_the_run_was_cancelled_has_no_result(
    make_classifier: MakeClassifier, origin: Origin
) -> None:
    origin.hold("/first")
    classifier = make_classifier(fetch=PATIENT._replace(downloads=1))
    others_wait = threading.Event()

    def pictures() -> Iterator[str]:
        yield origin.url("/first")
        yield origin.url("/second")
        others_wait.set()
        yield origin.url("/third")

    def cancel_once_others_wait() -> None:
        origin.wait_for(1, "/first")
        others_wait.wait()
        classifier.cancel()

    results = classifier.classify_many(pictures())
    threading.Thread(target=cancel_once_others_wait).start()

    assert [(one.target, kinds([one])) for one in results] == [(origin.url("/first"), ["cancelled"])]
    assert [asked.path for asked in origin.requests] == ["/first"]


def test_a_classifier_can_be_used_again_after_it_was_cancelled(make_classifier: MakeClassifier, origin: Origin) -> None:
    origin.hold("/never")
    classifier = make_classifier(fetch=PATIENT)
    results = classifier.classify_many([origin.url("/never")])

    def cancel_once_asked() -> None:
        origin.wait_for(1, "/never")
        classifier.cancel()

    threading.Thread(target=cancel_once_asked).start()
    assert kinds(list(results)) == ["cancelled"]

    assert best(classifier.classify(PICTURES[2])) == species_of(PICTURES[2])


# With engines whose steps the test decides


class ScriptedEngine:
    """Gives the first class, after the test's own `step`."""

    name = "scripted"

    def __init__(self, step: Callable[[], object]) -> None:
        self._step = step

    def run(self, pixels: Pixels, n: int = 1) -> list[list[float]]:
        self._step()
        return [[1.0, 0.0]] * n

    def close(self) -> None:
        pass


def scripted(
    step: Callable[[], object],
    *,
    load: Callable[[], object] = lambda: None,
    workers: int = 2,
    downloads: int = 3,
    ordered: bool = True,
) -> Stream:
    """A stream of its own pipeline, whose engines take the test's own `load` and `step`."""

    class ScriptedLoader(ModelLoader):
        def preload(self) -> None:
            """Nothing to import."""

        def open(self) -> Model:
            return Model(find(DEMO_MODEL).card, b"", Labels(("a", "b"), (None, None)), None)

        def load(self, threads: int = 1) -> ScriptedEngine:
            load()
            return ScriptedEngine(step)

    fetch = FetchSettings(downloads=downloads)
    settings = Settings(model=DEMO_MODEL, no_cache=True, workers=workers, ordered=ordered, fetch=fetch)
    timeline = Timeline()
    remote = Remote(fetch, timeline)
    pipeline = Pipeline(EnginePool(ScriptedLoader(settings, remote, timeline)), remote, settings, timeline)
    return Stream(pipeline, settings)


def endless(seen: list[int]) -> Iterator[Target | BadTarget]:
    for index in itertools.count():
        seen.append(index)
        yield Target(str(PICTURES[0]), "file", str(PICTURES[0]))


def test_the_first_picture_is_decoded_while_the_engine_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = threading.Event()
    decode = pictures.Plan.decode

    def noting_decode(plan: pictures.Plan) -> pictures.Picture:
        found = decode(plan)
        decoded.set()
        return found

    monkeypatch.setattr(pictures.Plan, "decode", noting_decode)

    def load() -> None:
        assert decoded.wait(PATIENCE), "the picture waits for the engine"

    assert kinds(list(scripted(lambda: None, load=load).run(expand([str(PICTURES[0])])))) == ["ok"]


def test_pictures_that_arrive_before_the_model_are_decoded_meanwhile(
    make_classifier: MakeClassifier, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many at once as there may be workers; here one after the other, as they are downloaded."""
    decoded: list[int] = []
    decode = pictures.Plan.decode

    def noting_decode(plan: pictures.Plan) -> pictures.Picture:
        found = decode(plan)
        decoded.append(len(decoded))
        return found

    monkeypatch.setattr(pictures.Plan, "decode", noting_decode)
    urls = serve_pictures(origin)
    classifier = make_classifier(workers=4, fetch=FetchSettings(downloads=1))
    open_model = classifier._loader.open

    def open_when_all_are_decoded() -> Model:
        until(lambda: len(decoded) == len(urls))
        return open_model()

    monkeypatch.setattr(classifier._loader, "open", open_when_all_are_decoded)

    assert [best(result) for result in classifier.classify_many(urls)] == [species_of(url) for url in urls]
    assert len(decoded) == len(urls)


@pytest.mark.parametrize("targets", [[str(PICTURES[0])], [str(PICTURES[0])] * 9, ["missing.jpg"]])
def test_an_engine_that_cannot_be_loaded_ends_the_run_with_its_own_error(targets: list[str]) -> None:
    began = threading.Event()

    def load() -> None:
        began.set()
        raise InvalidModel("no such engine")

    def expanded() -> Iterator[Target | BadTarget]:
        yield from expand(targets)
        assert began.wait(PATIENCE)
        for thread in threading.enumerate():
            if thread.name == "birdlite-load":
                thread.join(PATIENCE)

    with pytest.raises(InvalidModel, match="no such engine"):
        list(scripted(lambda: None, load=load).run(expanded()))


@pytest.mark.parametrize("first", ["is loaded later", "was loaded before"])
def test_an_engine_that_cannot_be_loaded_beside_one_that_works_costs_no_picture(
    monkeypatch: pytest.MonkeyPatch, warnings_said: list[str], first: str
) -> None:
    """The first one to load succeeds, and any other fails."""
    turns, another_failed = itertools.count(), threading.Event()
    has_no_engine = Pipeline._has_no_engine

    def noting(pipeline: Pipeline, worker: threading.Thread, error: BaseException) -> None:
        has_no_engine(pipeline, worker, error)
        another_failed.set()

    monkeypatch.setattr(Pipeline, "_has_no_engine", noting)

    def wait() -> None:
        assert another_failed.wait(PATIENCE), "there never was another one"

    def load() -> None:
        if next(turns) == 0:
            if first == "is loaded later":
                wait()
        else:
            raise EngineError("no memory for another engine")

    results = list(scripted(wait, load=load, workers=4).run(expand([str(PICTURES[0])] * 30)))

    assert kinds(results) == ["ok"] * 30
    (said,) = warnings_said
    assert said == "an engine cannot be loaded, so fewer pictures are classified at once: no memory for another engine"


def test_if_no_worker_can_load_its_engine_only_the_error_is_told(warnings_said: list[str]) -> None:
    def load() -> None:
        raise EngineError("no memory for an engine")

    with pytest.raises(EngineError, match="no memory for an engine"):
        list(scripted(lambda: None, load=load, workers=4).run(expand([str(PICTURES[0])] * 30)))

    assert warnings_said == []


def test_two_workers_classify_at_the_same_time() -> None:
    together = threading.Barrier(2, timeout=PATIENCE)

    results = list(scripted(together.wait).run(expand(list(map(str, PICTURES[:4])))))

    assert kinds(results) == ["ok"] * 4


def test_the_feeder_takes_no_more_targets_than_there_are_slots() -> None:
    gate = threading.Semaphore(0)
    seen: list[int] = []
    pipeline = scripted(lambda: gate.acquire(timeout=PATIENCE), workers=2, ordered=False)
    results = pipeline.run(endless(seen))

    gate.release(10)
    for _ in range(10):
        next(results)

    assert len(seen) <= 10 + 2 * 2 + 1
    gate.release(1000)
    results.close()


def test_a_run_that_its_caller_leaves_early_stops_taking_targets() -> None:
    before = set(threading.enumerate())
    seen: list[int] = []
    stream = scripted(lambda: None)
    results = stream.run(endless(seen))
    next(results)
    results.close()
    taken = len(seen)

    stream._pipeline.close()
    started = set(threading.enumerate()) - before
    for thread in started:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in started)
    assert len(seen) <= taken + 1


def test_a_fault_in_an_engine_ends_the_run_and_is_not_hidden() -> None:
    def fault() -> None:
        raise InvalidModel("the engine's own fault")

    with pytest.raises(InvalidModel, match="the engine's own fault"):
        list(scripted(fault).run(expand([str(PICTURES[0])])))
