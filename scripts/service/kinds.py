"""The kinds of requests of `scripts.soak_service`, good and bad, and what each must be answered.

Each kind is a function that asks and returns what is wrong with the answer, or None. What happens to a URL depends on
its number alone: see `scripts.soak.hostile`.
"""

from __future__ import annotations

import json
import socket
import struct
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from http.client import HTTPConnection
from typing import Any, NamedTuple, cast

from birdlite.results import FailureKind
from birdlite.serve.problems import STATUSES
from scripts.soak.balance import target_of
from scripts.soak.hostile import fault_of

PATIENCE_S = 60.0
BOUNDARY = "a-boundary-that-no-picture-holds"
CLASSIFY = "/v1/classify"


class Bird(NamedTuple):
    """A picture, and what it shows."""

    name: str
    data: bytes


class Answer(NamedTuple):
    """What came back."""

    status: int
    body: bytes

    def json(self) -> Any:
        """Its document."""
        return json.loads(self.body)


class Client:
    """One client with a connection that it keeps, as most do. Used by one thread."""

    def __init__(self, port: int, birds: Sequence[Bird], shown: Sequence[str], numbers: Iterator[int]) -> None:
        """`shown` are the names of what URLs show in turn, and `numbers` those of URLs, each given once."""
        self.birds = birds
        self.shown = shown
        self.numbers = numbers
        self.answered = Counter[int]()  # answers by status
        self._port = port
        self._connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)

    def ask(
        self, method: str, path: str, body: bytes = b"", content_type: str = "image/jpeg", accept: str = "*/*"
    ) -> Answer:
        """Send a request, and read its answer."""
        self._connection.request(method, path, body or None, {"Content-Type": content_type, "Accept": accept})
        answer = self._connection.getresponse()
        found = Answer(answer.status, answer.read())
        self.answered[found.status] += 1
        return found

    def connect(self) -> socket.socket:
        """A connection besides."""
        return socket.create_connection(("127.0.0.1", self._port), PATIENCE_S)

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


Kind = Callable[[Client, int], "str | None"]


def _upload(client: Client, number: int) -> str | None:
    bird = client.birds[number % len(client.birds)]
    return _shows(client.ask("POST", CLASSIFY, bird.data), [bird.name])


def _form(client: Client, number: int) -> str | None:
    """Two good pictures with a bad one between them."""
    birds = [client.birds[(number + one) % len(client.birds)] for one in (0, 1)]
    body = _form_of(birds[0].data, b"no picture", birds[1].data)
    found = client.ask("POST", CLASSIFY, body, f"multipart/form-data; boundary={BOUNDARY}")
    return _shows(found, [birds[0].name, "not_an_image", birds[1].name])


def _lines(client: Client, number: int) -> str | None:
    """The same, whose answer is a line for each, in any order."""
    bird = client.birds[number % len(client.birds)]
    body = _form_of(bird.data, bird.data[: len(bird.data) // 2], bird.data)
    kind = f"multipart/form-data; boundary={BOUNDARY}"
    found = client.ask("POST", CLASSIFY, body, kind, "application/x-ndjson")
    records = sorted((json.loads(line) for line in found.body.splitlines()), key=lambda record: record["index"])
    return _differ([_outcome(record) for record in records], [bird.name, "decode", bird.name])


def _urls(client: Client, number: int) -> str | None:  # noqa: ARG001 - URLs have their own numbers
    """Two URLs of the hostile server as JSON."""
    numbers = [next(client.numbers), next(client.numbers)]
    body = json.dumps({"urls": [target_of(one) for one in numbers]}).encode()
    found = client.ask("POST", CLASSIFY, body, "application/json")
    return _shows(found, [_expected(one, client.shown) for one in numbers])


def _url(client: Client, number: int) -> str | None:
    """One of them in the query: if it fails, the answer is a problem."""
    number = next(client.numbers)
    failure = _failure(number)
    found = client.ask("GET", f"{CLASSIFY}?url={target_of(number)}")
    return _shows(found, [_expected(number, client.shown)]) if failure is None else _fails(found, failure)


def _damaged(client: Client, number: int) -> str | None:
    bird = client.birds[number % len(client.birds)]
    return _fails(client.ask("POST", CLASSIFY, bird.data[: len(bird.data) // 2]), "decode")


def _no_picture(client: Client, number: int) -> str | None:
    return _fails(client.ask("POST", CLASSIFY, b"<html>%d" % number), "not_an_image")


def _bad_request(client: Client, number: int) -> str | None:
    """What is no sensible request, in several ways."""
    method, path, body, content_type, status = BAD[number % len(BAD)]
    found = client.ask(method, path, body, content_type)
    return None if found.status == status else f"{method} {path}: {found.status} instead of {status}"


def _probe(client: Client, number: int) -> str | None:
    path = PROBES[number % len(PROBES)]
    found = client.ask("GET", path)
    return None if found.status == 200 else f"{path}: {found.status} instead of 200"


def _rubbish(client: Client, number: int) -> str | None:
    """What is not even HTTP."""
    with client.connect() as connection:
        connection.sendall(RUBBISH[number % len(RUBBISH)])
        said = connection.recv(1 << 16)
    return None if said.startswith(b"HTTP/1.1 4") else f"rubbish is answered with {said[:40]!r}"


def _goes_away(client: Client, number: int) -> str | None:
    """A client that does not wait: after half of its request, or all of it, in good order or not."""
    data = client.birds[number % len(client.birds)].data
    head = b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
    request = head % (CLASSIFY.encode(), len(data)) + data
    with client.connect() as connection:
        if number % 2:  # a reset
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(request[: len(request) // (1 + number % 3)])
    return None


BAD = (
    ("GET", "/nothing", b"", "image/jpeg", 404),
    ("POST", "/livez", b"", "image/jpeg", 405),
    ("POST", CLASSIFY, b"", "image/jpeg", 400),
    ("POST", CLASSIFY, b"{", "application/json", 400),
    ("POST", CLASSIFY, b'{"urls": ["a.jpg"], "tops": 1}', "application/json", 400),
    ("POST", CLASSIFY, b"a=b", "application/x-www-form-urlencoded", 415),
    ("POST", CLASSIFY, b"--x\r\nContent-", "multipart/form-data; boundary=x", 400),
    ("GET", CLASSIFY, b"", "image/jpeg", 400),
    ("POST", f"{CLASSIFY}?top=many", b"picture", "image/jpeg", 400),
)
PROBES = ("/readyz", "/livez", "/metrics", "/v1/model")
RUBBISH = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    b"GET / HTTP/1.1\nHost: a\n\n",
    b"GET /" + b"a" * 40_000,
)

KINDS: tuple[tuple[str, int, Kind], ...] = (
    ("uploads", 8, _upload),
    ("damaged uploads", 1, _damaged),
    ("uploads that are no picture", 1, _no_picture),
    ("forms", 1, _form),
    ("forms, answered in lines", 1, _lines),
    ("URLs in JSON", 2, _urls),
    ("a URL in the query", 1, _url),
    ("bad requests", 2, _bad_request),
    ("probes", 1, _probe),
    ("not HTTP", 1, _rubbish),
    ("clients that go away", 1, _goes_away),
)
"""Their names, how many there are among twenty, and what each does."""

TURN = tuple((name, ask) for name, times, ask in KINDS for _ in range(times))
NOT_REQUESTS = ("not HTTP", "clients that go away")
"""Kinds whose answers no client counts."""


def _form_of(*files: bytes) -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{{}}.jpg"\r\n\r\n'
    parts = [head.format(number).encode() + data for number, data in enumerate(files)]
    return b"\r\n".join([*parts, f"--{BOUNDARY}--\r\n".encode()])


def _expected(number: int, shown: Sequence[str]) -> str:
    """The name of the bird at a URL, or the kind of its failure."""
    return _failure(number) or shown[number % len(shown)]


def _failure(number: int) -> FailureKind | None:
    """The kind of the failure of a URL; None if it shows a bird."""
    fault = fault_of(number)
    return None if fault is None or fault.expected == "ok" else cast("FailureKind", fault.expected)


def _shows(answer: Answer, expected: list[str]) -> str | None:
    """What is wrong with an answer that must have these birds and failures."""
    if answer.status != 200:
        return f"{answer.status} instead of 200: {answer.body[:300]!r}"
    return _differ([_outcome(record) for record in answer.json()["results"]], expected)


def _fails(answer: Answer, kind: FailureKind) -> str | None:
    """What is wrong with an answer that must be this problem."""
    expected = STATUSES[kind]
    if answer.status != expected or answer.json()["kind"] != kind:
        return f"{answer.status} instead of {expected}, {kind}: {answer.body[:300]!r}"
    return None


def _differ(found: list[str], expected: list[str]) -> str | None:
    return None if found == expected else f"{found} instead of {expected}"


def _outcome(record: dict[str, Any]) -> str:
    return str(record["predictions"][0]["name"] if record["status"] == "ok" else record["error"]["kind"])
