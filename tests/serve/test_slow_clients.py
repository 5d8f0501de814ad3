"""Clients that are slow, that go away, and that are many."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from birdlite.serve import bodies, connection, intake
from birdlite.serve.connection import Connection
from tests.demo_world import PICTURES
from tests.fetching import until
from tests.origin import PATIENCE
from tests.serving import Running, Serve, ask_livez, head_of, read_all

PICTURE = PICTURES[0].read_bytes()
POST = b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n"
TOTAL = "birdlite_requests_total"
CLOSE = b"Connection: close\r\n"
OPENAPI = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Connection]:
    """The connections of the service, for which its system keeps little of an answer."""
    made: list[Connection] = []
    begin = Connection.connection_made

    def small(one: Connection, transport: asyncio.Transport) -> None:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        made.append(one)
        begin(one, transport)

    monkeypatch.setattr(Connection, "connection_made", small)
    return made


@pytest.fixture
def short_of_time(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A client with one answer, whose next head must come within 0.2 s of its first byte."""
    with serve().connect() as client:
        ask_livez(client)
        monkeypatch.setattr(connection, "HEAD_S", 0.2)
        yield client


def drip(client: socket.socket, byte: bytes = b"y") -> bytes:
    """Send a byte again and again until the service hangs up, and give what it said."""
    client.settimeout(0.01)
    found = b""
    for _ in range(int(PATIENCE * 100)):
        try:
            client.sendall(byte)
            part = client.recv(65536)
        except TimeoutError:
            continue
        except OSError:
            break
        if not part:
            return found
        found += part
    else:
        raise AssertionError("the service never hung up")
    client.settimeout(PATIENCE)
    return found + read_all(client)  # an answer may have come just before the byte that could not be sent


def test_a_connection_that_says_nothing_is_ended(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_S", 0.2)
    assert serve().raw() == b""


def test_a_head_that_drips_is_ended(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_S", 0.2)
    with serve().connect() as client:
        client.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nX: ")
        assert drip(client) == b""


def test_a_head_that_drips_after_another_request_is_ended(short_of_time: socket.socket) -> None:
    short_of_time.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\nGET /livez HTTP/1.1\r\nHost: x\r\nX: ")
    assert drip(short_of_time).endswith(b"alive\n")


def test_a_body_that_drips_is_given_up(serve: Serve) -> None:
    service = serve(body_timeout=0.2)
    with service.connect() as client:
        client.sendall(POST + b"Content-Length: 1000000\r\n\r\n")
        answer = drip(client)

    assert head_of(answer).startswith(b"HTTP/1.1 408 ")
    assert b"within 0.2 s" in answer
    assert service.service.bodies.held == 0


def test_a_form_that_drips_is_given_up(serve: Serve) -> None:
    head = POST.replace(b"image/jpeg", b"multipart/form-data; boundary=x")
    with serve(body_timeout=0.2).connect() as client:
        client.sendall(head + b'Content-Length: 1000000\r\n\r\n--x\r\nContent-Disposition: form-data; name="')
        assert head_of(drip(client)).startswith(b"HTTP/1.1 408 ")


def test_a_body_that_nobody_wants_and_that_drips_is_ended(short_of_time: socket.socket) -> None:
    short_of_time.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
    assert drip(short_of_time).endswith(b"alive\n")


def test_a_client_that_stops_reading_a_long_answer_is_cut_off(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers that fill what the systems of both sides keep, and then some."""
    monkeypatch.setattr(connection, "UNREAD_S", 0.2)
    service = serve()
    with service.connect(receive=4096) as client:
        client.settimeout(0.05)
        for _ in range(100_000):
            try:
                client.sendall(OPENAPI + b"\r\n")
            except TimeoutError:
                continue
            except OSError:
                break
        else:
            raise AssertionError("the service never hung up")
    assert service.client.get("/livez").status_code == 200


def test_a_client_that_stops_reading_shortly_before_the_end_is_cut_off(
    serve: Serve, made: list[Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left is so little that the service would go on writing."""
    service = serve()
    document = service.client.get("/openapi.json").content
    nearly_over: list[Connection] = []
    resume = Connection.resume_writing

    def resuming(one: Connection) -> None:
        if one.transport.is_closing():
            monkeypatch.setattr(connection, "UNREAD_S", 0.2)
            nearly_over.append(one)
        resume(one)

    monkeypatch.setattr(Connection, "resume_writing", resuming)
    with service.connect(receive=4096) as client:
        ask_livez(client)
        (ours,) = (one for one in made if is_ours(one, client))
        # The usual rest is so small that the systems of both sides could take all of it.
        ours.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        ours.transport.set_write_buffer_limits(high=100_000, low=96_000)
        client.sendall((OPENAPI + b"\r\n") * 20 + OPENAPI + CLOSE + b"\r\n")
        while not nearly_over:
            assert client.recv(1024)
        service.until(lambda: nearly_over[0] not in service.server._uvicorn.server_state.connections)
        assert not read_all(client).endswith(document[-4096:])


def test_a_client_that_is_late_with_its_next_head_gets_the_answer_that_it_still_reads(
    serve: Serve, made: list[Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "UNREAD_S", 10 * PATIENCE)
    service = serve()
    document = service.client.get("/openapi.json").content
    with service.connect(receive=4096) as client:
        client.sendall(OPENAPI + b"\r\n")
        service.until(lambda: any(is_ours(one, client) and one.cycle.response_complete for one in made))
        (ours,) = (one for one in made if is_ours(one, client))
        monkeypatch.setattr(connection, "HEAD_S", 0.1)
        client.sendall(b"GET /li")
        until(ours.transport.is_closing)

        assert read_all(client).endswith(document)


def is_ours(one: Connection, client: socket.socket) -> bool:
    return one.client == client.getsockname() and getattr(one, "cycle", None) is not None


def test_a_client_that_reads_slowly_but_reads_gets_everything(
    serve: Serve, made: list[Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Time passes when it has taken some answers: more than what service and systems keep for it."""
    monkeypatch.setattr(connection, "UNREAD_S", 10 * PATIENCE)
    service = serve()
    began: list[asyncio.TimerHandle | None] = [None]  # the timer that ran when time passed last

    async def pass_time() -> None:
        reading = made[0]._reading
        if reading._handle is not None and reading._handle is began[-1]:
            reading.end()
            made[0]._look_for_progress()
        began.append(reading._handle)

    count, answer = 40, b""
    with service.connect(receive=4096) as client:
        client.sendall((OPENAPI + b"\r\n") * (count - 1) + OPENAPI + CLOSE + b"\r\n")
        while part := client.recv(65536):
            answer += part
            if len(answer) > len(began) * 200_000:
                asyncio.run_coroutine_threadsafe(pass_time(), service.loop).result(PATIENCE)

    assert len(began) > 3
    assert answer.count(b"HTTP/1.1 200 OK") == count


def test_a_body_that_is_here_and_takes_long_to_understand_did_not_come_too_slowly(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread reads long JSON: its time is not the client's."""
    monkeypatch.setattr(bodies, "YOUNG_S", 0.0)
    monkeypatch.setattr(intake, "SHORT", 0)
    came, go_on = threading.Event(), threading.Event()
    understand = intake._from_json

    def slowly(*facts: Any) -> intake.Asked:
        came.set()
        assert go_on.wait(PATIENCE)
        return understand(*facts)

    monkeypatch.setattr(intake, "_from_json", slowly)
    service = serve()
    asked = service.later(lambda: service.urls("ftp://x"))
    assert came.wait(PATIENCE)
    given_up = service.service.bodies.give_up_slowest()
    go_on.set()

    assert (given_up, asked.answer.status_code) == (False, 200)


# Clients that go away


@pytest.mark.parametrize("content_type", ["image/jpeg", "application/json", "multipart/form-data; boundary=x"])
@pytest.mark.parametrize("abort", [False, True], ids=["closed", "reset"])
def test_a_client_that_goes_away_in_the_middle_of_its_body_leaves_nothing(
    serve: Serve, content_type: str, abort: bool
) -> None:
    service = serve(body_timeout=PATIENCE)
    for number in range(1, 4):
        with service.connect() as client:
            if abort:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            head = POST.replace(b"image/jpeg", content_type.encode()) + b"Content-Length: 1000000\r\n\r\n"
            client.sendall(head + b"--x\r\nContent-Disposition: form-data; name=f; filename=a\r\n\r\n" + bytes(50_000))
            while not service.service.bodies.held:
                service.client.get("/livez")
        service.wait_for(number, "birdlite_requests_total", route="/v1/classify", method="POST", status="499")

    assert (service.service.bodies.held, service.service.busy) == (0, 0)
    assert service.number("birdlite_pictures_total") == 0
    assert service.post(PICTURE).status_code == 200


# Many clients


def test_the_connection_that_waits_longest_makes_room_for_another(serve: Serve) -> None:
    service = serve(connections=3)
    idle = [service.connect() for _ in range(3)]
    try:
        ask_livez(idle[1])
        answers = [service.raw(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") for _ in range(5)]

        assert all(answer.endswith(b"ready\n") for answer in answers)
        assert idle[0].recv(1) == b""
    finally:
        for one in idle:
            one.close()


def test_many_more_connections_than_are_kept_do_not_keep_others_out(serve: Serve) -> None:
    service = serve(connections=32)
    with contextlib.ExitStack() as clients:
        kept = [clients.enter_context(service.connect()) for _ in range(200)]
        for client in kept[::2]:
            with contextlib.suppress(ConnectionError):
                client.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nX: ")  # a head that never ends
        for _ in range(5):
            assert service.raw(b"GET /readyz HTTP/1.1\r\nHost: x\r\n" + CLOSE + b"\r\n").endswith(b"ready\n")
        assert service.post(PICTURE).status_code == 200
        assert sum(map(is_open, kept)) <= 32


def is_open(client: socket.socket) -> bool:
    client.setblocking(False)
    try:
        return client.recv(1) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


def test_probes_answer_while_all_requests_that_may_be_under_way_are(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "YOUNG_S", PATIENCE)
    service = serve(connections=18, body_timeout=PATIENCE)  # of which 16 are spare
    head = POST + b"Content-Length: 1000\r\n\r\n"
    busy = [service.connect() for _ in range(2)]
    try:
        for one in busy:
            one.sendall(head)
        while service.service.busy < 2:
            assert service.client.get("/readyz").status_code == 200
        assert service.post(PICTURE).status_code == 503
        assert service.client.get("/metrics").status_code == 200
        assert service.number("birdlite_shed_requests_total") == 1
    finally:
        for one in busy:
            one.close()


def begin_body(service: Running, client: socket.socket, data: bytes) -> None:
    """Send a head, and the beginning of a body. It has arrived when this is over."""
    held = service.service.bodies.held + len(data)
    client.sendall(POST + b"Content-Length: 1000000\r\n\r\n" + data)
    service.until(lambda: service.service.bodies.held == held)


@pytest.mark.parametrize("slowest", [0, 1])
def test_when_connections_are_short_the_body_that_comes_most_slowly_is_given_up(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, slowest: int
) -> None:
    monkeypatch.setattr(bodies, "YOUNG_S", 0.0)
    monkeypatch.setattr(bodies, "LEAST_RATE", 1e9)
    service = serve(connections=18, body_timeout=PATIENCE)  # of which 16 are spare
    with service.connect() as first, service.connect() as second:
        clients = first, second
        for number, client in enumerate(clients):
            begin_body(service, client, b"x" if number == slowest else bytes(300_000))

        assert service.post(PICTURE).status_code == 200
        answer = read_all(clients[slowest])
        assert head_of(answer).startswith(b"HTTP/1.1 408 ")
        assert b"the body comes too slowly, and others need the connection" in answer
        assert is_open(clients[1 - slowest])
        assert (service.service.busy, service.service.bodies.held) == (1, 300_000)


def test_a_body_that_comes_fast_enough_is_not_given_up_for_another(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "YOUNG_S", 0.0)
    monkeypatch.setattr(bodies, "LEAST_RATE", 0)
    service = serve(connections=18, body_timeout=PATIENCE)
    with service.connect() as first, service.connect() as second:
        for client in (first, second):
            begin_body(service, client, b"x")
        assert service.post(PICTURE).status_code == 503
        assert is_open(first)
        assert is_open(second)


def test_many_clients_whose_bodies_hardly_come_do_not_keep_others_out(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "YOUNG_S", 0.0)
    service = serve(connections=32, body_timeout=PATIENCE)
    given_up = {"route": "/v1/classify", "method": "POST", "status": "408"}
    with contextlib.ExitStack() as clients:
        for number in range(1, 41):
            clients.enter_context(service.connect()).sendall(POST + b"Content-Length: 1000000\r\n\r\nx")
            service.until(partial(lambda n: service.service.busy + service.number(TOTAL, **given_up) == n, number))
        for _ in range(10):
            assert service.post(PICTURE).status_code == 200
            assert service.form(PICTURE, PICTURE).json()["summary"]["ok"] == 2
        assert service.number(TOTAL, **given_up) > 24
    service.wait_for(0, "birdlite_pictures_under_way", lane="upload")
    service.until(lambda: service.service.busy == 0)
    assert service.service.bodies.held == 0
