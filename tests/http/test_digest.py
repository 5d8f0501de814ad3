"""Pictures behind a user name and a password: Basic, Digest as cameras ask for it, and what a refusal says."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from urllib.request import parse_http_list, parse_keqv_list

import pytest

from birdlite.http.fetcher import Fetcher
from tests.fetching import BODY, failure_of, fetchers
from tests.origin import Exchange, Origin, message

PATH = "/ISAPI/Streaming/channels/101/picture"
BASIC = "Basic " + b64encode(b"ann:p@ss").decode()


@pytest.fixture
def make() -> Iterator[Callable[..., Fetcher]]:
    with fetchers() as making:
        yield making


def url(origin: Origin, path: str = PATH, known_as: str = "ann:p%40ss@") -> str:
    return origin.url(path).replace("://", f"://{known_as}")


def seen(origin: Origin) -> list[str]:
    """How the requests told who asks, in order."""
    return [str(seen.headers["Authorization"]) for seen in origin.requests]


class Camera:
    """Gives a picture to whoever answers its challenge."""

    def __init__(self, origin: Origin, path: str = PATH, password: str = "p@ss") -> None:
        self.nonce = "1"
        self.challenges = ['Digest realm="Camera", qop="auth", nonce="NONCE", opaque="o", stale="FALSE"']
        self.algorithm = "md5"
        self.counts: list[str] = []
        self._secret = f"ann:Camera:{password}"
        origin.answer(path, self._answer)

    def _answer(self, exchange: Exchange) -> None:
        if self._knows(exchange.headers["Authorization"] or "", exchange.path):
            exchange.finish(message(200, {}, BODY))
            return
        lines = [f"WWW-Authenticate: {text.replace('NONCE', self.nonce)}" for text in self.challenges]
        exchange.finish("\r\n".join(["HTTP/1.1 401 No", *lines, "Content-Length: 4", "", "page"]).encode())

    def _knows(self, who: str, path: str) -> bool:
        if not who.startswith("Digest "):
            return False
        said = parse_keqv_list(parse_http_list(who[7:]))
        self.counts.append(said["nc"])
        middle = f"{self.nonce}:{said['nc']}:{said['cnonce']}:auth"
        expected = self._hex(f"{self._hex(self._secret)}:{middle}:{self._hex(f'GET:{path}')}")
        return said["response"] == expected and (said["uri"], said["opaque"]) == (path, "o")

    def _hex(self, text: str) -> str:
        return hashlib.new(self.algorithm, text.encode()).hexdigest()


def test_a_camera_that_asks_for_digest_gives_its_picture(origin: Origin, make: Callable[..., Fetcher]) -> None:
    Camera(origin)

    assert make().get(url(origin)) == BODY

    first, second = seen(origin)
    assert first == BASIC
    assert second.startswith('Digest username="ann", realm="Camera"')
    assert origin.connections() == 1


def test_the_next_picture_of_a_camera_needs_one_request(origin: Origin, make: Callable[..., Fetcher]) -> None:
    camera = Camera(origin, "/a")
    fetcher = make()
    for _ in range(3):
        assert fetcher.get(url(origin, "/a?b[1]='c d'")) == BODY

    assert camera.counts == ["00000001", "00000002", "00000003"]
    assert len(origin.requests) == 4


def test_a_challenge_that_is_out_of_date_is_answered_anew(origin: Origin, make: Callable[..., Fetcher]) -> None:
    camera = Camera(origin)
    fetcher = make()
    fetcher.get(url(origin))
    camera.nonce = "2"

    assert fetcher.get(url(origin)) == BODY
    assert camera.counts == ["00000001", "00000002", "00000001"]


@pytest.mark.parametrize(
    "challenges",
    [
        ['Basic realm="Camera"', 'Digest realm="Camera", nonce="NONCE", opaque="o", qop="auth"'],
        ['Basic realm="Camera", Digest realm="Camera", nonce="NONCE", opaque="o", qop="auth,auth-int"'],
        ['Negotiate, digest realm="Camera", nonce="NONCE", opaque="o", qop="auth", algorithm=MD5, Basic realm="x"'],
        ['Digest realm="x", nonce="y", algorithm=NEW', 'Digest realm="Camera", nonce="NONCE", opaque="o", qop="auth"'],
        ['Digest realm="no nonce"', "Digest", 'Digest realm="Camera", nonce="NONCE", opaque="o", qop="auth"'],
        ["Digest realm=, nonce=", 'Digest realm="Camera", nonce="NONCE", opaque="o", qop="auth"'],
    ],
    ids=["beside Basic", "in one field", "among others", "unknown algorithm", "malformed", "without values"],
)
def test_digest_is_found_among_the_ways_that_a_server_offers(
    origin: Origin, make: Callable[..., Fetcher], challenges: list[str]
) -> None:
    Camera(origin).challenges = challenges

    assert make().get(url(origin)) == BODY


def test_sha_256_is_answered(origin: Origin, make: Callable[..., Fetcher]) -> None:
    camera = Camera(origin)
    camera.algorithm = "sha256"
    camera.challenges = ['Digest realm="Camera", qop="auth", nonce="NONCE", opaque="o", algorithm=SHA-256']

    assert make().get(url(origin)) == BODY


def test_a_wrong_password_is_tried_once_in_each_way(origin: Origin, make: Callable[..., Fetcher]) -> None:
    Camera(origin, password="another")
    failure = failure_of(make(), url(origin))

    assert failure.kind == "http_status"
    assert str(failure) == (
        "401 Unauthorized from 127.0.0.1: the user name and the password in the URL are not accepted"
    )
    assert len(origin.requests) == 2


@pytest.mark.parametrize(
    ("known_as", "asked_for", "advice"),
    [
        ("", "Basic realm=x", "put a user name and a password before the host: USER:PASSWORD@127.0.0.1:"),
        ("", "", "put a user name and a password before the host: USER:PASSWORD@127.0.0.1:"),
        ("a:b@", "Basic realm=x", "the user name and the password in the URL are not accepted"),
        ("a:b@", "NTLM", "it asks for 'ntlm'; birdlite knows Basic and Digest"),
        ("a:b@", "Digest realm=x, nonce=y, algorithm=NEW", "the user name and the password in the URL"),
    ],
)
def test_a_refusal_says_what_to_do(
    origin: Origin, make: Callable[..., Fetcher], known_as: str, asked_for: str, advice: str
) -> None:
    origin.serve("/a", b"", status=401, headers={"WWW-Authenticate": asked_for})
    failure = failure_of(make(), url(origin, "/a", known_as))

    assert failure.kind == "http_status"
    assert str(failure).startswith(f"401 Unauthorized from 127.0.0.1: {advice}")
    assert len(origin.requests) == 1


def test_a_password_stays_with_its_server(origin: Origin, make: Callable[..., Fetcher]) -> None:
    with Origin() as another:
        another.serve("/c", BODY)
        origin.redirect("/b", another.url("/c"))
        origin.redirect("/a", origin.url("/b"))

        assert make().get(url(origin, "/a")) == BODY

        assert seen(origin) == [BASIC, BASIC]
        assert seen(another) == ["None"]


def test_another_server_that_asks_for_digest_does_not_get_it(origin: Origin, make: Callable[..., Fetcher]) -> None:
    Camera(origin)
    fetcher = make()
    fetcher.get(url(origin))
    with Origin() as another:
        Camera(another, "/c")
        origin.redirect("/a", another.url("/c"))

        assert failure_of(fetcher, url(origin, "/a")).kind == "http_status"
        assert seen(another) == ["None"]
