"""Secrets of URLs and of headers are in no answer, problem document, log or metric, whatever is asked for and how."""

from __future__ import annotations

import json

import pytest

from tests.demo_world import PICTURES
from tests.origin import Origin
from tests.planted import WORD, found_in
from tests.serving import Running

PICTURE = PICTURES[0].read_bytes()
SECRET = "hunter2"
LINES = {"Accept": "application/x-ndjson"}

URLS = {  # {at} is a host and port, with a picture at /a.jpg
    "a password": f"http://ann:{SECRET}@{{at}}/a.jpg",
    "a user that is a token": f"http://{SECRET}@{{at}}/a.jpg",
    "a signature": f"http://{{at}}/a.jpg?X-Amz-Signature={SECRET}&X-Amz-Credential={SECRET}",
    "a token": f"http://{{at}}/a.jpg?size=large&access_token={SECRET}",
    "a fragment": f"http://{{at}}/a.jpg#access_token={SECRET}",
    "a URL in a URL": f"http://{{at}}/a.jpg?next=http%3A%2F%2Fann%3A{SECRET}%40b.example%2F",
    "no such picture": f"http://ann:{SECRET}@{{at}}/nothing.jpg?token={SECRET}",
    "a closed port": f"http://ann:{SECRET}@127.0.0.1:9/a.jpg?token={SECRET}",
    "no such host": f"http://ann:{SECRET}@no.such.host.invalid/a.jpg?token={SECRET}",
    "no such port": f"http://ann:{SECRET}@127.0.0.1:99999/a.jpg",
    "a password that should be escaped": f"http://ann:{SECRET}/x@{{at}}/a.jpg",
    "no scheme": f"ann:{SECRET}@{{at}}/a.jpg",
    "no scheme, and a signature": f"b.example/a.jpg?X-Amz-Signature={SECRET}",
    "another scheme": f"ftp://ann:{SECRET}@b.example/a.jpg",
    "a bucket": f"s3://ann:{SECRET}@bucket/a.jpg?X-Amz-Signature={SECRET}",
    "redirected there": "http://{at}/there.jpg",
    "redirected to nothing": "http://{at}/nowhere.jpg",
}
FETCHED = {
    "a password",
    "a user that is a token",
    "a signature",
    "a token",
    "a fragment",
    "a URL in a URL",
    "redirected there",
}

NOT_FETCHED = [  # none of them is asked for
    f"//ann:{WORD}@example.org/a.jpg",
    f"ann:{WORD}@example.org/a.jpg",
    f"www.example.org/a.jpg?token={WORD}",
    f"s3://KEY:{WORD}@bucket/a.jpg",
    f"az://container/a.jpg?sv=1&se=1&sig={WORD}",
    f"ftp://ann:{WORD}@example.org/a.jpg",
    f"https://ann:{WORD}@exa mple.org/a.jpg",
    f"http://ann:{WORD}@[::g]/a.jpg?tokens={WORD}",
]


@pytest.fixture
def there(origin: Origin) -> str:
    """The host and port of a server."""
    at = f"127.0.0.1:{origin.port}"
    origin.serve("/a.jpg", PICTURE)
    origin.redirect("/there.jpg", f"http://ann:{SECRET}@{at}/a.jpg?token={SECRET}")
    origin.redirect("/nowhere.jpg", f"http://ann:{SECRET}@127.0.0.1:9/a.jpg?token={SECRET}")
    return at


@pytest.mark.parametrize("name", URLS)
def test_no_secret_of_a_url_comes_out(service: Running, there: str, name: str) -> None:
    """Not in the operator's most detailed log either."""
    url = URLS[name].format(at=there)
    answers = [
        service.client.get("/v1/classify", params={"url": url}),
        service.client.get("/v1/classify", params={"url": url, "size": "x"}),
        service.client.head("/v1/classify", params={"url": url}),
        service.urls(url, url),
        service.urls(url, headers=LINES),
        service.urls(url, top=0),
        service.client.post("/v1/classify", params={"url": url}, content=PICTURE),
        service.client.post("/v1/classify", json={url: 1}),
        service.client.get("/metrics"),
    ]
    said = [answer.text + str(answer.headers) for answer in answers]

    assert not [text for text in said if SECRET in text]
    assert SECRET not in json.dumps([(message, fields) for _, message, fields in service.lines], default=str)
    assert {record["status"] for record in answers[3].json()["results"]} == {"ok" if name in FETCHED else "error"}


@pytest.mark.parametrize(
    "ask",
    [
        f"GET /v1/classify?url=http://ann:{SECRET}@h/ x HTTP/1.1\r\nHost: x\r\n\r\n",
        f"GET /v1/classify?url=http%3A%2F%2Fann%3A{SECRET}%40h%2F&x y HTTP/1.1\r\nHost: x\r\n\r\n",
        f"GET /v1/classify?token={SECRET} HTTP/3\r\nHost: x\r\n\r\n",
        f"GET /livez HTTP/1.1\r\nHost: x\r\nAuthorization : Basic {SECRET}\r\n\r\n",
        f"GET /livez HTTP/1.1\r\nHost: x\r\nCookie\x01: {SECRET}\r\n\r\n",
        f"GET /livez HTTP/1.1\r\nHost: x\r\n{SECRET}\r\n\r\n",
        f"{SECRET}\r\n\r\n",
        f"GET http://ann:{SECRET}@x/livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        f"GET /http://ann:{SECRET}@x/livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        f"GET /v1/classify%3Furl=http://ann:{SECRET}@h/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        f"GET /v1/%3Ftoken={SECRET} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        f"POST /v1/classify?x=http://ann:{SECRET}@h/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        f"POST /v1/classify HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz;token={SECRET}\r\n",
    ],
)
def test_no_secret_of_a_request_that_makes_no_sense_comes_out(service: Running, ask: str) -> None:
    answer = service.raw(ask.encode())

    assert answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 505"))
    assert SECRET.encode() not in answer
    assert SECRET not in service.client.get("/metrics").text
    assert SECRET not in json.dumps([(message, fields) for _, message, fields in service.lines], default=str)


def test_no_secret_of_a_header_is_logged(service: Running) -> None:
    headers = {"Authorization": f"Bearer {SECRET}", "Cookie": f"a={SECRET}", "Referer": f"http://h/?token={SECRET}"}
    for answer in (service.post(PICTURE, headers=headers), service.post(b"no", headers=headers)):
        assert SECRET not in answer.text + str(answer.headers)

    service.client.get("/livez")  # the lines are written by now
    assert SECRET not in json.dumps([(message, fields) for _, message, fields in service.lines], default=str)


def test_urls_that_are_not_fetched_show_no_secret(service: Running) -> None:
    together = service.urls(*NOT_FETCHED)
    alone = [service.client.get("/v1/classify", params={"url": url}) for url in NOT_FETCHED]

    assert len(together.json()["results"]) == len(NOT_FETCHED)
    assert all(answer.status_code >= 400 for answer in alone)
    assert found_in(together.text + "".join(answer.text for answer in alone)) == []
    assert found_in(str(service.lines)) == []
