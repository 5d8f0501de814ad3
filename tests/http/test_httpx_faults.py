"""Faults that httpx itself reports, exactly as it reports them: each becomes a failure of one picture."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator

import httpx
import pytest
from pytest_httpx import HTTPXMock

from birdlite.http import client
from birdlite.http.fetcher import Fetcher
from tests.fetching import BODY, SETTINGS, failure_of, fetchers, note_pauses

URL = "https://a.example/b.jpg"


@pytest.fixture
def make(httpx_mock: HTTPXMock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Fetcher]]:
    """Makes fetchers on httpx's own transport, which the mock replaces."""
    transport = httpx.HTTPTransport(verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    monkeypatch.setattr(client, "Transport", lambda pool: transport)
    with fetchers() as making:

        def make(*arguments: object, **options: object) -> Fetcher:
            fetcher = making(*arguments, **options)
            fetcher.preload()  # so that no request is sent early, past the mock
            return fetcher

        yield make


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (httpx.ConnectTimeout("slow"), "timeout", "a.example does not answer in time: slow"),
        (httpx.ReadTimeout("slow"), "timeout", "a.example does not answer in time: slow"),
        (httpx.PoolTimeout("full"), "timeout", "a.example does not answer in time: full"),
        (httpx.ConnectError("refused"), "network", "no answer from a.example: refused"),
        (httpx.ReadError("reset"), "network", "no answer from a.example: reset"),
        (httpx.UnsupportedProtocol("odd"), "network", "no answer from a.example: odd"),
        (httpx.RemoteProtocolError("odd\n\x1b"), "network", "invalid or incomplete answer from a.example: odd"),
        (httpx.LocalProtocolError("odd"), "network", "invalid or incomplete answer from a.example: odd"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_a_fault_of_the_transport_is_tried_again_and_told(
    httpx_mock: HTTPXMock, make: Callable[..., Fetcher], error: Exception, kind: str, message: str
) -> None:
    httpx_mock.add_exception(error, is_reusable=True)

    failure = failure_of(make(SETTINGS._replace(retries=1)), URL)

    assert (failure.kind, str(failure)) == (kind, f"{message} (2 tries)")
    assert len(httpx_mock.get_requests()) == 2


@pytest.mark.parametrize(
    ("said", "told"), [("407 Nope", "407 Proxy Authentication Required"), ("no such way", "no such way")]
)
def test_a_proxy_that_refuses_is_not_asked_again(
    httpx_mock: HTTPXMock, make: Callable[..., Fetcher], said: str, told: str
) -> None:
    httpx_mock.add_exception(httpx.ProxyError(said))

    failure = failure_of(make(), URL)

    assert (failure.kind, str(failure)) == ("network", f"the proxy refuses to connect to a.example: {told}")


def test_faults_and_refusals_count_as_tries_of_the_same_picture(
    httpx_mock: HTTPXMock, make: Callable[..., Fetcher], monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = note_pauses(monkeypatch)
    httpx_mock.add_exception(httpx.ReadError("reset"))
    httpx_mock.add_response(503, headers={"Retry-After": "7"})
    httpx_mock.add_response(content=BODY)

    assert make(SETTINGS).get(URL) == BODY

    assert pauses == [0.0, 7.0]


def test_what_is_asked_is_asked_exactly(httpx_mock: HTTPXMock, make: Callable[..., Fetcher]) -> None:
    httpx_mock.add_response(content=BODY)

    make(SETTINGS._replace(user_agent="birds/1")).get("https://me:pw@A.example:443/b[1].jpg?c='d'")

    (request,) = httpx_mock.get_requests()
    assert request.extensions["target"] == b"/b[1].jpg?c='d'"
    assert request.headers.multi_items() == [
        ("host", "a.example"),
        ("user-agent", "birds/1"),
        ("accept", "*/*"),
        ("accept-encoding", "identity"),
        ("authorization", "Basic bWU6cHc="),
    ]
