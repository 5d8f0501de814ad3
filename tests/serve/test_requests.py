"""Paths, methods and headers: what is answered, what is refused, and what of it reaches the log and the numbers."""

from __future__ import annotations

import json

import pytest
from prometheus_client.parser import text_string_to_metric_families

from birdlite import log
from birdlite.serve.app import ROUTES
from birdlite.serve.problems import STATUSES
from tests.demo_world import PICTURES
from tests.hostile import intruders
from tests.serve.test_classify import problem
from tests.serving import Running, head_of

PICTURE = PICTURES[0].read_bytes()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/v1/classify/", 404),
        ("GET", "/../etc/passwd", 404),
        ("PUT", "/v1/classify", 405),
        ("DELETE", "/v1/model", 405),
        ("POST", "/metrics", 405),
        ("BREW", "/livez", 405),
    ],
)
def test_other_paths_and_methods_are_problems(service: Running, method: str, path: str, status: int) -> None:
    answer = service.client.request(method, path)

    problem(answer, status)
    assert ("allow" in answer.headers) == (status == 405)


def ask(service: Running, line: str, headers: str = "") -> bytes:
    """The answer to a request of one line; headers end with CR LF."""
    return service.raw(f"{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n".encode("latin-1"))


@pytest.mark.parametrize(
    "target",
    ["//livez", "/livez/", "/./livez", "/x/../livez", "/livez%0a", "/livez%00", "/livez%20", "/livez%3fa", "/livez#a",
     "/livez;a", "/LIVEZ", "/%2flivez", "/%6civez", "%2Flivez", "/live%7A", "/v1/%63lassify", "/v1%2Fclassify",
     "http://x/livez", "http://y/livez", "x:443", "*", "livez"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "PUT", "CONNECT", "OPTIONS"])
def test_only_the_very_paths_are_answered(service: Running, method: str, target: str) -> None:
    """A proxy that allows some paths must not be got round by another spelling."""
    assert head_of(ask(service, f"{method} {target}")) == b"HTTP/1.1 404 Not Found"


def test_a_path_in_another_spelling_is_no_path_of_ours_anywhere(service: Running) -> None:
    before = service.number("birdlite_requests_total", route="other", method="GET", status="404")

    answer = service.client.get("/%6detrics")

    assert problem(answer, 404)["detail"] == "no such path: /%6detrics"
    assert service.number("birdlite_requests_total", route="other", method="GET", status="404") == before + 1
    assert "GET /%6detrics" in [message for _, message, _ in service.lines]


@pytest.mark.parametrize(
    "path",
    ["/v1/classify%3Furl%3Dhttps%3A%2F%2Fann%3Ahunter2%40example.org%2Fa.jpg", "/token%3Dhunter2/a",
     "/a;token%3Dhunter2", "/%74oken=hunter2", "/a%253Ftoken%253Dhunter2"],
)  # fmt: skip
def test_secrets_in_a_path_are_hidden_however_they_are_spelled(service: Running, path: str) -> None:
    answer = service.raw(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())

    assert head_of(answer).startswith(b"HTTP/1.1 404 ")
    assert "hunter2" not in answer.decode() + str(service.lines)


@pytest.mark.parametrize("host", ["[", "a?b", "a#b", "a/b", "", "x:99999", "user:pw@x", "%00"])
def test_what_the_host_is_called_changes_nothing(service: Running, host: str) -> None:
    for line, expected in (("GET /livez", b"200"), ("PUT /livez", b"405"), ("GET /no", b"404")):
        answer = service.raw(f"{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        assert head_of(answer).split()[1] == expected


@pytest.mark.parametrize("path", ROUTES)
def test_head_is_answered_as_get_is_without_a_body(service: Running, path: str) -> None:
    got = service.client.get(path, headers={"X-Request-Id": "a"})
    head = service.client.head(path, headers={"X-Request-Id": "a"})

    assert (head.status_code, head.headers["content-type"], head.content) == (
        got.status_code, got.headers["content-type"], b"",
    )  # fmt: skip


@pytest.mark.parametrize(
    "method", ["OPTIONS", "TRACE", "CONNECT", "PATCH", "get", "BREW", "!#$%&'*+-.^_`|~", "A" * 20_000]
)
def test_another_method_is_refused_and_names_those_that_are_taken(service: Running, method: str) -> None:
    answer = ask(service, f"{method} /v1/classify", "Cookie: from-the-client\r\n")

    assert head_of(answer) == b"HTTP/1.1 405 Method Not Allowed"
    assert b"allow: GET, POST\r\n" in answer.lower().replace(b"get, post", b"GET, POST")
    assert b"from-the-client" not in answer
    assert len(answer) < 1000


@pytest.mark.parametrize(
    "header",
    ["If-None-Match: *", 'If-Match: "a"', "If-Modified-Since: Thu, 01 Jan 2099 00:00:00 GMT", "Range: bytes=0-1",
     "Accept: text/html", "Accept: */*;q=0", "Accept-Encoding: gzip", "Accept-Language: de", "TE: trailers",
     "Upgrade: h2c", "Max-Forwards: 0", "X-HTTP-Method-Override: DELETE", "X-Forwarded-For: 127.0.0.1",
     "Forwarded: for=x", "X-Forwarded-Prefix: /a", "X-Original-URL: /metrics"],
)  # fmt: skip
def test_headers_that_mean_nothing_here_change_nothing(service: Running, header: str) -> None:
    answer = ask(service, "GET /v1/model", f"{header}\r\n")

    assert head_of(answer) == b"HTTP/1.1 200 OK"
    assert b"birdlite-demo" in answer


def test_a_thousand_headers_are_taken(service: Running) -> None:
    headers = "".join(f"X-{number}: y\r\n" for number in range(1000))

    assert head_of(ask(service, "GET /livez", headers)) == b"HTTP/1.1 200 OK"


# Ids


@pytest.mark.parametrize(
    "given", ["a\tb", "a b", "\xe9", "a" * 129, "<script>", 'a"b', "../a", "a,b", "", "\x01", "\x7f", "\x80\xff"]
)
def test_an_id_that_could_do_harm_is_replaced(service: Running, given: str) -> None:
    answer = ask(service, "GET /v1/model", f"X-Request-Id: {given}\r\n").decode("latin-1")
    (name,) = [line.partition(": ")[2] for line in answer.split("\r\n") if line.lower().startswith("x-request-id:")]

    assert name.isalnum()
    assert len(name) == 32


def test_a_traceparent_is_bounded(service: Running) -> None:
    trace = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    for more, taken in (("", True), ("-more", True), ("-" + "x" * 101, False), ("-a b", False), ("-\xe9", False)):
        service.lines.clear()
        ask(service, "GET /v1/model", f"traceparent: {trace}{more}\r\nX-Request-Id: it\r\n")
        assert ("traceparent" in service.logged("it")) == taken


# The log and the numbers


INVENTED = [
    "/a%0abirdlite: ready at http://evil.example/",
    "/a%0d%0aX: y",
    "/%1b[2J%1b]0;t%07",
    "/%e2%80%ae%e2%80%a8",
    "/%ff%c2%9b",
    "/" + "x" * 30_000,
    '/"}{"level":"error"',
]


@pytest.mark.parametrize("target", INVENTED)
def test_a_path_forges_no_line_of_the_log(service: Running, target: str) -> None:
    answer = ask(service, f"GET {target.replace(' ', '%20')}")
    service.client.get("/livez")  # the line is written by now
    (message,) = [message for _, message, fields in service.lines if fields.get("status") == 404]
    found = json.loads(answer.partition(b"\r\n\r\n")[2])

    assert intruders(message) | intruders(found["detail"]) == set()
    assert "\n" not in message
    assert len(message) < 200
    assert len(found["detail"]) < 200


def test_a_stranger_adds_no_label_to_the_numbers(service: Running) -> None:
    """Whatever is asked for, the values of labels are known before, and once they were all there, no more come."""
    before = _series(service)
    _ask_for_what_is_new(service, range(10))
    first = _series(service)
    _ask_for_what_is_new(service, range(10, 50))

    assert _series(service) == first
    values = {value for _, labels in first - before for name, value in labels if name != "le"}
    statuses = {str(status) for status in (200, 400, 404, 405, 413, 415)}
    known = {*ROUTES, "other", "GET", "POST", *statuses, *STATUSES, "ok", "queue", "fetch", "decode", "infer"}
    assert values <= known


def _ask_for_what_is_new(service: Running, numbers: range) -> None:
    for number in numbers:
        service.client.get(f"/invented-{number}?a={number}", headers={"X-Request-Id": f"id-{number}"})
        service.client.request(f"METHOD{number}", f"/invented-{number}")
        service.client.post(f"/v1/classify?field{number}=1", content=PICTURE)
        service.client.get("/v1/classify", params={"url": f"ftp://host-{number}.example/"})
        service.form(b"x", data={f"field{number}": "1"})
        service.raw(b"rubbish %d\r\n\r\n" % number)


def _series(service: Running) -> set[tuple[str, tuple[tuple[str, str], ...]]]:
    families = text_string_to_metric_families(service.client.get("/metrics").text)
    return {(one.name, tuple(sorted(one.labels.items()))) for family in families for one in family.samples}


def test_a_line_of_the_log_names_the_request_and_nothing_of_its_query_or_body(service: Running) -> None:
    service.client.post("/v1/classify?top=1", content=b"from-the-body", headers={"X-Request-Id": "it"})
    service.client.get("/livez")  # the line is written by now
    (line,) = [line for line in service.lines if line[2].get("request_id") == "it"]

    assert line[:2] == (log.INFO, "POST /v1/classify")
    assert line[2].keys() == {"status", "ms", "request_id"}
    assert not [one for one in service.lines if "from-the-body" in str(one)]


def test_a_body_with_a_get_is_ignored(service: Running) -> None:
    answer = service.client.request("GET", "/v1/model", content=PICTURE)

    assert answer.status_code == 200
    found = problem(service.client.request("GET", "/v1/classify", content=PICTURE), 400)
    assert "?url=" in found["detail"]
