"""Who waits and who is shed: the queue by itself, and the service when more comes than it can take on."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial, wraps

import pytest

from birdlite.run.classifier import Classifier
from birdlite.run.pipeline import slots
from birdlite.serve.admission import Admission, Lane, Place
from birdlite.serve.problems import Overloaded, Problem
from birdlite.settings import Settings
from birdlite.timing import clock
from tests.demo_world import PICTURES
from tests.hold import HELD, Hold
from tests.origin import PATIENCE, Origin, head
from tests.serve.test_classify import problem
from tests.serving import Later, Running, Serve

PICTURE = PICTURES[0].read_bytes()
LONG = 1e6  # s
HEAD = head(200, {"Content-Length": "100000"})


def in_loop(test: Callable[..., Coroutine[None, None, None]]) -> Callable[..., None]:
    """A test that runs in an event loop."""

    @wraps(test)
    def run(*fixtures: object, **named: object) -> None:
        asyncio.run(asyncio.wait_for(test(*fixtures, **named), PATIENCE))

    return run


def has_turn(place: Place) -> bool:
    return place.began is not None


@in_loop
async def test_the_queue_is_first_come_first_served() -> None:
    admission = Admission(10, LONG, uploads=2, urls=1)
    places = admission.enter("upload", 3, clock() + LONG) + admission.enter("upload", 2, clock() + LONG)
    order: list[Place] = []
    while len(order) < 5:
        (first, *_) = [place for place in places if has_turn(place) and place not in order]
        order.append(first)
        first.leave()

    assert order == places
    assert (admission.running("upload"), admission.waiting("upload")) == (0, 0)


@in_loop
async def test_at_most_so_many_run_and_so_many_wait() -> None:
    admission = Admission(3, LONG, uploads=2, urls=1)
    admission.enter("upload", 5, clock() + LONG)

    assert (admission.running("upload"), admission.waiting("upload")) == (2, 3)
    with pytest.raises(Overloaded, match="too many pictures are waiting; try again in 1 s"):
        admission.enter("upload", 1, clock() + LONG)


@in_loop
async def test_all_pictures_of_a_request_are_taken_on_or_none() -> None:
    admission = Admission(3, LONG, uploads=2, urls=1)
    admission.enter("upload", 1, clock() + LONG)
    with pytest.raises(Overloaded):
        admission.enter("upload", 5, clock() + LONG)

    assert (admission.running("upload"), admission.waiting("upload")) == (1, 0)


@in_loop
async def test_those_that_are_fetched_do_not_keep_those_that_are_sent_waiting() -> None:
    admission = Admission(2, LONG, uploads=1, urls=1)
    admission.enter("url", 3, clock() + LONG)
    (place,) = admission.enter("upload", 1, clock() + LONG)

    assert has_turn(place)
    with pytest.raises(Overloaded):
        admission.enter("url", 1, clock() + LONG)


@in_loop
async def test_those_that_were_fetched_do_not_keep_those_that_are_sent_from_waiting() -> None:
    admission = Admission(2, LONG, uploads=2, urls=16)
    admission.enter("url", 16, LONG)

    assert len(admission.enter("upload", 4, LONG)) == 4


@in_loop
async def test_without_a_queue_only_what_can_run_at_once_is_taken_on() -> None:
    admission = Admission(0, LONG, uploads=1, urls=1)
    (place,) = admission.enter("upload", 1, clock() + LONG)
    with pytest.raises(Overloaded):
        admission.enter("upload", 1, clock() + LONG)
    place.leave()

    assert has_turn(admission.enter("upload", 1, clock() + LONG)[0])


@in_loop
async def test_who_would_wait_longer_than_there_is_time_is_refused_at_once() -> None:
    admission = Admission(1000, LONG, uploads=1, urls=1)
    (slow,) = admission.enter("upload", 1, clock() + LONG)
    slow.began = clock() - 1000.0  # as if it had taken so long
    slow.leave()
    admission.enter("upload", 2, clock() + LONG)

    with pytest.raises(Overloaded, match="longer than this request has time; try again in 60 s"):
        admission.enter("upload", 1, clock() + 5.0)
    admission.enter("upload", 1, clock() + LONG)


@in_loop
async def test_a_turn_that_does_not_come_in_time_is_a_timeout_and_its_place_is_free_again() -> None:
    admission = Admission(5, LONG, uploads=1, urls=1)
    first, second, third = admission.enter("upload", 3, clock() + LONG)
    with pytest.raises(asyncio.TimeoutError):
        await second.turn(clock())
    second.leave()
    first.leave()
    await third.turn(clock() + LONG)

    assert has_turn(third)
    assert admission.waiting("upload") == 0


@in_loop
async def test_a_place_that_is_left_twice_counts_once() -> None:
    admission = Admission(5, LONG, uploads=1, urls=1)
    first, second, third = admission.enter("upload", 3, clock() + LONG)
    first.leave()
    first.leave()

    assert has_turn(second)
    assert not has_turn(third)


class Time:
    """A clock that stands still until a test moves it."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    made = Time()
    monkeypatch.setattr("birdlite.serve.admission.clock", made)
    return made


def is_taken_on(admission: Admission, lane: Lane = "upload") -> bool:
    """Whether one more is; it leaves at once, if it has its turn."""
    try:
        (place,) = admission.enter(lane, 1, LONG)
    except Overloaded:
        return False
    if has_turn(place):
        place.fetched = 0.0
    place.leave()
    return True


def overloaded(lane: Lane = "upload") -> tuple[Admission, list[Place]]:
    """The queue is full, and many had to be refused. Two run at once, and 20 wait."""
    admission = Admission(20, LONG, uploads=2, urls=16)
    places = admission.enter(lane, admission._lanes[lane].limit + 20, LONG)
    assert not any(is_taken_on(admission, lane) for _ in range(100))
    return admission, places


@in_loop
async def test_nothing_waits_for_longer_than_it_may(time: Time) -> None:
    admission = Admission(1000, 1.0, uploads=1, urls=1)
    (first,) = admission.enter("upload", 1, LONG)
    time.now += 0.05
    first.leave()  # as long as the first guess
    admission.enter("upload", 1 + 20, LONG)

    assert admission.waiting("upload") == 20  # 20 · 0.05 s
    admission.enter("upload", 1, LONG)
    assert not is_taken_on(admission)


@in_loop
async def test_a_request_that_has_waited_for_as_long_as_it_may_is_refused_whole_and_once() -> None:
    admission = Admission(20, 0.01, uploads=1, urls=1)
    admission.enter("upload", 1, clock() + LONG)
    request = admission.enter("upload", 3, clock() + LONG)
    before = admission._lanes["upload"].slack

    found = await asyncio.gather(*(place.turn(clock() + LONG) for place in request), return_exceptions=True)
    assert [type(one) for one in found] == [Overloaded] * 3
    once = Admission(20, 0.01, uploads=1, urls=1)._lanes["upload"]
    once.count(refused=False)
    once.count(refused=False)
    assert once.slack == before
    once.count(refused=True)
    assert admission._lanes["upload"].slack == once.slack


@in_loop
async def test_pictures_that_run_for_longer_than_others_did_count_with_their_age(time: Time) -> None:
    admission = Admission(1000, 1.0, uploads=2, urls=16)
    admission.enter("url", 16, LONG)
    time.now += 100

    assert is_taken_on(admission, "url")  # nothing waits: one of them may end at any time
    admission.enter("url", 1, LONG)
    assert not is_taken_on(admission, "url")  # 16 in 100 s: 6 s


@in_loop
async def test_one_picture_that_takes_long_counts_as_one(time: Time) -> None:
    admission = Admission(1000, 1.0, uploads=2, urls=16)
    admission.enter("url", 1, LONG)
    time.now += 100
    admission.enter("url", 15, LONG)
    with suppress(Overloaded):
        while True:
            admission.enter("url", 1, LONG)

    assert admission.waiting("url") == 1 + 15 * 20  # 15 · 20 in a second


@in_loop
async def test_who_comes_while_others_hang_is_told_to_come_back_later(time: Time) -> None:
    admission = Admission(2, 1.0, uploads=2, urls=16)
    admission.enter("url", 18, LONG)
    time.now += 160

    with pytest.raises(Overloaded, match="try again in 30 s"):  # 3 at 16 in 160 s
        admission.enter("url", 1, LONG)


@in_loop
async def test_one_refusal_is_no_overload() -> None:
    admission = Admission(20, LONG, uploads=2, urls=16)
    places = admission.enter("upload", 22, LONG)
    assert not is_taken_on(admission)
    places[0].leave()

    assert is_taken_on(admission)


@in_loop
async def test_when_overloaded_only_what_need_not_wait_is_taken_on() -> None:
    admission, places = overloaded()
    taken_on = []
    for place in places:
        place.leave()
        taken_on.append(is_taken_on(admission))

    assert taken_on == [False] * 20 + [True, True]


@in_loop
async def test_the_more_had_to_be_refused_the_less_others_may_wait(time: Time) -> None:
    admission = Admission(1000, 1.0, uploads=1, urls=1)
    queues = []
    for _ in range(3):
        with suppress(Overloaded):
            while True:
                admission.enter("upload", 1, LONG)
        queues.append(admission.waiting("upload"))
        for place in [*admission._lanes["upload"].waiting][2:]:
            place.leave()
        for _ in range(2):
            admission._lanes["upload"].count(refused=True)

    assert queues[0] > queues[1] > queues[2] > 0


@in_loop
async def test_when_requests_are_taken_on_again_the_overload_is_over() -> None:
    admission, places = overloaded()
    for place in places:
        place.leave()
    assert all(is_taken_on(admission) for _ in range(50))

    assert len([admission.enter("upload", 1, LONG) for _ in range(10)]) == 10


@in_loop
async def test_bursts_that_can_be_answered_are_no_overload_whatever_had_to_be_refused_before(time: Time) -> None:
    """Else an overload would last for ever: without a queue, most of each burst has to be refused again."""
    admission, places = overloaded()
    for place in places:
        place.leave()

    def burst() -> int:
        taken_on: list[Place] = []
        with suppress(Overloaded):
            for _ in range(12):
                taken_on += admission.enter("upload", 1, LONG)
        for place in taken_on:
            place.leave()
        return len(taken_on)

    taken_on = []
    for _ in range(30):
        taken_on.append(burst())
        time.now += 0.5  # two can be answered in 0.05 s

    assert taken_on[0] == 2
    assert taken_on[-1] == 12


@in_loop
async def test_bursts_that_cannot_be_answered_stay_an_overload(time: Time) -> None:
    admission, places = overloaded()
    for place in places:
        place.leave()
    for _ in range(1000):
        admission._lanes["upload"].learn(0.5, 0.0)

    taken_on = []
    for _ in range(30):
        first = [place for _ in range(2) for place in admission.enter("upload", 1, LONG)]
        taken_on.append(sum(is_taken_on(admission) for _ in range(10)))
        time.now += 0.5
        for place in first:
            place.leave()

    assert taken_on == [0] * 30


@in_loop
async def test_requests_of_many_pictures_that_are_refused_before_they_are_read_stay_an_overload(time: Time) -> None:
    """Until then, how many pictures are in them is not known. Two workers take 0.05 s for one: 40 a second."""
    admission, places = overloaded()
    for place in places[2:]:
        place.leave()  # none waits any more
    for _ in range(100):
        admission._lanes["upload"].take_on(8)
        admission._lanes["upload"].count(refused=True)

    refused = 0
    for _ in range(600):
        try:
            admission.check("upload", 1, LONG)
        except Overloaded:
            refused += 1
        time.now += 0.05  # 20 a second, of 8 pictures each

    assert refused == 600


@in_loop
async def test_an_overload_of_one_kind_is_none_of_the_other() -> None:
    admission, _ = overloaded("url")
    admission._lanes["url"].learn(100.0, 100.0)  # they are being fetched
    admission.enter("upload", 3, LONG)

    assert admission.waiting("upload") == 1


@in_loop
async def test_when_overloaded_those_that_are_sent_are_taken_on_while_the_others_hang(time: Time) -> None:
    admission, places = overloaded()
    admission.enter("url", 16, LONG)
    for place in places[1:]:
        place.leave()

    assert not is_taken_on(admission)  # by the average, they are here at once
    time.now += 0.1
    assert is_taken_on(admission)


@in_loop
async def test_when_overloaded_a_request_of_many_pictures_is_taken_on_when_its_first_one_has_its_turn() -> None:
    admission, places = overloaded()
    for place in places[:-1]:
        place.leave()

    assert len(admission.enter("upload", 10, LONG)) == 10


@in_loop
async def test_requests_that_never_fit_in_are_no_overload() -> None:
    admission = Admission(3, LONG, uploads=2, urls=16)
    for _ in range(100):
        with pytest.raises(Problem, match="6 pictures; at most 5 can run and wait at once"):
            admission.enter("upload", 6, LONG)

    assert len(admission.enter("upload", 5, LONG)) == 5


@pytest.mark.parametrize(("part_fetching", "at_once"), [(0.0, 2), (0.1, 2), (0.45, 3), (0.95, 16)])
@in_loop
async def test_when_overloaded_as_many_urls_run_as_keep_the_workers_busy(part_fetching: float, at_once: int) -> None:
    """About two at the workers, and those that are being fetched, but not more than may be."""
    admission, places = overloaded("url")
    for place in places:
        place.leave()
    for _ in range(2000):  # so that the averages are these
        admission._lanes["url"].learn(0.1, 0.1 * part_fetching)

    taken_on = 0
    with suppress(Overloaded):
        while True:
            admission.enter("url", 1, LONG)
            admission._lanes["url"].count(refused=True)  # another one
            taken_on += 1
    assert taken_on == at_once


@pytest.mark.parametrize(
    ("load", "longest", "refused"),
    [
        (0.8, 9.0, (0.0, 0.02)),  # bursts wait, and hardly any is refused
        (1.25, 11.0, (0.2, 0.3)),  # as long as they may wait, and the picture itself
        (2.0, 3.0, (0.5, 0.58)),  # as fast as ever, and the worker has hardly less to do
    ],
)
@in_loop
async def test_what_comes_at_random_times(
    time: Time, load: float, longest: float, refused: tuple[float, float]
) -> None:
    """One worker that takes 0.1 s, simulated: how long most of those that are taken on take, in pictures' times."""
    chance, admission = random.Random(1), Admission(64, 1.0, uploads=2, urls=16)
    comes, ready, count = time.now, time.now, 0
    under_way: deque[tuple[Place, float]] = deque()
    took = []
    while count < 5000:
        if under_way and ready <= comes:
            time.now = ready
            place, came = under_way.popleft()
            place.leave()
            took.append((ready - came) / 0.1)
            ready += 0.1
            continue
        time.now = comes
        count += 1
        with suppress(Overloaded):
            (place,) = admission.enter("upload", 1, LONG)
            ready = ready if under_way else comes + 0.1
            under_way.append((place, comes))
        comes += chance.expovariate(load / 0.1)

    assert sorted(took)[len(took) * 95 // 100] <= longest
    assert refused[0] <= 1 - len(took) / count <= refused[1]


# The service


def test_the_pipeline_has_a_slot_for_each_picture_that_has_its_turn(
    classifier: Classifier, settings: Settings, service: Running
) -> None:
    """Else `submit` would wait, and with it the event loop."""
    lanes = service.service.pictures.admission._lanes
    files, downloads = slots(settings)

    assert lanes["upload"].limit <= files
    assert lanes["url"].limit <= downloads


def fill(service: Running, hold: Hold, queue: int) -> list[Later]:
    """Uploads that run (two: one is decoded, one is next) and wait, all held."""
    asked = [service.later(partial(service.post, HELD + PICTURE)) for _ in range(2 + queue)]
    hold.wait_for(1)
    service.wait_for(2, "birdlite_pictures_under_way", lane="upload")
    service.wait_for(queue, "birdlite_queue_length", lane="upload")
    return asked


def test_when_the_queue_is_full_the_answer_is_503_at_once_and_everything_else_answers(
    serve: Serve, hold: Hold, origin: Origin
) -> None:
    service = serve(queue=3, max_wait=PATIENCE)
    asked = fill(service, hold, 3)

    refused = service.post(PICTURE)
    assert problem(refused, 503)["kind"] == "overload"
    assert int(refused.headers["retry-after"]) >= 1
    assert problem(service.form(PICTURE, PICTURE), 503)["kind"] == "overload"
    assert service.number("birdlite_shed_requests_total") == 2
    assert service.number("birdlite_pictures_under_way", lane="upload") == 2
    for path in ("/livez", "/readyz", "/v1/model", "/openapi.json", "/metrics"):
        assert service.client.get(path).status_code == 200
    url = origin.serve("/a.jpg", b"no picture")
    assert problem(service.client.get("/v1/classify", params={"url": "ftp://a.example/"}), 415)
    assert origin.hits("/a.jpg") == 0

    hold.release()
    assert [one.answer.status_code for one in asked] == [200] * 5
    assert service.post(PICTURE).status_code == 200
    assert problem(service.client.get("/v1/classify", params={"url": url}), 415)["kind"] == "not_an_image"


def test_a_refused_body_is_not_read(serve: Serve, hold: Hold) -> None:
    service = serve(queue=0)
    fill(service, hold, 0)
    ask = b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n"

    answer = service.raw(ask)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"100 Continue" not in answer


def test_a_batch_that_is_larger_than_what_may_wait_is_refused_whole(serve: Serve) -> None:
    service = serve(queue=3)

    refused = service.form(*[PICTURE] * 6)
    assert problem(refused, 413)["kind"] == "too_large"
    assert "retry-after" not in refused.headers  # it never fits in
    assert service.form(*[PICTURE] * 5).json()["summary"]["ok"] == 5
    assert service.number("birdlite_pictures_total", outcome="ok") == 5


@pytest.mark.usefixtures("ageless")
def test_what_is_not_finished_in_time_is_a_timeout(serve: Serve, hold: Hold) -> None:
    service = serve(request_timeout=1.0)
    running = service.later(lambda: service.post(HELD + PICTURE))
    hold.wait_for(1)
    waiting = [service.later(lambda: service.post(PICTURE)) for _ in range(3)]

    for one in (running, *waiting):
        found = problem(one.answer, 504)
        assert (found["kind"], found["detail"]) == ("timeout", "body: the request's time is up")
    hold.release()
    service.wait_for(0, "birdlite_pictures_under_way", lane="upload")


def test_a_picture_among_several_that_is_not_finished_in_time_is_a_value(serve: Serve, origin: Origin) -> None:
    service = serve(request_timeout=2.0)
    answer = service.urls(origin.serve("/a.jpg", PICTURE), origin.drip("/slow.jpg", HEAD, b"x"))

    assert [record.get("error", {}).get("kind") for record in answer.json()["results"]] == [None, "timeout"]
    origin.wait_for_hang_up(1)


def test_a_client_that_goes_away_takes_its_pictures_with_it(serve: Serve, hold: Hold) -> None:
    service = serve(queue=10, max_wait=PATIENCE)
    fill(service, hold, 0)
    ask = b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(PICTURE)
    clients = [service.connect() for _ in range(3)]
    for client in clients:
        client.sendall(ask + PICTURE)
    service.wait_for(3, "birdlite_queue_length", lane="upload")
    held = service.service.bodies.held

    for client in clients:
        client.close()

    service.wait_for(0, "birdlite_queue_length", lane="upload")
    service.wait_for(3, "birdlite_requests_total", route="/v1/classify", method="POST", status="499")
    assert service.service.bodies.held == held - 3 * len(PICTURE)
    hold.release()
    assert service.number("birdlite_pictures_total", outcome="cancelled") == 0


def test_a_client_that_goes_away_ends_its_downloads(serve: Serve, origin: Origin) -> None:
    service = serve()
    for name in "ab":
        origin.drip(f"/{name}.jpg", HEAD, b"x")
    body = json.dumps({"urls": [origin.url("/a.jpg"), origin.url("/b.jpg"), origin.url("/c.jpg")]}).encode()
    ask = b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
    for accept in (b"application/json", b"application/x-ndjson"):
        with service.connect() as client:
            client.sendall(ask % len(body) + b"Accept: " + accept + b"\r\n\r\n" + body)
            origin.wait_for(2)
        origin.wait_for_hang_up()

    service.wait_for(0, "birdlite_pictures_under_way", lane="url")
    assert origin.hits("/c.jpg") == 0
    assert service.client.get("/readyz").status_code == 200


def test_bodies_beyond_the_memory_for_them_are_refused_at_once(serve: Serve, hold: Hold) -> None:
    service = serve(queue=100, max_wait=PATIENCE)
    service.service.bodies.limit = 3 * (len(PICTURE) + len(HELD))
    asked = fill(service, hold, 1)

    refused = service.post(PICTURE * 2)
    assert problem(refused, 503)["detail"] == "there is no memory for this body now; try again in 1 s"
    hold.release()
    assert [one.answer.status_code for one in asked] == [200] * 3
    service.client.get("/livez")
    assert service.service.bodies.held == 0


def test_a_body_for_which_there_never_is_memory_is_too_large(serve: Serve) -> None:
    service = serve()
    service.service.bodies.limit = 10_000

    for answer in (service.post(bytes(10_001)), service.client.post("/v1/classify", content=iter([bytes(10_001)]))):
        found = problem(answer, 413)
        assert (found["kind"], found["detail"]) == (
            "too_large", "there is memory for 10000 bytes; the body has more",
        )  # fmt: skip
    assert problem(service.post(bytes(10_000)), 415)["kind"] == "not_an_image"


def test_a_body_for_which_there_is_no_memory_now_is_refused_before_it_is_sent(serve: Serve, hold: Hold) -> None:
    service = serve()
    service.service.bodies.limit = 2 * len(PICTURE)
    later = service.later(lambda: service.post(HELD + PICTURE))
    hold.wait_for(1)

    ask = b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n"
    answer = service.raw(ask % len(PICTURE))
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"no memory for this body now" in answer
    hold.release()
    assert later.answer.status_code == 200


def test_who_only_promises_a_body_takes_no_memory_from_others(serve: Serve) -> None:
    service = serve()
    service.service.bodies.limit = 2 * len(PICTURE)
    head = b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (2 * len(PICTURE))
    with contextlib.ExitStack() as clients:
        for _ in range(10):
            clients.enter_context(service.connect()).sendall(head)
        while service.service.busy < 10:
            service.client.get("/livez")
        assert service.post(PICTURE).status_code == 200


def test_lines_hold_the_memory_of_their_pictures_to_the_end(serve: Serve, hold: Hold) -> None:
    service = serve()
    lines = {"Accept": "application/x-ndjson"}
    later = service.later(lambda: service.form(HELD + PICTURE, PICTURE, headers=lines))
    hold.wait_for(1)

    assert service.service.bodies.held > 2 * len(PICTURE)
    hold.release()
    assert later.answer.text.count('"ok"') == 2
    service.client.get("/livez")
    assert service.service.bodies.held == 0
