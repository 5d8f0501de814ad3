"""Bodies that nobody wants: a client that sends all of one before it reads anything still sees why it was refused."""

from __future__ import annotations

import contextlib
import gc
import http.client
import json
import signal
import socket
from collections.abc import Iterator

import pytest

from birdlite.serve import connection
from birdlite.serve.connection import Connection
from tests.origin import PATIENCE
from tests.serve.test_classify import check_shape
from tests.service_process import Start, connects
from tests.serving import Running, Serve, head_of, read_all

BODY = bytes(16 << 20)  # more than the systems of both sides keep
REFUSED = {
    404: ("/nope", "image/jpeg"),
    400: ("/v1/classify?nope=1", "image/jpeg"),
    415: ("/v1/classify", "text/html"),
    413: ("/v1/classify", "image/jpeg"),
}
CLOSED = {
    "the client says so": ("1.1", "Connection: close\r\n"),
    "the client asks before it sends": ("1.1", "Expect: 100-continue\r\n"),
    "HTTP/1.0": ("1.0", ""),
}


def head(path: str, content_type: str = "image/jpeg", *, version: str = "1.1", more: str = "") -> bytes:
    lines = f"POST {path} HTTP/{version}\r\nHost: x\r\nContent-Type: {content_type}\r\n{more}"
    return f"{lines}Content-Length: {len(BODY)}\r\n\r\n".encode()


REFUSED_HEAD = head("/nope", more="Connection: close\r\n")


def check_refused(answer: bytes, status: int) -> None:
    """It is a whole problem document."""
    assert head_of(answer).startswith(b"HTTP/1.1 %d " % status)
    check_shape(json.loads(answer.partition(b"\r\n\r\n")[2]), "Problem")


@contextlib.contextmanager
def leaves_nothing(service: Running) -> Iterator[None]:
    """Afterwards, no more connections are there than before, nor a timer that holds one."""
    service.client.get("/livez")
    before = len(left())
    yield
    wait_for_the_end(service)
    service.until(lambda: len(left()) <= before)


def wait_for_the_end(service: Running) -> None:
    """Wait until the only connection is that of `service.client`."""
    service.until(lambda: len(service.server._uvicorn.server_state.connections) == 1)


def left() -> list[Connection]:
    gc.collect()
    return [one for one in gc.get_objects() if isinstance(one, Connection)]


@pytest.mark.parametrize("why", CLOSED)
@pytest.mark.parametrize("status", REFUSED)
def test_a_refusal_is_read_behind_a_body_that_is_sent_first(service: Running, why: str, status: int) -> None:
    version, more = CLOSED[why]
    check_refused(service.raw(head(*REFUSED[status], version=version, more=more), BODY), status)


def test_a_refusal_that_is_read_leaves_nothing(service: Running) -> None:
    with leaves_nothing(service):
        check_refused(service.raw(REFUSED_HEAD, BODY), 404)


def test_a_library_that_always_closes_reads_it_too(service: Running) -> None:
    asking = http.client.HTTPConnection("127.0.0.1", service.port, timeout=PATIENCE)
    asking.request("POST", "/nope", BODY, {"Connection": "close"})

    assert asking.getresponse().status == 404
    asking.close()


def test_a_refusal_is_read_while_the_service_drains(start: Start) -> None:
    process = start("--drain", "2")
    with process.connect() as client:
        process.process.send_signal(signal.SIGTERM)
        process.wait_for("not ready any more")
        client.sendall(head("/nope") + BODY)
        check_refused(read_all(client), 404)

    assert process.end()[0] == 0


def test_a_body_that_still_comes_at_the_end_does_not_take_the_answer_away(start: Start) -> None:
    process = start("--grace", "1000")
    with process.connect() as client:
        client.sendall(head("/nope") + BODY[:1000])
        process.wait_for("POST /nope")
        process.process.send_signal(signal.SIGTERM)
        while connects(*client.getpeername()):
            pass
        client.sendall(BODY[1000:])
        check_refused(read_all(client), 404)

    assert process.end()[0] == 0


def test_a_client_that_never_stops_sending_is_cut_off(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_S", 0.2)
    service = serve()
    with leaves_nothing(service), service.connect() as client:
        client.sendall(head("/nope", more="Connection: close\r\n").replace(b"16777216", b"1" + b"0" * 15))
        with pytest.raises(ConnectionError):
            send_for_ever(client)


def send_for_ever(client: socket.socket) -> None:
    while True:
        client.sendall(BODY)


def test_a_client_that_neither_sends_nor_hangs_up_is_left(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_S", 0.2)
    service = serve()
    with leaves_nothing(service), service.connect() as client:
        client.sendall(REFUSED_HEAD)
        check_refused(read_all(client), 404)
        wait_for_the_end(service)


def test_a_client_that_is_too_slow_is_not_waited_for(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_S", 10 * PATIENCE)
    service = serve(body_timeout=0.1)
    with service.connect() as client:
        client.sendall(head("/v1/classify").replace(b"16777216", b"1000"))
        check_refused(read_all(client), 408)
        wait_for_the_end(service)


def test_connections_that_linger_make_room_for_others(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_S", 10 * PATIENCE)
    service = serve(connections=3)
    with contextlib.ExitStack() as clients:
        for _ in range(10):
            client = clients.enter_context(service.connect())
            client.sendall(REFUSED_HEAD)
            check_refused(read_all(client), 404)
        assert len(service.server._uvicorn.server_state.connections) <= 3
        assert service.client.get("/readyz").status_code == 200
