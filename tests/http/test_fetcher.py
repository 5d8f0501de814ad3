"""A URL's bytes: politely, through a mirror, with redirects and further tries. The network's faults: test_faults."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from pathlib import Path

import pytest

from birdlite import log
from birdlite.http.fetcher import Fetcher, FetchSettings
from birdlite.settings import USER_AGENT
from tests.fetching import BODY, SETTINGS, failure_of, fetchers, note_pauses
from tests.origin import Origin


@pytest.fixture
def fetcher() -> Iterator[Fetcher]:
    """A fetcher that does not pause between tries."""
    fetcher = Fetcher(SETTINGS)
    yield fetcher
    fetcher.close()


@pytest.fixture
def make() -> Iterator[Callable[..., Fetcher]]:
    """Makes fetchers, and closes them after the test."""
    with fetchers() as make:
        yield make


# What is fetched


def test_the_bytes_come_as_they_are(origin: Origin, fetcher: Fetcher) -> None:
    assert fetcher.get(origin.serve("/a.jpg", BODY)) == BODY


@pytest.mark.parametrize("status", [200, 203, 204])
def test_an_answer_without_a_body_is_no_bytes(origin: Origin, fetcher: Fetcher, status: int) -> None:
    assert fetcher.get(origin.serve("/a.jpg", b"", status=status)) == b""


def test_a_chunked_body_is_put_together(origin: Origin, fetcher: Fetcher) -> None:
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (b"one ", b"two ", b"three")) + b"0\r\n\r\n"
    url = origin.send_raw("/a.jpg", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
    assert fetcher.get(url) == b"one two three"


def test_a_body_that_ends_with_the_connection_is_whole(origin: Origin, fetcher: Fetcher) -> None:
    assert fetcher.get(origin.send_raw("/a.jpg", b"HTTP/1.0 200 OK\r\n\r\n" + BODY)) == BODY


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/a b.jpg", "/a%20b.jpg"),
        ("/Vögel.jpg?größe=ä", "/V%C3%B6gel.jpg?gr%C3%B6%C3%9Fe=%C3%A4"),
        ("/a%2Cb%2F.jpg", "/a%2Cb%2F.jpg"),
    ],
)
def test_spaces_and_other_letters_are_escaped_and_escapes_stay(
    origin: Origin, fetcher: Fetcher, path: str, asked: str
) -> None:
    origin.serve(asked, BODY)
    assert fetcher.get(origin.url(path)) == BODY
    assert origin.requests[0].path == asked


def test_requests_say_who_asks_and_want_nothing_compressed(origin: Origin, make: Callable[..., Fetcher]) -> None:
    make().get(origin.serve("/a", BODY))
    make(SETTINGS._replace(user_agent="my-birds/2 (+https://example.org)")).get(origin.url("/a"))
    first, second = (seen.headers for seen in origin.requests)
    assert first["User-Agent"] == USER_AGENT
    assert second["User-Agent"] == "my-birds/2 (+https://example.org)"
    assert first["Accept-Encoding"] == "identity"


def test_a_password_in_the_url_is_used(origin: Origin, fetcher: Fetcher) -> None:
    origin.serve("/a", BODY)
    fetcher.get(origin.url("/a").replace("//", "//me:secret@"))
    assert origin.requests[0].headers["Authorization"] == "Basic bWU6c2VjcmV0"


def test_cookies_are_not_kept(origin: Origin, fetcher: Fetcher) -> None:
    origin.serve("/a", BODY, headers={"Set-Cookie": "who=you; Path=/"})
    fetcher.get(origin.url("/a"))
    fetcher.get(origin.url("/a"))
    assert [seen.headers["Cookie"] for seen in origin.requests] == [None, None]


def test_one_connection_serves_many_requests_errors_and_redirects_too(origin: Origin, fetcher: Fetcher) -> None:
    origin.serve("/a", BODY)
    origin.redirect("/b", "/a")
    origin.fail("/a", [503])
    for path in ("/a", "/b", "/a"):
        assert fetcher.get(origin.url(path)) == BODY
    failure_of(fetcher, origin.url("/missing"))
    assert fetcher.get(origin.url("/a")) == BODY
    assert origin.connections() == 1


@pytest.mark.parametrize("imported", [True, False])
def test_many_threads_share_connections(origin: Origin, fetcher: Fetcher, imported: bool) -> None:
    if imported:
        fetcher.preload()
    urls = [origin.serve(f"/{number}", b"%d" % number) for number in range(60)]
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(fetcher.get, urls)) == [b"%d" % number for number in range(60)]
    # A request that was sent before httpx was imported keeps its own connection, and may take the place of an idle one.
    assert origin.connections() <= SETTINGS.per_host.general * (1 if imported else 2)


# What is too large


def test_a_declared_length_beyond_the_bound_is_refused_at_once(origin: Origin, fetcher: Fetcher) -> None:
    failure = failure_of(fetcher, origin.serve("/a", BODY), max_bytes=1000)
    assert (failure.kind, str(failure)) == ("too_large", "25,600 bytes, more than the 1,000 allowed")
    assert origin.hits("/a") == 1


@pytest.mark.parametrize("chunked", [False, True])
def test_an_endless_body_is_cut_off_at_the_bound(origin: Origin, make: Callable[..., Fetcher], chunked: bool) -> None:
    failure = failure_of(make(SETTINGS._replace(max_bytes=1_000_000)), origin.endless("/a", chunked=chunked))
    assert (failure.kind, str(failure)) == ("too_large", "more than the 1,000,000 bytes allowed by --max-bytes")


def test_a_body_of_exactly_the_bound_is_fine(origin: Origin, fetcher: Fetcher) -> None:
    assert fetcher.get(origin.serve("/a", BODY), max_bytes=len(BODY)) == BODY


# Statuses and further tries


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "400 Bad Request"),
        (403, "403 Forbidden"),
        (404, "404 Not Found"),
        (410, "410 Gone"),
        (501, "501 Not Implemented"),
        (505, "505 HTTP Version Not Supported"),
        (304, "304 Not Modified"),
        (799, "799"),
    ],
)
def test_a_lasting_refusal_is_told_and_not_asked_again(
    origin: Origin, fetcher: Fetcher, status: int, words: str
) -> None:
    failure = failure_of(fetcher, origin.serve("/a", b"<html>", status=status))
    assert (failure.kind, str(failure)) == ("http_status", f"{words} from 127.0.0.1")
    assert origin.hits("/a") == 1


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_what_may_pass_is_asked_again(origin: Origin, fetcher: Fetcher, status: int) -> None:
    origin.serve("/a", BODY)
    assert fetcher.get(origin.fail("/a", [status, status, status])) == BODY
    assert origin.hits("/a") == 4


def test_tries_end(origin: Origin, make: Callable[..., Fetcher]) -> None:
    failure = failure_of(make(SETTINGS._replace(retries=2)), origin.serve("/a", b"", status=503))
    assert (failure.kind, str(failure)) == ("http_status", "503 Service Unavailable from 127.0.0.1 (3 tries)")
    assert origin.hits("/a") == 3


def test_without_retries_there_is_one_try(origin: Origin, make: Callable[..., Fetcher]) -> None:
    failure = failure_of(make(SETTINGS._replace(retries=0)), origin.serve("/a", b"", status=503))
    assert str(failure) == "503 Service Unavailable from 127.0.0.1"
    assert origin.hits("/a") == 1


def test_pauses_are_drawn_below_a_ceiling_that_doubles(
    origin: Origin, make: Callable[..., Fetcher], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.random", lambda: 0.5)
    pauses = note_pauses(monkeypatch)
    fetcher = make(FetchSettings(backoff=0.2))
    origin.serve("/a", BODY)
    fetcher.get(origin.fail("/a", [503, 429, 500]))
    assert pauses == pytest.approx([0.1, 0.2, 0.4])


@pytest.mark.parametrize("by_date", [False, True])
def test_a_server_that_says_when_to_come_back_is_obeyed(
    origin: Origin, make: Callable[..., Fetcher], monkeypatch: pytest.MonkeyPatch, by_date: bool
) -> None:
    monkeypatch.setattr("time.time", lambda: 1_700_000_000.0)
    pauses = note_pauses(monkeypatch)
    origin.serve("/a", BODY)
    when = formatdate(1_700_000_007, usegmt=True) if by_date else "7"
    origin.fail("/a", [429], headers={"Retry-After": when})
    assert make().get(origin.url("/a")) == BODY
    assert pauses == [7.0]


@pytest.mark.parametrize(
    ("when", "named"),
    [
        ("120", "120 s"),
        ("9999999999", "more than a day"),
        ("9" * 400, "more than a day"),
        ("Fri, 31 Dec 9999 23:59:59 GMT", "more than a day"),
    ],
)
def test_a_server_that_asks_for_too_long_is_left_alone(
    origin: Origin, make: Callable[..., Fetcher], monkeypatch: pytest.MonkeyPatch, when: str, named: str
) -> None:
    pauses = note_pauses(monkeypatch)
    origin.serve("/a", b"", status=429, headers={"Retry-After": when})
    failure = failure_of(make(), origin.url("/a"))
    assert failure.kind == "http_status"
    assert str(failure) == f"429 Too Many Requests from 127.0.0.1; it asks to wait {named}, longer than 10 s"
    assert (pauses, origin.hits("/a")) == ([], 1)


def test_a_pause_that_the_deadline_does_not_allow_is_not_begun(
    origin: Origin, make: Callable[..., Fetcher], monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = note_pauses(monkeypatch)
    origin.serve("/a", b"", status=503, headers={"Retry-After": "9"})
    failure = failure_of(make(), origin.url("/a"), timeout=5.0)
    assert failure.kind == "http_status"
    assert "no time is left to try again after 9.0 s" in str(failure)
    assert (pauses, origin.hits("/a")) == ([], 1)


@pytest.mark.usefixtures("every_host_is_here")
def test_a_wikimedia_thumbnail_that_is_not_served_is_not_asked_for_again(origin: Origin, fetcher: Fetcher) -> None:
    url = origin.serve("/wikipedia/commons/thumb/8/81/Bird.jpg/640px-Bird.jpg", b"", status=429)
    failure = failure_of(fetcher, url.replace("127.0.0.1", "upload.wikimedia.org"))
    assert str(failure).startswith("429 Too Many Requests from upload.wikimedia.org: thumbnails are served 20, 40")
    assert len(origin.requests) == 1


# Redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(origin: Origin, fetcher: Fetcher, status: int) -> None:
    origin.redirect("/a", origin.serve("/b", BODY), status=status)
    assert fetcher.get(origin.url("/a")) == BODY


@pytest.mark.parametrize(
    ("to", "asked"),
    [
        ("/b", "/b"),
        ("b", "/x/b"),
        ("../b?q=1", "/b?q=1"),
        ("?q=2", "/x/a?q=2"),
        ("b ä", "/x/b%20%C3%A4"),
        ("//HOST/b#part", "/b"),
    ],
)
def test_a_relative_redirect_starts_from_where_it_was_given(
    origin: Origin, fetcher: Fetcher, to: str, asked: str
) -> None:
    to = to.replace("HOST", f"127.0.0.1:{origin.port}")
    origin.serve(asked, BODY)
    origin.send_raw("/x/a", b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + to.encode() + b"\r\n\r\n")
    assert fetcher.get(origin.url("/x/a")) == BODY


def test_a_loop_of_redirects_ends_at_the_bound(origin: Origin, fetcher: Fetcher) -> None:
    failure = failure_of(fetcher, origin.redirect("/a", "/a"))
    assert (failure.kind, str(failure)) == ("http_status", "more than 5 redirects")
    assert origin.hits("/a") == 6


def test_a_redirect_to_nowhere_is_told(origin: Origin, fetcher: Fetcher) -> None:
    failure = failure_of(fetcher, origin.serve("/a", b"", status=302))
    assert (failure.kind, str(failure)) == ("http_status", "302 Found from 127.0.0.1, without a Location")


@pytest.mark.parametrize(
    ("to", "kind"),
    [
        ("file:///etc/passwd", "unsupported"),
        ("ftp://a.example/b", "unsupported"),
        ("data:image/gif;base64,R0lGOD", "unsupported"),
        ("http://..", "unsupported"),
        ("http://[::1", "http_status"),
        ("http://a.example:port/", "http_status"),
    ],
)
def test_a_redirect_to_what_cannot_be_fetched_is_refused(origin: Origin, fetcher: Fetcher, to: str, kind: str) -> None:
    failure = failure_of(fetcher, origin.redirect("/a", to))
    assert failure.kind == kind
    assert str(failure).startswith("redirected by 127.0.0.1 to a URL that cannot be fetched: ")
    assert origin.hits("/a") == 1


def test_a_redirect_from_https_to_http_is_blocked(
    origin: Origin, secure_origin: Origin, certificate: tuple[Path, Path], make: Callable[..., Fetcher]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(certificate[0]))
        failure = failure_of(make(), secure_origin.redirect("/a", origin.serve("/b", BODY)))
    assert failure.kind == "blocked"
    assert str(failure).startswith("redirected by 127.0.0.1 from https to http")
    assert origin.requests == []


def test_a_further_try_starts_where_the_redirects_led(origin: Origin, fetcher: Fetcher) -> None:
    origin.serve("/b", BODY)
    origin.fail("/b", [503])
    assert fetcher.get(origin.redirect("/a", "/b")) == BODY
    assert (origin.hits("/a"), origin.hits("/b")) == (1, 2)


def test_a_password_does_not_follow_to_another_host(
    origin: Origin, fetcher: Fetcher, every_host_is_here: list[str]
) -> None:
    origin.redirect("/a", "/b")
    origin.redirect("/b", f"http://c.example:{origin.port}/c")
    origin.serve("/c", BODY)
    assert fetcher.get(f"http://me:pw@a.example:{origin.port}/a") == BODY
    assert [seen.headers["Authorization"] for seen in origin.requests] == ["Basic bWU6cHc=", "Basic bWU6cHc=", None]
    assert every_host_is_here == ["a.example", "c.example"]


# What the log says


def test_tries_and_redirects_are_told_without_secrets(origin: Origin, fetcher: Fetcher) -> None:
    said: list[tuple[int, str, dict[str, object]]] = []
    log.to(lambda level, text, fields: said.append((level, text, fields)), log.DEBUG)
    origin.serve("/b", BODY)
    origin.redirect("/a", "/b?signature=secret")
    fetcher.get(origin.fail("/b", [503]).replace("//", "//me:secret@").replace("/b", "/a"))
    assert [(level, text) for level, text, _ in said] == [(logging.DEBUG, "redirect"), (logging.DEBUG, "retry")]
    assert said[1][2]["reason"] == "503 Service Unavailable from 127.0.0.1"
    assert "secret" not in str(said)
