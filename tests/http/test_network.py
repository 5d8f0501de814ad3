"""Connections keep to a deadline, mix up no answers, check certificates, and are closed."""

from __future__ import annotations

import gc
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from birdlite.http.fetcher import Fetcher
from tests.fetching import BODY, PATIENT, SETTINGS, Time, failure_of
from tests.origin import PATIENCE, Exchange, Origin, head, message


@pytest.fixture
def fetcher() -> Iterator[Fetcher]:
    """A fetcher that does not pause between tries."""
    fetcher = Fetcher(SETTINGS)
    yield fetcher
    fetcher.close()


# Answers that take too long


def test_silence_is_a_timeout_and_asked_again(origin: Origin) -> None:
    fetcher = Fetcher(SETTINGS._replace(read_timeout=0.02, retries=1))
    origin.hold("/a")
    failure = failure_of(fetcher, origin.url("/a"))
    assert (failure.kind, str(failure)) == ("timeout", "127.0.0.1 has stopped sending (2 tries)")
    origin.wait_for(2, "/a")
    assert origin.hits("/a") == 2
    fetcher.close()


def test_a_body_that_stops_is_a_timeout(origin: Origin) -> None:
    fetcher = Fetcher(SETTINGS._replace(read_timeout=0.02, retries=0))
    origin.stall("/a", BODY, sent=10)
    assert failure_of(fetcher, origin.url("/a")).kind == "timeout"
    fetcher.close()


@pytest.mark.parametrize(
    "start",
    [b"HTTP/1.1 200 OK\r\nX: ", head(200, {"Content-Length": "1000000"}), head(503, {"Content-Length": "10000"})],
    ids=["head", "body", "error page"],
)
def test_a_server_that_drips_cannot_hold_a_fetch_beyond_its_deadline(
    origin: Origin, start: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Time(monkeypatch)
    fetcher = Fetcher(SETTINGS._replace(retries=0))

    def drip(exchange: Exchange) -> None:
        exchange.send(start)
        for _ in range(1000):
            clock.let_pass(1.0)
            exchange.send(b"x")
        exchange.hang_up()

    failure = failure_of(fetcher, origin.answer("/a", drip), timeout=100.0)
    assert failure.kind == "timeout"
    assert str(failure).startswith("timed out after 100 s: ")
    assert origin.hits("/a") == 1
    fetcher.close()


def test_silence_ends_with_the_deadline_though_a_read_may_last_longer(
    origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Time(monkeypatch)
    fetcher = Fetcher(PATIENT)
    release = origin.hold("/a")
    with ThreadPoolExecutor(1) as pool:
        fetch = pool.submit(failure_of, fetcher, origin.url("/a"), timeout=100.0)
        try:
            origin.wait_for(1)
            clock.let_pass(200.0)
            assert fetch.result(PATIENCE).kind == "timeout"
        finally:
            release.set()
    fetcher.close()


def test_slow_is_not_too_slow(origin: Origin) -> None:
    fetcher = Fetcher(SETTINGS._replace(retries=0))
    release = origin.stall("/a", BODY, sent=10)
    threading.Timer(0.25, release.set).start()  # longer than the pieces in which the sockets wait
    assert fetcher.get(origin.url("/a")) == BODY
    fetcher.close()


def test_a_body_that_has_begun_may_come_later_than_an_answer_had_to(
    origin: Origin, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Time(monkeypatch)
    release = origin.stall("/a", BODY, sent=10)

    def room(length: int | None, most: int) -> int:  # is asked for when the answer has begun to come
        clock.let_pass(200.0)
        release.set()
        return most

    assert fetcher.get(origin.url("/a"), room=room, answer_by=time.monotonic() + 100) == BODY


# Answers that are not mixed up


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (message(200, {}, BODY), BODY),
        (message(204, {}, b""), b""),
        (head(200, {"Transfer-Encoding": "chunked"}) + b"3\r\nabc\r\n0\r\n\r\n", b"abc"),
    ],
    ids=["length", "no body", "chunks"],
)
def test_what_comes_after_an_answer_is_not_taken_for_the_next_one(
    origin: Origin, fetcher: Fetcher, answer: bytes, body: bytes
) -> None:
    origin.send_raw("/a", answer + message(200, {}, b"not what was asked for"), keep=True)
    origin.serve("/b", b"b")
    assert fetcher.get(origin.url("/a")) == body
    assert fetcher.get(origin.url("/b")) == b"b"
    assert (origin.hits("/b"), origin.connections()) == (1, 2)


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (message(200, {}, BODY * 100), BODY * 100),
        (message(204, {}, b""), b""),
        (head(200, {"Transfer-Encoding": "chunked"}) + b"3\r\nabc\r\n0\r\n\r\n", b"abc"),
    ],
    ids=["length", "no body", "chunks"],
)
def test_after_a_clean_answer_the_connection_is_used_again(
    origin: Origin, fetcher: Fetcher, answer: bytes, body: bytes
) -> None:
    origin.send_raw("/a", answer, keep=True)
    for _ in range(3):
        assert fetcher.get(origin.url("/a")) == body
    assert origin.connections() == 1


# TLS


def test_a_certificate_that_nobody_vouches_for_is_refused_at_once(secure_origin: Origin, fetcher: Fetcher) -> None:
    failure = failure_of(fetcher, secure_origin.serve("/a", BODY))
    assert failure.kind == "network"
    assert str(failure).startswith("the certificate of 127.0.0.1 is not trusted: self")
    assert secure_origin.connections() == 1


def test_a_certificate_for_another_host_is_refused(
    secure_origin: Origin, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    fetcher = Fetcher(SETTINGS)
    failure = failure_of(fetcher, f"https://localhost:{secure_origin.port}/a")
    assert failure.kind == "network"
    assert "not valid for 'localhost'" in str(failure)
    fetcher.close()


def test_https_is_fetched_when_its_certificate_is_trusted(
    secure_origin: Origin, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    fetcher = Fetcher(SETTINGS)
    secure_origin.serve("/b", BODY)
    assert fetcher.get(secure_origin.redirect("/a", "/b")) == BODY
    assert secure_origin.connections() == 1
    fetcher.close()


def test_certificates_that_cannot_be_read_are_told(
    secure_origin: Origin, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    failure = failure_of(fetcher, secure_origin.url("/a"))
    assert failure.kind == "network"
    assert str(failure).startswith("cannot read the trusted certificates: ")
    secure_origin.wait_for_hang_up()


def test_a_server_without_tls_is_the_networks_fault(origin: Origin, fetcher: Fetcher) -> None:
    failure = failure_of(fetcher, origin.url("/a").replace("http:", "https:"))
    assert failure.kind == "network"
    assert str(failure).startswith("no connection to 127.0.0.1: ")


# The end


def test_after_a_failure_nothing_is_left_open(origin: Origin) -> None:
    with warnings.catch_warnings():  # what other tests left is not this one's affair
        warnings.simplefilter("ignore")
        gc.collect()
    fetcher = Fetcher(SETTINGS._replace(retries=0))
    large = origin.serve("/a", bytes(10**7))
    for url in (large, origin.truncate("/b", BODY, claimed=10**5), origin.endless("/c"), origin.reset("/d")):
        failure_of(fetcher, url, max_bytes=10**6)
    origin.wait_for_hang_up()
    fetcher.close()
    with warnings.catch_warnings(record=True) as said:  # a socket left to the garbage collector would warn now
        warnings.simplefilter("always")
        gc.collect()
    assert [str(one.message) for one in said] == []
