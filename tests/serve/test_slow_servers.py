"""Servers of others that accept and never answer: their URLs keep nobody waiting for longer than `--max-wait`."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from birdlite.serve.admission import Place
from tests.demo_world import PICTURES
from tests.hold import HELD, Hold
from tests.origin import PATIENCE, Origin
from tests.serve.conftest import DOWNLOADS
from tests.serve.test_classify import LINES, problem
from tests.serving import Later, Running, Serve

PICTURE = PICTURES[0].read_bytes()
TOO_MANY = "too many pictures are waiting; try again in "


def ask(service: Running, url: str) -> Later:
    return service.later(lambda: service.client.get("/v1/classify", params={"url": url}))


def hang(service: Running, origin: Origin, count: int = DOWNLOADS) -> list[Later]:
    """Ask for so many URLs that hang until the origin closes. All that may be fetched at once are on their way."""
    for number in range(count):
        origin.hold(f"/hangs/{number}.jpg")
    asked = [ask(service, origin.url(f"/hangs/{number}.jpg")) for number in range(count)]
    origin.wait_for(min(count, DOWNLOADS), "/hangs/")
    service.wait_for(count - min(count, DOWNLOADS), "birdlite_queue_length", lane="url")
    return asked


def test_uploads_are_answered_while_urls_hang_and_others_wait_behind_them(serve: Serve, origin: Origin) -> None:
    service = serve(max_wait=PATIENCE, queue=5)
    hang(service, origin, DOWNLOADS + 5)

    assert [service.post(PICTURE).status_code for _ in range(10)] == [200] * 10
    assert service.form(*[PICTURE] * 7).json()["summary"]["ok"] == 7
    assert origin.under_way("/hangs/") == DOWNLOADS
    assert service.number("birdlite_pictures_under_way", lane="url") == DOWNLOADS
    assert service.number("birdlite_queue_length", lane="url") == 5


def test_an_upload_is_answered_while_urls_hang_although_many_were_refused_lately(serve: Serve, origin: Origin) -> None:
    """Those that hang need no engine, so they do not count as if they kept the engines busy."""
    service = serve()
    hang(service, origin)
    upload, url = service.service.pictures.admission._lanes.values()
    url._takes = 1e-3  # older than that they are
    for _ in range(200):
        upload.count(refused=True)

    assert service.post(PICTURE).status_code == 200


@pytest.mark.parametrize("lines", [False, True])
@pytest.mark.parametrize("count", [1, 3])
def test_a_request_that_has_waited_for_longer_than_it_may_is_refused_then(
    serve: Serve, origin: Origin, count: int, lines: bool
) -> None:
    service = serve(max_wait=0.1)
    hang(service, origin)
    urls = [origin.serve(f"/{number}.jpg", PICTURE) for number in range(count)]

    refused = service.urls(*urls, headers=LINES if lines else None)
    found = problem(refused, 503)
    assert (found["kind"], found["detail"].startswith(TOO_MANY)) == ("overload", True)
    assert int(refused.headers["retry-after"]) >= 1
    assert service.number("birdlite_shed_requests_total") == 1
    assert service.number("birdlite_queue_length", lane="url") == 0
    assert service.number("birdlite_pictures_under_way", lane="url") == DOWNLOADS
    assert origin.hits("/0.jpg") == 0


@pytest.mark.parametrize("lines", [False, True])
def test_a_request_whose_first_picture_had_its_turn_is_not_refused_any_more(
    serve: Serve, origin: Origin, lines: bool
) -> None:
    """It waits for itself: with one worker, any request of many pictures may take longer than one may wait."""
    service = serve(max_wait=0.1)
    hang(service, origin, DOWNLOADS - 1)
    release = origin.hold("/first.jpg", PICTURE)
    urls = [origin.url("/first.jpg"), origin.serve("/second.jpg", PICTURE)]
    several = service.later(partial(service.urls, *urls, headers=LINES if lines else None))
    origin.wait_for(1, "/first.jpg")
    service.wait_for(1, "birdlite_queue_length", lane="url")
    assert problem(ask(service, urls[1]).answer, 503)  # which came later, and has waited for as long as it may

    release.set()
    assert several.answer.text.count('"status": "ok"') == 2


@pytest.mark.usefixtures("ageless")
def test_an_answer_in_lines_whose_time_is_up_before_its_turn_says_so_of_each_picture(serve: Serve) -> None:
    service = serve(max_wait=PATIENCE, request_timeout=1.0)

    async def others_hang() -> list[Place]:
        return service.service.pictures.admission.enter("url", DOWNLOADS, float("inf"))

    asyncio.run_coroutine_threadsafe(others_hang(), service.loop).result(PATIENCE)
    answer = service.urls("http://a.example/a.jpg", "http://a.example/b.jpg", headers=LINES)

    assert answer.text.count("the request's time is up") == 2
    assert service.number("birdlite_queue_length", lane="url") == 0


def test_a_client_that_goes_away_before_its_lines_have_their_turn_takes_them_with_it(
    serve: Serve, origin: Origin
) -> None:
    service = serve(max_wait=PATIENCE)
    hang(service, origin)
    body = f'{{"urls": ["{origin.url("/a.jpg")}", "{origin.url("/b.jpg")}"]}}'.encode()
    head = (
        b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAccept: application/x-ndjson\r\n"
    )
    with service.connect() as client:
        client.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        service.wait_for(2, "birdlite_queue_length", lane="url")

    service.wait_for(1, "birdlite_requests_total", route="/v1/classify", method="POST", status="499")
    service.wait_for(0, "birdlite_queue_length", lane="url")
    assert service.number("birdlite_queue_length", lane="url") == 0


def test_whether_a_picture_is_fetched_is_known(serve: Serve, origin: Origin, hold: Hold) -> None:
    service = serve()
    hang(service, origin, 1)
    decoded = ask(service, origin.serve("/held.jpg", HELD + PICTURE))
    hold.wait_for(1)
    service.client.get("/livez")  # the event loop knows of it by now

    running: set[Place] = service.service.pictures.admission._lanes["url"].running
    assert sorted(place.is_fetched for place in running) == [False, True]
    hold.release()
    assert decoded.answer.status_code == 200
