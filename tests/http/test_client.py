"""HTTP as servers really speak it: what is understood, what is refused, and when a connection is used again."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

import pytest

from birdlite.http import client
from birdlite.http.fetcher import Fetcher
from birdlite.http.politeness import phrase
from tests.fetching import BODY, SETTINGS, failure_of
from tests.origin import Exchange, Origin, head, message

OK = b"HTTP/1.1 200 OK\r\n"
PACKED = gzip.compress(b"abc")  # 23 bytes


@pytest.fixture
def fetcher() -> Iterator[Fetcher]:
    """A fetcher that tries once."""
    fetcher = Fetcher(SETTINGS._replace(retries=0))
    yield fetcher
    fetcher.close()


# Heads


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1  200  Quite  all right\r\ncontent-length:3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\nContent-Length: 3\n\nabc",
        OK + b"X: a\r\n  b\r\n\tc\r\nContent-Length: 3\r\n\r\nabc",
        OK + b"X:\r\nY: \xe4\xff\r\nContent-Length: 3\r\n\r\nabc",
        OK + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        OK + b"Content-Length: 3, 3\r\n\r\nabc",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 3 + OK + b"Content-Length: 3\r\n\r\nabc",
        OK + b"Transfer-Encoding: chunked\r\n\r\n3;name=value\r\nabc\r\n0\r\nTrailer: x\r\n\r\n",
        OK + b"Transfer-Encoding: Chunked\r\n\r\n1\r\na\r\n02\r\nbc\r\n000\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\nContent-Length: 7\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        OK + b"\r\nabc",
        b"HTTP/1.0 200 OK\r\n\r\nabc",
        b"HTTP/2 200\r\nContent-Length: 3\r\n\r\nabc",
        b"http/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
        OK + b"Content-Length : 3\r\n\r\nabc",
        OK + b"Tue, 12 Jun 2012 01:56:34 GMT\r\npreload\r\n: x\r\nX \xc3\xb6: 1\r\nContent-Length: 3\r\n\r\nabc",
        OK + b"X: a\rb\x0b\r\nContent-Length: 3\r\n\r\nabc",
        OK + b"Transfer-Encoding: Identity\r\nContent-Length: 3\r\n\r\nabc",
        OK + b"Transfer-Encoding: identity\r\n\r\nabc",
        b"HTTP/1.1 200OK\r\nContent-Length: 3\r\n\r\nabc",
        OK.replace(b"\r", b"\r\r") + b"Content-Length: 3\r\r\n\r\r\nabc",
        OK + b"Content-Length: +3\r\n\r\nabc",
        OK + b"Content-Length: 003 bytes\r\nContent-Length: 3.0\r\n\r\nabc",
        OK + b"Content-Length: " + b"9" * 400 + b"\r\n\r\nabc",
        OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n1 ; x\na\n002\t\nbc\n0\nno field\n\n",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n17\r\n" + PACKED + b"\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: gzip\r\nContent-Length: 2\r\n\r\n" + PACKED,
    ],
    ids=[
        "no reason",
        "spaces",
        "bare line feeds",
        "folded",
        "empty, and other letters",
        "two lengths alike",
        "a list of lengths alike",
        "continue",
        "hints",
        "extension and trailer",
        "zeros and capitals",
        "chunks and a length",
        "no length",
        "HTTP/1.0",
        "HTTP/2 in the words of HTTP/1",
        "small letters",
        "a space before the colon",
        "lines that are no fields",
        "control characters",
        "a transfer without a coding, and a length",
        "a transfer without a coding",
        "no space before the reason",
        "two carriage returns",
        "a plus sign",
        "a unit",
        "a length of 400 digits",
        "chunks twice",
        "bare line feeds between chunks",
        "gzip in chunks",
        "gzip to the end",
    ],
)
def test_what_servers_are_known_to_send_is_understood(origin: Origin, fetcher: Fetcher, answer: bytes) -> None:
    assert fetcher.get(origin.send_raw("/a", answer)) == b"abc"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 20 OK\r\n\r\n", "malformed status line"),
        (b"ICY 200 OK\r\n\r\n", "malformed status line"),
        (OK + b"X: a\0b\r\n\r\n", "illegal header line"),
        (OK + b"Content-Length: 3, 4\r\n\r\nabc", "conflicting Content-Length headers"),
        (OK + b"Content-Length: 0x3\r\n\r\nabc", "bad Content-Length"),
        (OK + b"Transfer-Encoding: br, chunked\r\n\r\n", "Only Transfer-Encoding: chunked is supported"),
        (OK + b"Transfer-Encoding: binary\r\n\r\n", "Only Transfer-Encoding: chunked is supported"),
        (OK + b"Content-Length: 3\0 4\r\n\r\nabc", "illegal header line"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\nabc", "it switches to another protocol"),
        (OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", "conflicting Content-Length headers"),
        (OK + b"Content-Length: -1\r\n\r\nabc", "bad Content-Length"),
        (OK + b"Content-Length: \xd9\xa3\r\n\r\nabc", "bad Content-Length"),
        (OK + b"Content-Length: many\r\n\r\nabc", "bad Content-Length"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n", "illegal chunk header"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 21 + b"\r\n", "illegal chunk header"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 200_000, "Receive buffer too long"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n", "malformed chunk footer"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"a: b\r\n" * 30_000, "Receive buffer too long"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "peer closed connection"),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n" * 30, "too many interim answers"),
        (OK + b"a: b\r\n" * 30_000, "the head is too long"),
        (OK + b"a: b", "it ends in the head"),
        (b"", "it is empty"),
    ],
)
def test_an_answer_that_is_not_http_is_told(origin: Origin, fetcher: Fetcher, answer: bytes, why: str) -> None:
    failure = failure_of(fetcher, origin.send_raw("/a", answer))

    assert failure.kind == "network"
    assert str(failure).startswith(f"invalid or incomplete answer from 127.0.0.1: {why}")


@pytest.mark.parametrize("sent", ["/Vögel".encode(), "/Vögel".encode("latin-1")])
def test_a_location_in_other_letters_is_read(origin: Origin, fetcher: Fetcher, sent: bytes) -> None:
    origin.send_raw("/a", b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + sent + b"\r\n\r\n")
    origin.serve("/V%C3%B6gel", BODY)

    assert fetcher.get(origin.url("/a")) == BODY


@pytest.mark.parametrize(
    "fields",
    [
        b"Location: /there\r\nLocation: /elsewhere\r\n",
        b"Location: /there#top\r\n",
        b"Location: x/../there\r\n",
        "Location: /there?ö\r\nX: ".encode() + b"\xff\r\n",
    ],
    ids=["the first of two", "a fragment", "dots", "UTF-8 beside other letters"],
)
@pytest.mark.parametrize("status", [b"300 Multiple Choices", b"302 Found"])
def test_a_location_leads_on(origin: Origin, fetcher: Fetcher, status: bytes, fields: bytes) -> None:
    origin.send_raw("/a", b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n" + fields + b"\r\n")
    origin.serve("/there", BODY)

    assert fetcher.get(origin.url("/a")) == BODY
    assert origin.requests[-1].path in ("/there", "/there?%C3%B6")


def test_statuses_are_named_in_our_own_words() -> None:
    assert (phrase(404), phrase(418), phrase(799)) == ("404 Not Found", "418 I'm a Teapot", "799")


# When a connection is used again


@pytest.mark.parametrize(
    ("answer", "connections"),
    [
        (message(200, {}, BODY), 1),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na", 1),
        (message(200, {"Connection": "close"}, BODY), 2),
        (head(200, {"Transfer-Encoding": "chunked", "Content-Length": "9"}) + b"3\r\nabc\r\n0\r\n\r\n", 2),
        (message(200, {}, BODY) + b"\r\n", 2),
    ],
    ids=["usual", "HTTP/1.0 that stays", "close", "chunks and a length", "surplus"],
)
def test_a_connection_is_used_again_when_that_is_safe(
    origin: Origin, fetcher: Fetcher, answer: bytes, connections: int
) -> None:
    origin.send_raw("/a", answer, keep=True)

    for _ in range(2):
        fetcher.get(origin.url("/a"))

    assert origin.connections() == connections


def test_a_server_that_hung_up_meanwhile_costs_a_connection_and_no_try(origin: Origin, fetcher: Fetcher) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.hang_up()  # and does not say so
        exchange.finish(message(200, {}, BODY))

    origin.answer("/a", answer)
    for _ in range(3):
        assert fetcher.get(origin.url("/a")) == BODY
        origin.wait_for_hang_up()

    assert (origin.hits("/a"), origin.connections()) == (3, 3)


def test_a_server_that_hangs_up_when_it_is_asked_again_costs_a_connection_and_no_try(
    origin: Origin, fetcher: Fetcher
) -> None:
    def answer(exchange: Exchange) -> None:
        first = [seen.connection for seen in origin.requests].count(origin.requests[-1].connection) == 1
        exchange.finish(message(200, {}, BODY)) if first else exchange.reset()

    origin.answer("/a", answer)
    for _ in range(2):
        assert fetcher.get(origin.url("/a")) == BODY

    assert (origin.hits("/a"), origin.connections()) == (3, 2)


def test_an_answer_that_breaks_off_on_an_old_connection_is_a_failed_try(origin: Origin, fetcher: Fetcher) -> None:
    origin.serve("/a", BODY)
    fetcher.get(origin.url("/a"))
    origin.reset("/b", b"HTTP/1.1 200 OK\r\n")

    assert failure_of(fetcher, origin.url("/b")).kind == "network"
    assert origin.hits("/b") == 1


def test_an_idle_connection_is_given_up_after_a_while(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    origin.serve("/a", BODY)
    monkeypatch.setattr(client, "KEPT_S", 0.0)
    fetcher = Fetcher(SETTINGS)
    for _ in range(2):
        fetcher.get(origin.url("/a"))
    fetcher.close()

    assert origin.connections() == 2


def test_only_so_many_idle_connections_are_kept() -> None:
    fetcher = Fetcher(SETTINGS._replace(downloads=2))
    with Origin() as a, Origin() as b, Origin() as c:
        servers = (a, b, c)
        for server in servers:
            fetcher.get(server.serve("/", BODY))
        a.wait_for_hang_up()  # the one that was idle longest
        for server in (c, b):
            fetcher.get(server.url("/"))
        assert [server.connections() for server in servers] == [1, 1, 1]
        fetcher.close()
