"""What goes wrong on the network: each fault has its kind, its line for a person, and its number of tries."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import NoReturn

import pytest

from birdlite.http.fetcher import Fetcher
from tests.fetching import BODY, SETTINGS, failure_of
from tests.origin import Exchange, Origin, head, message


@pytest.fixture
def fetcher() -> Iterator[Fetcher]:
    """A fetcher that does not pause between tries."""
    fetcher = Fetcher(SETTINGS)
    yield fetcher
    fetcher.close()


def failing(error: Exception) -> Callable[..., NoReturn]:
    """Stand in for a function of the system that fails."""

    def fail(*arguments: object, **options: object) -> NoReturn:
        raise error

    return fail


# Addresses


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("file:///etc/passwd", "file: only http and https can be fetched"),
        ("ftp://a.example/b", "ftp: only http and https can be fetched"),
        ("data:image/png;base64,AAAA", "data: only http and https can be fetched"),
        ("a.example/b", "no scheme: only http and https can be fetched"),
        ("http://", "the URL names no host"),
        ("https:///b", "the URL names no host"),
        ("https://../b", "the URL names no host"),
        ("http://a.example:99999/", "no such port"),
        ("http://a.example:0/", "no such port"),
        ("http://a.example:port/", "not a URL: Invalid port"),
        ("http://[::1", "not a URL: Invalid IPv6 address"),
        ("http://[::1]x/", "not a URL: Invalid IPv6 address"),
        ("http://[v1.x]/", "not a URL: Invalid IPv6 address"),
        ("http://a b.example/", "not a URL: Invalid character in the host's name"),
        ("http://a%20b.example/", "not a URL: Invalid character in the host's name"),
        ("http://1.2.3.999/", "not a URL: Invalid IPv4 address"),
        ("http://☃.example/", "not a URL: Invalid IDNA hostname"),
        ("http://a.example/\x00", "not a URL: Invalid non-printable ASCII character"),
        ("http://a.example/\r\nX: y", "not a URL: Invalid non-printable ASCII character"),
        ("http://a.example/\udc80", "not a URL: 'utf-8' codec"),
        ("http://a.example/" + "a" * 70_000, "not a URL: URL too long"),
    ],
)
def test_what_is_no_address_is_unsupported(fetcher: Fetcher, url: str, reason: str) -> None:
    failure = failure_of(fetcher, url)
    assert failure.kind == "unsupported"
    assert str(failure).startswith(reason)


# Names and connections


@pytest.mark.parametrize("code", [socket.EAI_NONAME, socket.EAI_NODATA])
def test_an_unknown_host_is_not_found_and_asked_for_once(
    fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    asked: list[object] = []

    def getaddrinfo(host: object, *others: object, **more: object) -> NoReturn:
        asked.append(host)
        raise socket.gaierror(code, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    failure = failure_of(fetcher, "https://nonexistent.invalid/a.jpg")
    assert (failure.kind, str(failure)) == ("not_found", "cannot resolve nonexistent.invalid (no network?)")
    assert asked == [b"nonexistent.invalid"]


def test_a_name_service_that_does_not_answer_is_the_networks_fault(
    fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    monkeypatch.setattr(socket, "getaddrinfo", failing(error))
    failure = failure_of(fetcher, "https://a.example/a.jpg")
    assert failure.kind == "network"
    assert str(failure) == ("cannot resolve a.example at the moment: Temporary failure in name resolution (4 tries)")


@pytest.mark.parametrize("host", ["a..example", "a" * 64 + ".example", "xn--" + "a" * 64])
def test_a_host_that_cannot_be_is_not_found(fetcher: Fetcher, host: str) -> None:
    failure = failure_of(fetcher, f"http://{host}/a.jpg")
    assert (failure.kind, str(failure)) == ("not_found", f"{host} is not a valid host name")


def test_a_refused_connection_is_tried_again(fetcher: Fetcher) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    failure = failure_of(fetcher, f"http://127.0.0.1:{port}/a.jpg")
    assert (failure.kind, str(failure)) == (
        "network",
        f"no connection to 127.0.0.1:{port}: Connection refused (4 tries)",
    )


def test_a_hosts_next_address_is_tried_when_one_refuses(
    origin: Origin, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin.serve("/a", BODY)
    lookup = socket.getaddrinfo

    def getaddrinfo(host: bytes, port: int, *others: int, **more: int) -> object:
        if host != b"two.example":
            return lookup(host, port, *others, **more)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in ("127.0.0.2", "127.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    assert fetcher.get(f"http://two.example:{origin.port}/a") == BODY


def test_a_host_without_an_address_cannot_be_reached(fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **options: [])
    failure = failure_of(fetcher, "http://a.example/b")
    assert (failure.kind, str(failure)) == ("network", "no connection to a.example: it has no address (4 tries)")


def test_a_connection_that_is_not_answered_times_out(fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket.socket, "connect", failing(TimeoutError("timed out")))
    failure = failure_of(fetcher, "http://127.0.0.1/a")
    assert (failure.kind, str(failure)) == ("timeout", "no connection to 127.0.0.1 in time (4 tries)")
    assert str(failure_of(fetcher, "http://[::1]:81/a")) == "no connection to [::1]:81 in time (4 tries)"


# Answers that break off


def test_a_truncated_body_is_fetched_again(origin: Origin, fetcher: Fetcher) -> None:
    url = origin.truncate("/a", BODY[:-1], claimed=len(BODY))
    failure = failure_of(fetcher, url)
    assert failure.kind == "network"
    assert "received 25599 bytes, expected 25600" in str(failure)
    assert origin.hits("/a") == 4


def test_a_body_that_was_truncated_once_is_whole_the_next_time(origin: Origin, fetcher: Fetcher) -> None:
    def answer(exchange: Exchange) -> None:
        if origin.hits("/a") == 1:
            exchange.hang_up()
            exchange.finish(head(200, {"Content-Length": str(len(BODY))}) + BODY[:100])
        else:
            exchange.finish(message(200, {}, BODY))

    assert fetcher.get(origin.answer("/a", answer)) == BODY


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nmany\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nabcde",
        b"SSH-2.0-OpenSSH_9.2\r\n" + b"\x1b[31m" * 3000,
        b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 200_000,
    ],
    ids=["nothing", "half a head", "half a chunk", "no chunk", "two lengths", "less than none", "no HTTP", "huge head"],
)
def test_an_answer_that_is_none_is_the_networks_fault(origin: Origin, fetcher: Fetcher, answer: bytes) -> None:
    failure = failure_of(fetcher, origin.send_raw("/a", answer))
    assert failure.kind == "network"
    assert str(failure).startswith("invalid or incomplete answer from 127.0.0.1: ")
    assert str(failure).endswith(" (4 tries)")
    assert origin.hits("/a") == 4


@pytest.mark.parametrize("before", [b"", head(200, {"Content-Length": "100"}) + b"half"])
def test_a_connection_that_is_cut_is_tried_again(origin: Origin, fetcher: Fetcher, before: bytes) -> None:
    failure = failure_of(fetcher, origin.reset("/a", before))
    assert failure.kind == "network"
    assert str(failure) == "the connection to 127.0.0.1 broke: Connection reset by peer (4 tries)"
    assert origin.hits("/a") == 4
