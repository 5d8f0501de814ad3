"""What goes wrong inside: an engine that breaks, a fault in birdlite, pictures that take for ever; and what is kept."""

from __future__ import annotations

import gc
import json
import threading
from typing import Any

import pytest

from birdlite import log
from birdlite.errors import EngineError, UsageError
from birdlite.images import picture
from birdlite.run import pipeline
from birdlite.run.classifier import Classifier
from birdlite.run.job import Job
from birdlite.run.single import Single
from birdlite.serve import pictures
from birdlite.settings import Settings
from birdlite.targets import Target
from tests.demo_world import PICTURES
from tests.hold import HELD, Hold
from tests.origin import PATIENCE
from tests.serve.test_classify import problem
from tests.serving import Running, Serve

PICTURE = PICTURES[0].read_bytes()


def test_an_engine_that_breaks_makes_the_service_not_ready_until_it_runs_again(
    classifier: Classifier, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "TRY_AGAIN_S", 0.1)
    monkeypatch.setattr(pictures, "WAKE_S", 0.05)
    service = serve()
    run = type(_engine(classifier)).run
    switch = {"broken": False}

    def breaking(self: Any, pixels: Any, *more: Any) -> Any:
        if switch["broken"]:
            raise EngineError("the engine is broken")
        return run(self, pixels, *more)

    monkeypatch.setattr(type(_engine(classifier)), "run", breaking)
    switch["broken"] = True

    found = problem(service.post(PICTURE), 503)
    assert (found["kind"], found["detail"]) == ("engine", "the model cannot be run now; try again")
    assert service.client.get("/readyz").status_code == 503
    assert service.client.get("/livez").status_code == 200
    assert service.number("birdlite_ready") == 0
    assert problem(service.form(PICTURE, PICTURE), 503)["kind"] == "engine"

    monkeypatch.setattr(pictures, "TRY_AGAIN_S", PATIENCE)  # the next try may take as long as it does
    switch["broken"] = False
    service.wait_for(1, "birdlite_ready")
    assert service.post(PICTURE).status_code == 200
    assert service.number("birdlite_pictures_total", outcome="ok") == 1  # not the service's own, which it tried
    said = [message for _, message, _ in service.lines if "ready" in message]
    assert said[0] == "not ready: the engine is broken"
    assert said[-1] == "ready again"


def test_a_second_engine_that_cannot_be_loaded_costs_no_picture(
    settings: Settings, hold: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings._replace(workers=2)
    with Classifier(settings) as classifier, Running(classifier, settings) as service:
        both_work = threading.Event()

        def load(threads: int = 1) -> Any:
            assert both_work.wait(PATIENCE)
            raise EngineError("no memory for another engine")

        monkeypatch.setattr(classifier._loader, "load", load)
        asked = [service.later(lambda: service.post(HELD + PICTURE)) for _ in range(2)]
        hold.wait_for(2)
        both_work.set()
        hold.release()

        assert [one.answer.status_code for one in asked] == [200, 200]
        assert (service.number("birdlite_engines"), service.number("birdlite_ready")) == (1, 1)
        said = [message for level, message, _ in service.lines if level >= log.WARNING]
        why = "no memory for another engine"
        assert said == [f"an engine cannot be loaded, so fewer pictures are classified at once: {why}"]


def test_a_fault_in_trying_again_does_not_keep_it_from_becoming_ready(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "TRY_AGAIN_S", 0.05)
    service = serve()
    begin, tried = service.service.pictures.begin, []

    def faulty(*request: Any) -> Any:
        tried.append(request)
        if len(tried) == 1:
            monkeypatch.setattr(pictures, "TRY_AGAIN_S", PATIENCE)  # the next try may take as long as it does
            raise ZeroDivisionError("division by zero")
        return begin(*request)

    monkeypatch.setattr(service.service.pictures, "begin", faulty)
    service.service.pictures.broken = EngineError("the engine is broken")

    service.wait_for(1, "birdlite_ready")
    assert service.faults == ["a fault in birdlite, please report it: ZeroDivisionError: division by zero"]
    service.lines.clear()


def test_a_bound_on_pictures_does_not_keep_it_from_becoming_ready_again(
    classifier: Classifier, settings: Settings
) -> None:
    with Running(classifier, settings._replace(max_pixels=1)) as service:
        service.service.pictures.broken = EngineError("the engine is broken")

        service.wait_for(1, "birdlite_ready")
        assert problem(service.post(PICTURE), 413)["kind"] == "too_large"


def _engine(classifier: Classifier) -> Any:
    engine = classifier.new_engine()
    engine.close()
    return engine


def test_lines_of_a_broken_engine_are_records(
    classifier: Classifier, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = serve()

    def broken(*_: Any) -> Any:
        raise EngineError("the engine is broken")

    monkeypatch.setattr(type(_engine(classifier)), "run", broken)
    answer = service.form(PICTURE, PICTURE, headers={"Accept": "application/x-ndjson"})

    assert answer.status_code == 200
    assert answer.text.count('"kind": "cancelled"') == 2


def test_an_error_that_is_not_the_engines_does_not_make_the_service_unready(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = serve()

    def top_k(*_: object) -> object:
        raise UsageError("an option is wrong")

    with monkeypatch.context() as patched:
        patched.setattr(pipeline, "top_k", top_k)
        found = problem(service.post(PICTURE), 500)

    assert found["kind"] == "fault"
    assert service.client.get("/readyz").status_code == 200
    assert service.post(PICTURE).status_code == 200
    assert service.faults == ["a fault in birdlite, please report it: UsageError: an option is wrong"]
    service.lines.clear()


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A picture in which birdlite itself fails."""
    data, plan = b"poison", picture.plan

    def faulty(found: bytes, **more: Any) -> Any:
        if found == data:
            raise ZeroDivisionError("division by zero")
        return plan(found, **more)

    monkeypatch.setattr(picture, "plan", faulty)
    return data


def test_a_fault_with_one_picture_is_a_500_and_concerns_no_other(serve: Serve, poison: bytes) -> None:
    service = serve()
    found = problem(service.post(poison), 500)
    good = service.post(PICTURE)
    ready = service.client.get("/readyz")

    assert found["kind"] == "fault"
    assert "division" not in found["detail"]
    assert (good.status_code, ready.status_code) == (200, 200)
    assert service.faults == ["a fault in birdlite, please report it: ZeroDivisionError: division by zero"]
    service.lines.clear()


def test_a_fault_with_one_picture_is_a_record_in_lines_and_the_others_are_answered(serve: Serve, poison: bytes) -> None:
    service = serve()
    answer = service.form(PICTURE, poison, PICTURE, headers={"Accept": "application/x-ndjson", "X-Request-Id": "mine"})

    records = sorted(map(json.loads, answer.text.splitlines()), key=lambda record: record["index"])
    assert [record["status"] for record in records] == ["ok", "error", "ok"]
    assert records[1]["error"] == {"kind": "cancelled", "message": "1.jpg: a fault in birdlite; its log says more"}
    said = [(message, fields) for _, message, fields in service.lines if "fault" in message]
    what = "a fault in birdlite, please report it: ZeroDivisionError: division by zero"
    assert said == [(what, {"request_id": "mine"})]
    service.lines.clear()


def test_requests_leave_nothing_behind(service: Running) -> None:
    """Without the garbage collector: what only it could free would hold the bytes of many pictures."""
    for _ in range(3):
        service.post(PICTURE)
    gc.collect()
    others = {id(one): one for one in _left()}  # of a test that failed, for example
    gc.disable()
    try:
        for _ in range(20):
            service.post(PICTURE)
            service.form(PICTURE, b"no picture")
            service.form(PICTURE, headers={"Accept": "application/x-ndjson"})
            service.post(b"", "application/json")
        service.client.get("/livez")
        service.wait_for(0, "birdlite_pictures_under_way", lane="upload")
        service.until(lambda: all(id(one) in others for one in _left()))
    finally:
        gc.enable()

    assert service.service.bodies.held == 0
    assert service.service.busy == 0
    assert service.service.pictures.classifier._pipeline.streams == []


def _left() -> list[Job | Single | Target]:
    """All pictures that are on their way, as far as the garbage collector knows, and all files that are held."""
    things = gc.get_objects()
    return [one for one in things if isinstance(one, (Job, Single)) or (isinstance(one, Target) and one.data)]


def test_clients_that_go_away_leave_nothing_behind(serve: Serve, hold: Hold) -> None:
    service = serve(max_wait=PATIENCE)
    body = HELD + PICTURE
    head = b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    for _ in range(10):
        with service.connect() as client:
            client.sendall(head + body)
    service.wait_for(10, "birdlite_requests_total", route="/v1/classify", method="POST", status="499")
    hold.release()
    service.wait_for(0, "birdlite_pictures_under_way", lane="upload")
    service.wait_for(0, "birdlite_queue_length", lane="upload")

    assert service.service.bodies.held == 0
    assert service.service.busy == 0
    assert service.post(PICTURE).status_code == 200
