"""Bodies that nobody wants: a client that sends all of one before it reads anything still sees why it was refused."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import http.client
import json
import signal
import socket
import struct
import weakref
from collections.abc import Iterator

import pytest

from birdlite.serve import connection, server
from birdlite.serve.connection import Connection
from tests.demo_world import PICTURES
from tests.origin import PATIENCE
from tests.serve.test_classify import check_shape
from tests.service_process import Start, connects
from tests.serving import Running, Serve, ask_livez, head_of, read_all

PICTURE = PICTURES[0].read_bytes()
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


UNFINISHED = {
    "not wanted": (head("/nope"), 404),
    "not wanted, and closed": (REFUSED_HEAD, 404),
    "nonsense": (NONSENSE, 400),
}


@pytest.mark.parametrize("name", UNFINISHED)
def test_a_client_that_never_finishes_an_unwanted_body_does_not_keep_the_service_from_ending(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for constant in ("HEAD_S", "LINGER_S", "UNREAD_S"):
        monkeypatch.setattr(connection, constant, 10 * PATIENCE)
    monkeypatch.setattr(connection, "SILENT_S", 0.1)
    sent, status = UNFINISHED[name]
    service = serve(grace=10 * PATIENCE)
    with service.connect() as client:
        client.sendall(sent)
        assert head_of(client.recv(65536)).startswith(b"HTTP/1.1 %d " % status)
        service.stop()
        service.wait()


def test_when_only_a_client_that_lingers_is_left_at_the_end_of_the_grace_nothing_is_cut_off(start: Start) -> None:
    process = start("--grace", "0.1")
    with process.connect() as client:
        client.sendall(head("/nope"))
        assert head_of(client.recv(65536)) == b"HTTP/1.1 404 Not Found"
        process.process.send_signal(signal.SIGTERM)
        code, _, err = process.end()

    assert code == 0
    assert "Cancel" not in err
    assert "cut_off" not in err


# What connections keep

POST = b"POST /v1/classify HTTP/1.1\r\nHost: x\r\n"
CONNECTIONS = {
    "answered": POST + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(PICTURE) + PICTURE,
    "refused": REFUSED_HEAD + BODY,
    "nonsense": NONSENSE,
    "gone in the body": POST + b"Content-Length: 1000\r\n\r\nabc",
    "gone in the head": POST,
}


@pytest.mark.parametrize("name", CONNECTIONS)
def test_a_connection_that_is_over_does_not_wait_for_the_garbage_collector(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """It would keep what was read of a body."""
    service, made, begin = serve(), [], Connection.connection_made
    service.client.get("/livez")  # its connection is kept

    def noting(one: Connection, transport: asyncio.Transport) -> None:
        made.append(weakref.ref(one))
        begin(one, transport)

    monkeypatch.setattr(Connection, "connection_made", noting)
    gc.disable()
    try:
        with service.connect() as client:
            client.sendall(CONNECTIONS[name])
            if not name.startswith("gone"):
                read_all(client)
        service.until(lambda: len(made) == 1 and made[0]() is None)
    finally:
        gc.enable()


@pytest.mark.parametrize("chunked", [False, True], ids=["a length", "chunks"])
def test_an_idle_connection_keeps_nothing_of_a_body_that_was_refused(serve: Serve, *, chunked: bool) -> None:
    service, body = serve(), bytes(250_000)
    how = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 1000000"
    with service.connect() as client:
        head = b"POST /nope HTTP/1.1\r\nHost: x\r\n" + how + b"\r\n\r\n"
        client.sendall(head + b"f4240\r\n" * chunked + body)
        assert head_of(client.recv(65536)) == b"HTTP/1.1 404 Not Found"
        ours = client.getsockname()
        open_ = (one for one in service.server._uvicorn.server_state.connections if isinstance(one, Connection))
        (one,) = (one for one in open_ if one.client == ours)
        service.until(lambda: not one.cycle.body and not one.conn.trailing_data[0] and not came_in_chunks(one))


def came_in_chunks(one: Connection) -> bytes:
    return b"" if one.conn._chunks is None else one.conn._chunks.came
