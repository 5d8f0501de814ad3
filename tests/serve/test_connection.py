"""Requests byte by byte: those that have two readings, chunks, huge heads, and several on one connection."""

from __future__ import annotations

import asyncio
import json
import re
import socket

import h11
import pytest

from birdlite.serve.connection import Connection
from birdlite.serve.strict_h11 import StrictConnection
from tests.demo_world import PICTURES
from tests.hold import HELD, Hold
from tests.serve.test_classify import check_shape
from tests.serving import Running, Serve, head_of, read_all

PICTURE = PICTURES[0].read_bytes()
POST = b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n"
HIDDEN = b"GET /v1/model HTTP/1.1\r\nHost: x\r\n\r\n"
CLOSE = b"Connection: close\r\n"
TOTAL = "birdlite_requests_total"


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
    "a chunk whose end is LF": POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\n0\r\n\r\n" + HIDDEN,
    "an extension of a chunk with LF": POST + b"Transfer-Encoding: chunked\r\n\r\n1;a\nb\r\na\r\n0\r\n\r\n" + HIDDEN,
    "the last line is LF": POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\n" + HIDDEN,
    "the last line behind a chunk is LF": POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\n" + HIDDEN,
    "a trailer": POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n" + HIDDEN,
    "a trailer that ends with LF": POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\n\n" + HIDDEN,
    "a trailer of two lines": POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n z\r\n\r\n" + HIDDEN,
    "a trailer that is a length": POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 9\r\n\r\n" + HIDDEN,
    "chunked twice": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "chunked and nothing": POST + b"Transfer-Encoding: , chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "chunked in quotes": POST + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n' + HIDDEN,
    "chunked behind VT": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "no coding": POST + b"Transfer-Encoding:\r\n\r\n0\r\n\r\n" + HIDDEN,
    "a length in other digits": POST + "Content-Length: \u0660\r\n\r\n".encode() + HIDDEN,
    "a length of 30 digits": POST + b"Content-Length: " + b"0" * 30 + b"\r\n\r\n" + HIDDEN,
    "a header without a colon": POST + b"Content-Length 0\r\n\r\n" + HIDDEN,
    "a header without a name": POST + b": x\r\nContent-Length: 0\r\n\r\n" + HIDDEN,
    "a name that is not ASCII": POST + b"Content-L\xebngth: 0\r\n\r\n" + HIDDEN,
    "a line before the first": b"\r\n" + HIDDEN,
    "HTTP/0.9": b"GET /livez\r\n\r\n" + HIDDEN,
    "HTTP/1.2": b"GET /livez HTTP/1.2\r\nHost: x\r\n\r\n" + HIDDEN,
    "http in small letters": b"GET /livez http/1.1\r\nHost: x\r\n\r\n" + HIDDEN,
    "two hosts": b"GET /livez HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n" + HIDDEN,
    "two content types": POST + b"Content-Type: application/json\r\nContent-Length: 0\r\n\r\n" + HIDDEN,
    "two content encodings": POST + b"Content-Encoding: identity\r\nContent-Encoding: gzip\r\n\r\n" + HIDDEN,
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


@pytest.mark.parametrize("ends", [b"\r\n\r\n", b"\n", b""])
def test_https_is_refused_at_once_and_called_so(service: Running, ends: bytes) -> None:
    answer = service.raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + ends)

    assert b'"detail": "this is TLS: ' in answer


@pytest.mark.parametrize(
    "name",
    ["one line of LF", "the last line is LF", "the last line behind a chunk is LF", "a trailer that ends with LF"],
)
def test_a_refused_request_byte_by_byte_is_refused_too(service: Running, name: str) -> None:
    answer = service.raw(*(bytes([byte]) for byte in TWO_READINGS[name]))

    assert head_of(answer).startswith(b"HTTP/1.1 400")
    assert b"sha256" not in answer


@pytest.mark.parametrize("name", ["the last line behind a chunk is LF", "a trailer that ends with LF", "both lengths"])
def test_a_refused_request_behind_a_good_one_is_refused_too(service: Running, name: str) -> None:
    """The first one takes a while, and the second is there already."""
    first = POST + b"Content-Length: %d\r\n\r\n" % len(PICTURE) + PICTURE
    answer = service.raw(first + TWO_READINGS[name])

    assert head_of(answer).startswith(b"HTTP/1.1 200")
    assert answer.count(b"HTTP/1.1 4") == 1
    assert b'"format": "tflite"' not in answer


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 1000, 100_000])
def test_a_body_in_chunks_that_ends_well_is_taken_however_it_arrives(service: Running, piece: int) -> None:
    body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (PICTURE[:100], PICTURE[100:])) + b"0\r\n\r\n"
    all_of_it = (
        POST + b"Transfer-Encoding: chunked\r\n\r\n" + body + HIDDEN.replace(b"Host: x", b"Host: x\r\n" + CLOSE[:-2])
    )
    ends = all_of_it[-400:]
    answer = service.raw(all_of_it[:-400], *(ends[at : at + piece] for at in range(0, len(ends), piece)))

    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert b'"format": "tflite"' in answer


def test_a_body_of_very_many_tiny_chunks_is_refused(service: Running) -> None:
    """They would hold up everybody else."""
    head = POST + CLOSE + b"Transfer-Encoding: chunked\r\n\r\n"
    few, many = (head + b"1\r\na\r\n" * count + b"0\r\n\r\n" for count in (1000, 1100))

    assert head_of(service.raw(few)) == b"HTTP/1.1 415 Unsupported Media Type"
    answer = service.raw(many)
    assert head_of(answer) == b"HTTP/1.1 400 Bad Request"
    assert b"too many chunks" in answer
    service.client.get("/livez")
    assert service.service.bodies.held == 0


def test_chunks_whose_sizes_come_by_themselves_are_counted_too() -> None:
    reader = StrictConnection(h11.SERVER)
    reader.receive_data(POST + b"Transfer-Encoding: chunked\r\n\r\n")
    read_events(reader)

    def read_chunks(count: int) -> None:
        for part in (b"1\r\n", b"a\r\n") * count:
            reader.receive_data(part)
            read_events(reader)

    read_chunks(1000)
    with pytest.raises(h11.RemoteProtocolError, match="too many chunks"):
        read_chunks(100)


def test_a_chunk_that_comes_in_pieces_counts_once() -> None:
    reader = StrictConnection(h11.SERVER)
    reader.receive_data(POST + b"Transfer-Encoding: chunked\r\n\r\n")
    read_events(reader)
    for _ in range(1000):
        for part in (b"3\r\n", b"a", b"b", b"c", b"\r", b"\n"):
            reader.receive_data(part)
            read_events(reader)
    reader.receive_data(b"0\r\n\r\n")

    assert isinstance(reader.next_event(), h11.EndOfMessage)


def read_events(reader: StrictConnection) -> None:
    while reader.next_event() is not h11.NEED_DATA:
        pass


def test_a_body_of_many_chunks_of_some_size_is_taken(service: Running) -> None:
    body = b"".join(b"400\r\n%b\r\n" % bytes(1024) for _ in range(1020)) + b"0\r\n\r\n"

    answer = service.raw(POST + CLOSE + b"Transfer-Encoding: chunked\r\n\r\n" + body)
    assert head_of(answer) == b"HTTP/1.1 415 Unsupported Media Type"


def test_many_requests_at_once_on_one_connection_are_answered_in_turn(service: Running) -> None:
    asked = [f"GET /livez HTTP/1.1\r\nHost: x\r\nX-Request-Id: id-{number}\r\n" for number in range(200)]
    answer = service.raw(("\r\n".join(asked) + "Connection: close\r\n\r\n").encode())

    assert re.findall(rb"x-request-id: id-(\d+)", answer) == [b"%d" % number for number in range(200)]


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


@pytest.mark.parametrize(
    ("version", "more"),
    [
        (b"1.1", b"Content-Type: a\r\nContent-Type: b\r\n\r\n"),
        (b"1.1", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n"),
    ],
)
def test_a_head_that_is_refused_has_an_answer_without_a_body(service: Running, version: bytes, more: bytes) -> None:
    answer = service.raw(
        b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\nHEAD /v1/model HTTP/%b\r\nHost: x\r\n%b" % (version, more)
    )

    _, _, second = answer.partition(b"alive\n")
    assert second.startswith(b"HTTP/1.1 400 ")
    assert second.endswith(b"\r\n\r\n")
    assert second.count(b"\r\n\r\n") == 1


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


def id_of(answer: bytes) -> str:
    """The id of a refusal, which is in its header and in its document."""
    head, _, body = answer.partition(b"\r\n\r\n")
    (found,) = re.findall(rb"\r\nx-request-id: (\S+)", head.lower())
    assert json.loads(body)["request_id"] == found.decode()
    return str(found.decode())


@pytest.mark.parametrize("name", ["two lengths", "another coding", "HTTP/1.2", "a chunk that is longer", "a header"])
def test_what_is_no_request_has_an_id_of_its_own(service: Running, name: str) -> None:
    asked = {**TWO_READINGS, **HUGE_HEADS}[name]
    ids = [id_of(service.raw(asked)) for _ in range(2)]

    assert ids[0] != ids[1]
    assert ids == [fields["request_id"] for _, message, fields in service.lines if message == "no request"]


def test_a_body_that_is_nonsense_is_refused_by_the_id_of_its_request(service: Running) -> None:
    answer = service.raw(TWO_READINGS["a trailer"].replace(b"Host: x", b"Host: x\r\nX-Request-Id: mine", 1))

    assert id_of(answer) == "mine"
    assert ("no request", "mine") in [(message, fields.get("request_id")) for _, message, fields in service.lines]


def test_what_is_no_request_is_logged_and_counted(service: Running) -> None:
    before = service.number("birdlite_requests_total", route="other", method="other", status="400")
    service.raw(TWO_READINGS["two lengths"])

    assert service.number("birdlite_requests_total", route="other", method="other", status="400") == before + 1
    assert ("no request", 400) in [(message, fields.get("status")) for _, message, fields in service.lines]


def test_a_body_that_is_nonsense_is_counted_once_as_what_was_answered(service: Running) -> None:
    def counts() -> list[float]:
        asked = {"route": "/v1/classify", "method": "POST"}
        ours = [service.number(TOTAL, **asked, status=status) for status in ("400", "499")]
        return [*ours, service.number(TOTAL, route="other", method="other", status="400")]

    before = counts()
    answer = service.raw(POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n")
    service.wait_for(before[0] + 1, TOTAL, route="/v1/classify", method="POST", status="400")

    assert head_of(answer) == b"HTTP/1.1 400 Bad Request"
    assert counts() == [before[0] + 1, *before[1:]]
    assert ("no request", 400) in [(message, fields.get("status")) for _, message, fields in service.lines]


@pytest.mark.parametrize("last", [CLOSE, b""], ids=["the client says so", "HTTP/1.0"])
@pytest.mark.parametrize("behind", [b"\r\n", HIDDEN, bytes(100_000)], ids=["CRLF", "a request", "100 KB"])
def test_what_comes_behind_the_last_request_takes_no_answer_away(
    serve: Serve, hold: Hold, last: bytes, behind: bytes
) -> None:
    service, body = serve(), HELD + PICTURE
    head = POST if last else POST.replace(b"HTTP/1.1", b"HTTP/1.0")
    with service.connect() as client:
        client.sendall(head + last + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        hold.wait_for(1)
        client.sendall(behind)
        for _ in range(3):
            service.client.get("/livez")  # so it was read
        hold.release()
        answer = read_all(client)

    assert head_of(answer) == b"HTTP/1.1 200 OK"
    assert answer.count(b"HTTP/1.1 ") == 1


def test_a_websocket_is_refused_as_any_other_request(service: Running) -> None:
    head = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n"

    assert head_of(service.raw(head)) == b"HTTP/1.1 200 OK"


def test_an_answer_that_is_sent_in_parts_does_not_wait_for_the_client_to_confirm_the_first(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients confirm up to 40 ms later. asyncio looks for what to do about it at the listening socket."""
    made, taken = Connection.connection_made, []

    def taking(connection: Connection, transport: asyncio.Transport) -> None:
        taken.append(transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        made(connection, transport)

    monkeypatch.setattr(Connection, "connection_made", taking)
    service.raw(b"GET /livez HTTP/1.1\r\nHost: x\r\n" + CLOSE + b"\r\n")

    assert taken == [1]
