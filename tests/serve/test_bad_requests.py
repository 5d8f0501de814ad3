"""What makes no sense is refused in one problem document that names it. The service goes on."""

from __future__ import annotations

import contextlib
import gzip
import json
import select
import sys

import pytest

from tests.demo_world import PICTURES
from tests.origin import Origin
from tests.serve.test_classify import problem
from tests.serving import Running, Serve, read_all

PICTURE = PICTURES[0].read_bytes()


def test_urls_that_fail_are_problems_of_their_kind(service: Running, origin: Origin) -> None:
    cases = {
        origin.url("/nothing.jpg"): (502, "http_status"),
        "http://127.0.0.1:9/a.jpg": (502, "network"),
        "http://no.such.host.invalid/a.jpg": (422, "not_found"),
        origin.serve("/large.jpg", bytes(2 << 20)): (413, "too_large"),
        origin.redirect("/loop.jpg", origin.url("/loop.jpg")): (502, "http_status"),
        "ftp://example.org/a.jpg": (415, "unsupported"),
        "s3://bucket/a.jpg": (415, "unsupported"),
        "file:///etc/hostname": (415, "unsupported"),
        "/etc/hostname": (415, "unsupported"),
        "a.jpg": (415, "unsupported"),
        "http://": (415, "unsupported"),
    }
    answers = {url: service.client.get("/v1/classify", params={"url": url}) for url in cases}
    found = {url: (answer.status_code, answer.json()["kind"]) for url, answer in answers.items()}

    assert found == cases


@pytest.mark.parametrize("url", ["ftp://example.org/a.jpg", "data:image/png;base64,AAAA", "s3://bucket", "a.jpg"])
def test_a_url_that_is_not_of_the_web_is_told_what_the_service_takes(service: Running, url: str) -> None:
    found = problem(service.client.get("/v1/classify", params={"url": url}), 415)

    assert found["detail"] == f"{url}: only http and https URLs are fetched"


def test_a_wrong_field_names_those_that_its_kind_of_request_takes(service: Running) -> None:
    wrong = {"size": "large"}
    files = {"file": PICTURE}
    asked = {
        "url, ": service.client.get("/v1/classify", params={"url": "http://a.example/", **wrong}),
        "urls, ": service.client.post("/v1/classify", json={"urls": ["http://a.example/"], **wrong}),
        "": service.client.post("/v1/classify", files=files, data=wrong),
    }
    found = {also: problem(answer, 400)["detail"] for also, answer in asked.items()}
    by_query = service.client.post("/v1/classify", content=PICTURE, params=wrong)

    assert found == {also: f"no field size; known are {also}top, min_score, resize" for also in asked}
    assert problem(by_query, 400)["detail"] == found[""]


def test_an_empty_body_is_refused(service: Running) -> None:
    assert "empty" in problem(service.post(b""), 400)["detail"]
    assert "URL" in problem(service.client.post("/v1/classify", json={"urls": []}), 400)["detail"]


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "multipart/mixed; boundary=x", "image", "?"])
def test_another_content_type_is_refused_and_those_that_are_taken_are_named(
    service: Running, content_type: str
) -> None:
    found = problem(service.post(PICTURE, content_type), 415)

    assert "application/octet-stream" in found["detail"]
    assert content_type.partition(";")[0] in found["detail"]


def test_an_empty_content_type_is_called_so(service: Running) -> None:
    assert problem(service.post(PICTURE, ""), 415)["detail"].startswith("content type (blank): send image/*, ")


BAD_JSON = {
    "nothing": (b"", "not JSON"),
    "half": (b'{"urls": ["http://', "not JSON"),
    "a list": (b'["http://a.example/"]', "must be an object"),
    "no urls": (b'{"top": 3}', "urls must be a list"),
    "url for urls": (b'{"url": "http://a.example/"}', "no field url; known are urls, top"),
    "one url": (b'{"urls": "http://a.example/"}', "urls must be a list"),
    "a number among them": (b'{"urls": ["http://a.example/", 7]}', "urls must be a list"),
    "an unknown field": (b'{"urls": ["http://a.example/"], "topp": 3}', "no field topp; known are urls, top"),
    "a field twice": (b'{"urls": ["http://a.example/"], "top": 3, "top": 4}', "top is given twice"),
    "top as text": (b'{"urls": ["http://a.example/"], "top": "many"}', "top must be a whole number from 1 to 1000"),
    "top as text with another digit": (
        rb'{"urls": ["http://a.example/"], "top": "\u0661"}',
        "top must be a whole number",
    ),
    "top too large": (b'{"urls": ["http://a.example/"], "top": 1001}', "top must be a whole number"),
    "top of half": (b'{"urls": ["http://a.example/"], "top": 1.5}', "top must be a whole number"),
    "top is true": (b'{"urls": ["http://a.example/"], "top": true}', "top must be a whole number"),
    "no number": (b'{"urls": ["http://a.example/"], "min_score": NaN}', "min_score must be a number from 0 to 1"),
    "another resize": (b'{"urls": ["http://a.example/"], "resize": "bicubic"}', "resize must be one of crop"),
    "a resize that is a list": (b'{"urls": ["http://a.example/"], "resize": []}', "resize must be one of crop"),
    "not UTF-8": (b'{"urls": ["http://a.example/\xe9"]}', "not UTF-8"),
    "UTF-16": ('{"urls": []}'.encode("utf-16"), "not UTF-8"),
    "too deep": (b"[" * 100_000, "the body is nested too deeply"),
    "too deep in a list": (b'{"urls": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "the body is nested too deeply"),
    "too deep in objects": (b'{"urls":' * 100_000 + b"1" + b"}" * 100_000, "the body is nested too deeply"),
    "a huge number": (
        b'{"urls": ["http://a.example/"], "top": ' + b"9" * 10_000 + b"}",
        "the body has a number of too many digits",
    ),
    "a large number": (b'{"urls": ["http://a.example/"], "top": ' + b"9" * 4000 + b"}", "top must be a whole number"),
    "infinity": (b'{"urls": ["http://a.example/"], "min_score": 1e999}', "min_score must be a number from 0 to 1"),
    "less than nothing": (b'{"urls": ["http://a.example/"], "min_score": -1e-9}', "min_score must be a number"),
    "null": (b'{"urls": ["http://a.example/"], "top": null}', "top must be a whole number"),
    "a whole number with a point": (b'{"urls": ["http://a.example/"], "top": 3.0}', "top must be a whole number"),
    "urls twice": (b'{"urls": ["http://a.example/"], "urls": ["http://b.example/"]}', "urls is given twice"),
    "an object among the urls": (b'{"urls": [{"url": "http://a.example/"}]}', "urls must be a list"),
    "null among the urls": (b'{"urls": [null]}', "urls must be a list"),
    "300,000 numbers": (b'{"urls": [' + b"1," * 300_000 + b"1]}", "urls must be a list"),
    "50,000 fields": (b"{%b}" % b",".join(b'"%d":1' % n for n in range(50_000)), "no field 0; known are urls"),
    "two byte order marks": (b"\xef\xbb\xbf" * 2 + b"{}", "the body is not JSON: Expecting value: line 1 column 1"),
    "two documents": (b'{"urls": ["http://a.example/"]}{}', "not JSON"),
    "NUL behind it": (b'{"urls": ["http://a.example/"]}\0', "not JSON"),
    "a line in a text": (b'{"urls": ["http://a.example/\n"]}', "not JSON"),
    "a comment": (b'{"urls": ["http://a.example/"]} // mine', "not JSON"),
    "a field without a name": (b'{"urls": ["http://a.example/"], "": 1}', "no field (blank); known are urls"),
    "a field of unseen characters": (
        rb'{"urls": ["http://a.example/"], "\u202e\ud800\n": 1}',
        r"no field \u202e\ud800\x0a;",
    ),
    "a field of 900,000 characters": (
        b'{"urls": ["x"], "%b": 1}' % (b"http://a:b@c/?u=" * 55_000),
        "no field (880000 characters); known are",
    ),
}


@pytest.mark.parametrize("name", BAD_JSON)
def test_json_that_makes_no_sense_is_refused_and_says_what_is_wrong(service: Running, name: str) -> None:
    body, words = BAD_JSON[name]

    assert words in problem(service.post(body, "application/json; charset=utf-8"), 400)["detail"]


def test_json_may_begin_with_a_byte_order_mark(service: Running, origin: Origin) -> None:
    body = json.dumps({"urls": [origin.serve("/a.jpg", PICTURE)]}).encode("utf-8-sig")

    assert service.post(body, "application/json").json()["summary"]["ok"] == 1


def test_the_detail_is_one_line_whatever_the_url_holds(service: Running) -> None:
    answer = service.client.get("/v1/classify", params={"url": "http://a\n.example\u202e/"})

    assert problem(answer, 415)["detail"] == r"http://a\x0a.example\u202e/: no usable host in this URL"


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", "?url="),
        ("url=http://a.example/&url=http://b.example/", "url is given twice; several pictures go into a POST"),
        ("url=http://a.example/&size=large", "no field size"),
        ("url=http://a.example/&=1", "no field (blank); known are url"),
        ("url=http://a.example/&top=x", "top must be a whole number"),
        ("url=http://a.example/&top=1&top=2", "top is given twice"),
        ("url=http://a.example/&resize=", "resize must be one of"),
        ("url=http://a.example/&top=0", "top must be a whole number from 1 to 1000"),
        ("url=http://a.example/&top=1e3", "top must be a whole number"),
        ("url=http://a.example/&top=", "top must be a whole number"),
        ("url=http://a.example/&top=" + "9" * 5000, "top must be a whole number"),
        ("url=http://a.example/&top=1_0", "top must be a whole number"),
        ("url=http://a.example/&top=\N{FULLWIDTH DIGIT ONE}", "top must be a whole number"),
        ("url=http://a.example/&top=%2B1", "top must be a whole number"),
        ("url=http://a.example/&min_score=0.8_0", "min_score must be a number from 0 to 1"),
        ("url=http://a.example/&min_score=\N{FULLWIDTH DIGIT ONE}", "min_score must be a number from 0 to 1"),
        ("url=http://a.example/&min_score=nan", "min_score must be a number from 0 to 1"),
        ("url=http://a.example/&min_score=-inf", "min_score must be a number"),
        ("url=http://a.example/&min_score=1.01", "min_score must be a number"),
        ("URL=http://a.example/", "no field URL; known are url, top"),
        ("url=http://a.example/&%75rl=http://b.example/", "url is given twice"),
        ("url=http://a.example/;top=1&&&top=x", "top must be a whole number"),
        ("url=http://a.example/" + "&a=b" * 5000, "no field a;"),
    ],
)
def test_a_query_that_makes_no_sense_is_refused_and_says_what_is_wrong(
    service: Running, query: str, words: str
) -> None:
    assert words in problem(service.client.get(f"/v1/classify?{query}"), 400)["detail"]


@pytest.mark.parametrize(
    ("path", "headers", "status", "words"),
    [
        ("/" + "sig=a://" * 500, {}, 404, "no such path: (4001 characters)"),
        ("/v1/classify", {"Content-Type": "sig=a://" * 500}, 415, "content type (4000 characters): send image/*"),
        ("/v1/classify", {"Content-Encoding": "sig=a://" * 500}, 415, "content encoding (4000 characters): send"),
        ("/v1/classify?" + "a" * 300 + "=1", {}, 400, "no field (300 characters); known are"),
    ],
)
def test_of_what_is_long_only_its_length_comes_back(
    service: Running, path: str, headers: dict[str, str], status: int, words: str
) -> None:
    """To look for secrets in it would take the time of all others."""
    answer = service.client.post(path, headers=headers, content=PICTURE)

    assert words in problem(answer, status)["detail"]
    assert all(len(message) < 300 for _, message, _ in service.lines)


def test_a_sampling_that_this_service_cannot_do_is_refused_and_nothing_else(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)  # as in the container's image

    answer = service.client.post("/v1/classify?resize=exact", content=PICTURE)

    assert problem(answer, 400)["detail"] == (
        "resize exact needs NumPy, which this service does not have; crop and squash do not"
    )
    assert service.client.get("/readyz").status_code == 200


def test_a_text_that_cannot_be_encoded_comes_back_as_json(service: Running) -> None:
    answer = service.post(rb'{"urls": ["http://a.example/\ud800", "\ud800"]}', "application/json")

    assert answer.status_code == 200
    assert [record["status"] for record in answer.json()["results"]] == ["error", "error"]


def test_a_url_that_is_too_long_is_a_value_and_does_not_come_back(service: Running) -> None:
    longest = "http://127.0.0.1:9/" + "a" * 8173
    records = service.urls(longest, longest + "a", "http://a:b@c/?u=" * 50_000).json()["results"]

    assert [(record["target"], record["error"]["kind"]) for record in records[1:]] == [
        ("URL 1", "unsupported"), ("URL 2", "unsupported"),
    ]  # fmt: skip
    assert (records[0]["target"], records[0]["error"]["kind"]) == (longest, "network")
    assert records[1]["error"]["message"] == "URL 1: more than 8192 characters"


@pytest.mark.parametrize("sign", ["/", "&", "%3D", "%2540"])
def test_a_url_of_too_many_parts_is_a_value_and_does_not_come_back(service: Running, sign: str) -> None:
    most = "http://127.0.0.1:9/" + f"{sign}a" * 251  # there are five in what it begins with
    records = service.urls(most, most + sign).json()["results"]

    assert [record["target"] for record in records] == [most, "URL 1"]
    assert records[1]["error"]["message"] == "URL 1: more than 256 of the signs / \\ ? # & ; = : @"


def test_json_that_is_long_is_read_as_any_other(service: Running, origin: Origin) -> None:
    good = origin.serve("/a.jpg", PICTURE)
    answer = service.urls(*[f"{good}?{'a' * 1000}"] * 32)

    assert answer.json()["summary"]["ok"] == 32


def test_what_json_repeats_of_the_query_is_refused(service: Running) -> None:
    answer = service.client.post("/v1/classify?top=2", json={"urls": ["http://a.example/"], "top": 2})

    assert problem(answer, 400)["detail"] == "top is given twice"


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "deflate, gzip", "x", "GZIP"])
@pytest.mark.parametrize("content_type", ["image/jpeg", "application/json", "multipart/form-data; boundary=x"])
def test_a_body_that_is_packed_is_refused_and_says_why(service: Running, coding: str, content_type: str) -> None:
    found = problem(service.post(gzip.compress(PICTURE), content_type, {"Content-Encoding": coding}), 415)

    assert (found["kind"], found["detail"]) == (
        "unsupported", f"content encoding {coding.lower()}: send the body as it is",
    )  # fmt: skip


def test_a_body_that_says_that_it_is_not_packed_is_taken(service: Running) -> None:
    assert service.post(PICTURE, headers={"Content-Encoding": "identity"}).status_code == 200


def test_more_urls_than_allowed_are_refused(serve: Serve) -> None:
    answer = serve(max_batch=3).urls(*["http://a.example/"] * 4)

    found = problem(answer, 413)
    assert (found["kind"], found["detail"]) == ("too_large", "4 URLs; at most 3 in a request")


def test_a_service_without_urls_says_so(serve: Serve) -> None:
    service = serve(urls=False)

    for answer in (
        service.client.get("/v1/classify", params={"url": "http://a.example/"}),
        service.urls("http://a.example/"),
    ):
        assert problem(answer, 403)["kind"] == "blocked"
    assert service.post(PICTURE).status_code == 200


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(serve: Serve) -> None:
    service = serve(max_body=100_000)

    answer = service.raw(
        b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: 100001\r\n"
        b"Expect: 100-continue\r\n\r\n"
    )
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"100-continue" not in answer
    assert b"at most 100000 are taken" in answer


def test_a_client_that_sends_too_much_anyway_gets_its_answer_and_may_go_on(serve: Serve) -> None:
    service = serve(max_body=100_000)
    small = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    head = b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: 3000000\r\n\r\n"

    answer = service.raw(head, bytes(3_000_000), small)

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert answer.endswith(b"alive\n")


def test_a_body_in_chunks_is_bounded_too(serve: Serve) -> None:
    service = serve(max_body=100_000)
    answer = service.client.post("/v1/classify", content=iter([bytes(60_000), bytes(60_000)]))

    assert "more than the 100000 bytes" in problem(answer, 413)["detail"]


def test_a_body_in_chunks_that_has_no_end_is_refused_when_it_is_too_large(serve: Serve) -> None:
    service = serve(max_body=100_000)
    with service.connect() as client, contextlib.suppress(OSError):
        client.sendall(b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        answer = b""
        while not answer:
            client.sendall(b"2710\r\n" + bytes(10_000) + b"\r\n")
            answer = client.recv(65536) if select.select([client], [], [], 0)[0] else b""

    assert answer.startswith(b"HTTP/1.1 413 ")
    service.client.get("/livez")
    assert service.service.bodies.held == 0


def test_a_client_that_asks_first_is_told_to_send(service: Running) -> None:
    head = b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\n"
    with service.connect() as client:
        client.sendall(head + b"Content-Length: %d\r\n\r\n" % len(PICTURE))
        assert client.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(PICTURE)
        assert read_all(client).startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_body_in_chunks_is_classified(service: Running) -> None:
    answer = service.client.post("/v1/classify", content=iter([PICTURE[:100], PICTURE[100:]]))

    assert answer.json()["results"][0]["image"]["bytes"] == len(PICTURE)


def test_json_is_bounded_more_tightly_than_pictures(service: Running) -> None:
    body = json.dumps({"urls": ["http://a.example/" + "a" * (1 << 20)]}).encode()

    assert problem(service.post(body, "application/json"), 413)["kind"] == "too_large"
