"""Bodies that nobody wants: a client that sends all of one before it reads anything still sees why it was refused."""

from __future__ import annotations

import contextlib
import gc
import http.client
import json
import signal
import socket
import struct
from collections.abc import Iterator

import pytest

from birdlite.serve import connection, server
from birdlite.serve.connection import Connection
from tests.origin import PATIENCE
from tests.serve.test_classify import check_shape
from tests.service_process import Start, connects
from tests.serving import Running, Serve, ask_livez, head_of, read_all

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
NONSENSE = b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nno size\r\n"


def check_refused(answer: bytes, status: int) -> None:
    """It is a whole problem document."""
    assert head_of(answer).startswith(b"HTTP/1.1 %d " % status)
    check_shape(json.loads(answer.partition(b"\r\n\r\n")[2]), "Problem")


@contextlib.contextmanager
def leaves_nothing(service: Running) -> Iterator[None]:
    """Afterwards, no more connections are there than before, nor a timer that holds one."""
    before = len(left(service))
    yield
    wait_for_the_end(service)
    assert any(len(left(service)) <= before for _ in range(100))


def wait_for_the_end(service: Running) -> None:
    """Wait until the only connection is that of `service.client`."""
    service.client.get("/livez")
    service.until(lambda: len(service.server._uvicorn.server_state.connections) == 1)


def left(service: Running) -> list[Connection]:
    service.client.get("/livez")  # what happened before is over then
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
    process = start("--drain", "4")
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


def test_a_client_that_resets_the_connection_when_it_is_refused_is_no_fault(service: Running) -> None:
    """The service may come to close its side only then."""
    with leaves_nothing(service):
        for _ in range(50):
            with service.connect() as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.sendall(REFUSED_HEAD + BODY[:1000])
                client.recv(1)

    assert service.faults == []


def test_a_client_that_never_stops_sending_is_cut_off(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    service = serve()
    with leaves_nothing(service), service.connect() as client:
        ask_livez(client)
        monkeypatch.setattr(connection, "HEAD_S", 0.2)
        client.sendall(head("/nope", more="Connection: close\r\n").replace(b"16777216", b"1" + b"0" * 15))
        with pytest.raises(ConnectionError):
            send_for_ever(client)


def send_for_ever(client: socket.socket) -> None:
    while True:
        client.sendall(BODY)


@pytest.mark.parametrize(("sent", "status"), [(REFUSED_HEAD, 404), (NONSENSE, 400)], ids=["not wanted", "nonsense"])
def test_a_client_that_neither_sends_nor_hangs_up_is_left(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, sent: bytes, status: int
) -> None:
    service = serve()
    with leaves_nothing(service), service.connect() as client:
        ask_livez(client)
        for name in ("HEAD_S", "LINGER_S"):
            monkeypatch.setattr(connection, name, 0.2)
        client.sendall(sent)
        check_refused(read_all(client), status)
        wait_for_the_end(service)


def test_a_client_that_goes_before_its_body_is_sent_leaves_nothing(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEAD_S", 10 * PATIENCE)
    service = serve()
    with leaves_nothing(service), service.connect() as client:
        client.sendall(head("/nope"))
        assert head_of(client.recv(65536)) == b"HTTP/1.1 404 Not Found"


def test_a_client_that_resets_a_connection_that_lingers_leaves_nothing(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name in ((connection, "HEAD_S"), (connection, "UNREAD_S"), (server, "KEEP_ALIVE_S")):
        monkeypatch.setattr(module, name, 10 * PATIENCE)  # no timer ends by itself
    service = serve()
    with leaves_nothing(service), service.connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.sendall(REFUSED_HEAD)
        check_refused(read_all(client), 404)


def test_a_client_that_is_too_slow_is_not_waited_for(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_S", 10 * PATIENCE)
    service = serve(body_timeout=0.1)
    with service.connect() as client:
        client.sendall(head("/v1/classify").replace(b"16777216", b"1000"))
        check_refused(read_all(client), 408)
        wait_for_the_end(service)


@pytest.mark.parametrize(("sent", "status"), [(REFUSED_HEAD, 404), (NONSENSE, 400)], ids=["not wanted", "nonsense"])
def test_connections_that_linger_make_room_for_others(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, sent: bytes, status: int
) -> None:
    for name in ("HEAD_S", "LINGER_S"):
        monkeypatch.setattr(connection, name, 10 * PATIENCE)
    service = serve(connections=3)
    with contextlib.ExitStack() as clients:
        for _ in range(10):
            client = clients.enter_context(service.connect())
            client.sendall(sent)
            check_refused(read_all(client), status)
        assert len(service.server._uvicorn.server_state.connections) <= 3
        assert service.client.get("/readyz").status_code == 200
