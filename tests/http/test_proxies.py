"""Proxies: those that the environment names, with TLS or without, to hosts with TLS or without."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator

import pytest

from birdlite.errors import UsageError
from birdlite.http.address import address
from birdlite.http.fetcher import Fetcher
from birdlite.http.proxies import find_proxies
from tests.fetching import BODY, failure_of, fetchers
from tests.origin import Origin
from tests.tunnel import Tunnel


@pytest.fixture
def make() -> Iterator[Callable[..., Fetcher]]:
    """Makes fetchers, and closes them after the test."""
    with fetchers() as make:
        yield make


# Which one


@pytest.mark.parametrize(
    ("environment", "url", "proxy"),
    [
        ({}, "http://a.example/", None),
        ({"NO_PROXY": "*"}, "http://a.example/", None),
        ({"http_proxy": "http://p.example:3128"}, "http://a.example/", "http://p.example:3128/"),
        ({"HTTP_PROXY": "p.example:3128"}, "http://a.example/", "http://p.example:3128/"),
        ({"http_proxy": "http://p.example"}, "https://a.example/", None),
        ({"HTTPS_PROXY": "https://me:pw@p.example"}, "https://a.example/", "https://me:pw@p.example/"),
        ({"all_proxy": "http://p.example"}, "https://a.example/", "http://p.example/"),
        ({"all_proxy": "http://p.example", "http_proxy": "http://q.example"}, "http://a.example/", "http://q.example/"),
        ({"all_proxy": "http://p.example", "no_proxy": "b.example, .a.example"}, "http://x.a.example/", None),
        ({"all_proxy": "http://p.example", "no_proxy": "a.example"}, "http://a.example:99/", None),
        ({"all_proxy": "http://p.example", "no_proxy": "a.example"}, "http://ba.example/", "http://p.example/"),
        ({"all_proxy": "http://p.example", "NO_PROXY": "*"}, "http://a.example/", None),
        ({"http_proxy": ""}, "http://a.example/", None),
        ({"all_proxy": "http://p.example", "no_proxy": "127.0.0.0/8"}, "http://127.3.2.1:99/", None),
        ({"all_proxy": "http://p.example", "NO_PROXY": "odd/99, ::/64,10.0.0.7/8"}, "http://10.1.2.3/", None),
        ({"all_proxy": "http://p.example", "no_proxy": "2001:db8::/32"}, "http://[2001:db8::1]/", None),
        ({"all_proxy": "http://p.example", "no_proxy": "127.0.0.0/8"}, "http://128.0.0.1/", "http://p.example/"),
        ({"all_proxy": "http://p.example", "no_proxy": "0.0.0.0/0"}, "http://a.example/", "http://p.example/"),
    ],
)
def test_the_environment_says_which_proxy_to_ask(
    environment: dict[str, str], url: str, proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    proxies = find_proxies()

    asked = None if proxies is None else proxies.on_the_way_to(address(url))
    assert (None if asked is None else str(asked)) == proxy


@pytest.mark.parametrize("url", ["gopher://a.example", "socks5://a.example:1080", "http://", "http://a.example:port"])
def test_a_proxy_that_cannot_be_used_is_wrong_usage(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", url)

    with pytest.raises(UsageError, match="the proxy that the environment names cannot be used"):
        Fetcher().preload()


# The way through it


def test_a_host_without_tls_is_asked_for_by_its_whole_url(
    origin: Origin, make: Callable[..., Fetcher], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", origin.base.replace("//", "//me:p%40w@"))
    for host in "ab":
        origin.serve(f"http://{host}.example/c?d", BODY)

    fetcher = make()

    assert [fetcher.get(url) for url in ("http://a.example/c?d", "http://you:2@b.example/c?d")] == [BODY, BODY]
    first, second = (seen.headers for seen in origin.requests)
    assert (first["Host"], first["Authorization"], first["Proxy-Authorization"]) == (
        "a.example",
        None,
        "Basic bWU6cEB3",
    )
    assert (second["Host"], second["Authorization"]) == ("b.example", "Basic eW91OjI=")
    assert origin.connections() == 1  # one connection to the proxy is good for every host


def test_a_proxy_with_tls_is_spoken_to_with_tls(
    secure_origin: Origin, make: Callable[..., Fetcher], monkeypatch: pytest.MonkeyPatch, trusted: ssl.SSLContext
) -> None:
    monkeypatch.setenv("HTTP_PROXY", secure_origin.base)
    secure_origin.serve("http://a.example/b", BODY)

    assert make().get("http://a.example/b") == BODY


@pytest.mark.parametrize("tls_to_the_proxy", [False, True])
def test_a_host_with_tls_is_reached_through_a_tunnel(
    secure_origin: Origin,
    make: Callable[..., Fetcher],
    monkeypatch: pytest.MonkeyPatch,
    trusted: ssl.SSLContext,
    tls_to_the_proxy: bool,
) -> None:
    body = BODY * 100
    secure_origin.serve("/b", body)
    with Tunnel(secure_origin.port, trusted if tls_to_the_proxy else None) as tunnel:
        monkeypatch.setenv("HTTPS_PROXY", tunnel.base.replace("//", "//me:pw@"))
        fetcher = make()

        assert [fetcher.get("https://a.example/b") for _ in range(2)] == [body, body]

        assert tunnel.asked == [("a.example:443", "Basic bWU6cHc=")]
    first = secure_origin.requests[0].headers
    assert (first["Host"], first["Proxy-Authorization"]) == ("a.example", None)
    assert secure_origin.connections() == 1


def test_the_certificate_of_a_host_is_checked_through_a_tunnel(
    secure_origin: Origin, make: Callable[..., Fetcher], monkeypatch: pytest.MonkeyPatch, trusted: ssl.SSLContext
) -> None:
    with Tunnel(secure_origin.port) as tunnel:
        monkeypatch.setenv("HTTPS_PROXY", tunnel.base)

        failure = failure_of(make(), "https://b.example/a")

    assert failure.kind == "network"
    assert "not valid for 'b.example'" in str(failure)
    assert secure_origin.requests == []


def test_a_proxy_that_refuses_is_told(
    make: Callable[..., Fetcher], monkeypatch: pytest.MonkeyPatch, trusted: ssl.SSLContext
) -> None:
    with Tunnel(0, status="407 Proxy Authentication Required") as tunnel:
        monkeypatch.setenv("HTTPS_PROXY", tunnel.base)

        failure = failure_of(make(), "https://a.example/b")

        assert (failure.kind, str(failure)) == (
            "network",
            "the proxy refuses to connect to a.example: 407 Proxy Authentication Required",
        )
        assert len(tunnel.asked) == 1
