"""Connections: requests that have two readings, and clients that are slow. Byte by byte."""

from __future__ import annotations

import json
import socket

import pytest

from birdlite.serve import connection
from tests.demo_world import PICTURES
from tests.origin import PATIENCE
from tests.serve.test_classify import check_shape
from tests.serving import Running, Serve, head_of, read_all

PICTURE = PICTURES[0].read_bytes()
POST = b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n"
HIDDEN = b"GET /v1/model HTTP/1.1\r\nHost: x\r\n\r\n"
CLOSE = b"Connection: close\r\n"


def test_requests_on_one_connection_are_answered_in_turn(service: Running) -> None:
    one = POST + b"Content-Length: %d\r\n\r\n" % len(PICTURE) + PICTURE
    answer = service.raw(
        one + b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" + HIDDEN.replace(b"\r\n\r\n", b"\r\n" + CLOSE + b"\r\n")
    )

    assert answer.count(b"HTTP/1.1 200 ") == 3
    assert answer.index(b"Crested") < answer.index(b"alive") < answer.index(b"sha256", answer.index(b"alive"))


TWO_READINGS = {
    "both lengths": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "both, the other way round": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + HIDDEN,
    "two lengths": POST + b"Content-Length: 0\r\nContent-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN,
    "two lengths in one": POST + b"Content-Length: 0, %d\r\n\r\n" % len(HIDDEN) + HIDDEN,
    "a length with a sign": POST + b"Content-Length: +0\r\n\r\n" + HIDDEN,
    "a negative length": POST + b"Content-Length: -1\r\n\r\n" + HIDDEN,
    "a length in hexadecimal": POST + b"Content-Length: 0x0\r\n\r\n" + HIDDEN,
    "a length with a space in it": POST + b"Content-Length: 0 0\r\n\r\n" + HIDDEN,
    "a space before the colon": POST + b"Content-Length : 0\r\n\r\n" + HIDDEN,
    "a length in the next line": POST + b"Content-Length:\r\n 0\r\n\r\n" + HIDDEN,
    "a header in two lines": POST + b"X: a\r\n\tb\r\nContent-Length: 0\r\n\r\n" + HIDDEN,
    "lines of LF": POST.replace(b"\r\n", b"\n") + b"Content-Length: 0\n\n" + HIDDEN,
    "one line of LF": POST + b"X: a\nContent-Length: 0\r\n\r\n" + HIDDEN,
    "a lone CR": POST + b"X: a\rContent-Length: 0\r\n\r\n" + HIDDEN,
    "NUL": POST + b"X: a\0b\r\nContent-Length: 0\r\n\r\n" + HIDDEN,
    "another coding": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "a coding in other letters": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "two codings": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + HIDDEN,
    "chunks in HTTP/1.0": POST.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "a size of a chunk that is none": POST + b"Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n" + HIDDEN,
    "a size of a chunk with a sign": POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n" + HIDDEN,
    "a chunk that is longer": POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n" + HIDDEN,
    "a chunk that ends with LF": POST + b"Transfer-Encoding: chunked\r\n\r\n1\na\n0\n\n" + HIDDEN,
    "two hosts": b"GET /livez HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n" + HIDDEN,
    "no host": b"GET /livez HTTP/1.1\r\n\r\n" + HIDDEN,
    "a space in the target": b"GET /livez /x HTTP/1.1\r\nHost: x\r\n\r\n" + HIDDEN,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + HIDDEN,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\r\n\r\n" + HIDDEN,
    "rubbish": b"\r\n\r\nrubbish\r\n\r\n" + HIDDEN,
}


@pytest.mark.parametrize("name", TWO_READINGS)
def test_a_request_with_two_readings_is_refused_and_hides_no_other(service: Running, name: str) -> None:
    answer = service.raw(TWO_READINGS[name])

    assert head_of(answer)[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 501", b"HTTP/1.1 505")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"sha256" not in answer
    problem = json.loads(answer.partition(b"\r\n\r\n")[2])
    check_shape(problem, "Problem")
    assert service.client.get("/livez").status_code == 200


def test_a_refused_request_byte_by_byte_is_refused_too(service: Running) -> None:
    answer = service.raw(*(bytes([byte]) for byte in TWO_READINGS["one line of LF"]))

    assert head_of(answer).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("extension", [b";a=b", b';a="0\r\n\r\n"'.replace(b"\r\n", b""), b"; x", b";" + b"y" * 1000])
def test_extensions_of_chunks_are_ignored(service: Running, extension: bytes) -> None:
    chunks = b"%x%b\r\n%b\r\n0%b\r\n\r\n" % (len(PICTURE), extension, PICTURE, extension)
    answer = service.raw(POST + CLOSE + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)

    assert head_of(answer) == b"HTTP/1.1 200 OK"
    assert b"Crested Emberling" in answer


def test_an_endless_extension_of_a_chunk_is_refused(service: Running) -> None:
    answer = service.raw(POST + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"y" * 100_000)

    assert head_of(answer)[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 431", b"")
    assert service.client.get("/livez").status_code == 200


HUGE_HEADS = {
    "a header": b"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 40_000 + b"\r\n\r\n",
    "10,000 headers": b"GET /livez HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 10_000 + b"\r\n",
    "a path": b"GET /" + b"y" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "a query": b"GET /v1/classify?url=http://x/" + b"y" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "without an end": b"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 40_000,
}


@pytest.mark.parametrize("name", HUGE_HEADS)
def test_a_huge_head_is_refused(service: Running, name: str) -> None:
    answer = service.raw(HUGE_HEADS[name])

    assert head_of(answer).startswith(b"HTTP/1.1 431 ")
    assert answer.count(b"HTTP/1.1 ") == 1


def test_what_is_no_request_is_logged_and_counted(service: Running) -> None:
    before = service.number("birdlite_requests_total", route="other", method="other", status="400")
    service.raw(TWO_READINGS["two lengths"])

    assert service.number("birdlite_requests_total", route="other", method="other", status="400") == before + 1
    assert ("no request", 400) in [(message, fields.get("status")) for _, message, fields in service.lines]


def test_a_websocket_is_refused_as_any_other_request(service: Running) -> None:
    head = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n"

    assert head_of(service.raw(head)) == b"HTTP/1.1 200 OK"


# Slow clients


@pytest.fixture
def impatient(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> Running:
    monkeypatch.setattr(connection, "HEAD_S", 0.2)
    monkeypatch.setattr(connection, "UNREAD_S", 0.2)
    return serve(body_timeout=0.2)


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
            return found
        if not part:
            return found
        found += part
    raise AssertionError("the service never hung up")


def test_a_connection_that_says_nothing_is_ended(impatient: Running) -> None:
    assert impatient.raw() == b""


def test_a_head_that_drips_is_ended(impatient: Running) -> None:
    with impatient.connect() as client:
        client.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nX: ")
        assert drip(client) == b""


def test_a_head_that_drips_after_another_request_is_ended(impatient: Running) -> None:
    with impatient.connect() as client:
        client.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\nGET /livez HTTP/1.1\r\nHost: x\r\nX: ")
        assert drip(client).endswith(b"alive\n")


def test_a_body_that_drips_is_given_up(impatient: Running) -> None:
    with impatient.connect() as client:
        client.sendall(POST + b"Content-Length: 1000000\r\n\r\n")
        answer = drip(client)

    assert head_of(answer).startswith(b"HTTP/1.1 408 ")
    assert b"within 0.2 s" in answer
    assert impatient.service.bodies.held == 0


def test_a_form_that_drips_is_given_up(impatient: Running) -> None:
    head = POST.replace(b"image/jpeg", b"multipart/form-data; boundary=x")
    with impatient.connect() as client:
        client.sendall(head + b'Content-Length: 1000000\r\n\r\n--x\r\nContent-Disposition: form-data; name="')
        assert head_of(drip(client)).startswith(b"HTTP/1.1 408 ")


def test_a_body_that_nobody_wants_and_that_drips_is_ended(impatient: Running) -> None:
    with impatient.connect() as client:
        client.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
        assert drip(client).endswith(b"alive\n")


def test_a_client_that_stops_reading_a_long_answer_is_cut_off(impatient: Running) -> None:
    """Answers that fill what the systems of both sides keep, and then some."""
    with impatient.connect(receive=4096) as client:
        client.settimeout(0.05)
        ask = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
        for _ in range(100_000):
            try:
                client.sendall(ask)
            except TimeoutError:
                continue
            except OSError:
                break
        else:
            raise AssertionError("the service never hung up")
    assert impatient.client.get("/livez").status_code == 200


def test_a_client_that_reads_slowly_but_reads_gets_everything(impatient: Running) -> None:
    count = 60
    ask = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * (count - 1)
    ask += b"GET /openapi.json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with impatient.connect(receive=4096) as client:
        client.sendall(ask)
        assert read_all(client).count(b"HTTP/1.1 200 OK") == count


# Many clients


def test_the_connection_that_waits_longest_makes_room_for_another(serve: Serve) -> None:
    service = serve(connections=3)
    idle = [service.connect() for _ in range(3)]
    try:
        idle[1].sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b""
        while not answer.endswith(b"alive\n"):
            answer += idle[1].recv(65536)

        answers = [service.raw(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") for _ in range(5)]

        assert all(answer.endswith(b"ready\n") for answer in answers)
        assert idle[0].recv(1) == b""
    finally:
        for one in idle:
            one.close()


def test_probes_answer_while_all_requests_that_may_be_under_way_are(serve: Serve) -> None:
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
