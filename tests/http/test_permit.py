"""The hook for guards: it sees the addresses of a host before a connection is made, and those are connected to."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest

from birdlite.errors import PictureError
from birdlite.http.fetcher import Fetcher
from tests.fetching import BODY, SETTINGS, failure_of, fetchers
from tests.origin import Origin

Ip = IPv4Address | IPv6Address


@pytest.fixture
def make() -> Iterator[Callable[..., Fetcher]]:
    with fetchers() as make:
        yield make


def refuse(*refused: str) -> Callable[[Ip], None]:
    """Stand in for a guard."""

    def permit(found: Ip) -> None:
        if str(found) in refused:
            raise PictureError("blocked", f"{found} is not public")

    return permit


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[object]]:
    """Say what a name resolves to, look-up by look-up. Gives the list of the names that were asked for."""

    def resolve(*answers: list[str]) -> list[object]:
        coming, asked = iter(answers), list[object]()

        def getaddrinfo(host: bytes, port: int, *others: object, **more: object) -> object:
            asked.append(host.decode())
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (found, port)) for found in next(coming)]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        return asked

    return resolve


def test_a_permitted_address_is_connected_to(origin: Origin, make: Callable[..., Fetcher]) -> None:
    seen: list[Ip] = []

    assert make(permit=seen.append).get(origin.serve("/a", BODY)) == BODY

    assert seen == [ip_address("127.0.0.1")]


def test_a_refused_address_is_not_connected_to(origin: Origin, make: Callable[..., Fetcher]) -> None:
    failure = failure_of(make(permit=refuse("127.0.0.1")), origin.serve("/a", BODY))

    assert (failure.kind, str(failure)) == ("blocked", "127.0.0.1 is not public")
    assert origin.connections() == 0


def test_one_refused_address_is_enough(
    origin: Origin, make: Callable[..., Fetcher], resolve: Callable[..., list[object]]
) -> None:
    resolve(["127.0.0.1", "127.0.0.2"])

    failure = failure_of(make(permit=refuse("127.0.0.2")), f"http://a.example:{origin.port}/a")

    assert failure.kind == "blocked"
    assert origin.connections() == 0


def test_the_address_that_was_checked_is_the_one_that_is_connected_to(
    origin: Origin, make: Callable[..., Fetcher], resolve: Callable[..., list[object]]
) -> None:
    asked = resolve(["127.0.0.1"], ["127.0.0.2"])  # a name that answers a second look-up with another address
    seen: list[Ip] = []
    origin.serve("/a", BODY)

    assert make(permit=seen.append).get(f"http://a.example:{origin.port}/a") == BODY

    assert (asked, seen) == (["a.example"], [ip_address("127.0.0.1")])


def test_redirects_are_checked_too(
    origin: Origin, make: Callable[..., Fetcher], resolve: Callable[..., list[object]]
) -> None:
    resolve(["127.0.0.1"], ["127.0.0.2"])
    origin.redirect("/a", f"http://b.example:{origin.port}/b")

    failure = failure_of(make(permit=refuse("127.0.0.2")), f"http://a.example:{origin.port}/a")

    assert (failure.kind, str(failure)) == ("blocked", "127.0.0.2 is not public")
    assert origin.hits("/b") == 0


def test_later_connections_are_checked_as_the_first(
    origin: Origin, make: Callable[..., Fetcher], resolve: Callable[..., list[object]]
) -> None:
    resolve(["127.0.0.1"], ["127.0.0.2"])
    fetcher = make(SETTINGS, permit=refuse("127.0.0.2"))
    url = origin.send_raw("/a", b"HTTP/1.0 200 OK\r\n\r\n" + BODY).replace("127.0.0.1", "a.example")

    assert fetcher.get(url) == BODY
    assert failure_of(fetcher, url).kind == "blocked"
