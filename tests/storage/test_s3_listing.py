"""Folders in S3 with keys that the client refuses: the other keys are listed, and the odd ones are named."""

from __future__ import annotations

import hashlib
import hmac
import threading
from urllib.parse import parse_qsl, quote, urlsplit

import obstore
import pytest

from birdlite.batch.files import outputs_at
from birdlite.errors import PictureError, StorageError
from birdlite.settings import DEFAULTS
from birdlite.storage import Place
from birdlite.storage.bucket import Bucket as Client
from birdlite.storage.listing import PAGE
from birdlite.storage.s3_listing import parse_page, read_url
from birdlite.storage.store import Storage
from tests.object_store import CREDENTIALS, Asked, Bucket, Gate
from tests.origin import Origin


def is_jpg(key: str) -> bool:
    return key.lower().endswith(".jpg")


ODD = ["a//x.jpg", "a/b//c/x.jpg", "a/../x.jpg", "a/./x.jpg", "a/b/..//x.jpg", "a/\x01.jpg", "a/d\x7f.jpg"]
SIGNATURE = "X-Amz-Signature"


@pytest.mark.parametrize("odd", ODD)
def test_one_odd_key_does_not_hide_the_others(bucket: Bucket, odd: str) -> None:
    keys = ["a/0.jpg", "a/b/é +&.jpg", "a/~.jpg"]
    for key in [*keys, odd]:
        bucket.put(key, b"x")

    found = list(Storage().objects(bucket.url("a/"), is_jpg))

    assert sorted(found) == sorted(bucket.url(key) for key in [*keys, odd])
    with pytest.raises(PictureError, match="is not supported") as caught:
        Storage().fetch(bucket.url(odd))
    assert caught.value.kind == "unsupported"


def test_odd_keys_that_are_no_pictures_are_left_out(bucket: Bucket) -> None:
    for key in ("a//", "a/..", "a/\x01.txt", "a/.hidden//x.jpg", "a/b/.jpg//.x.jpg", "a/m.jpg/", "a/ok.jpg"):
        bucket.put(key, b"" if key.endswith("/") else b"x")

    assert list(Storage().objects(bucket.url("a/"), is_jpg)) == [bucket.url("a/ok.jpg")]


def test_an_odd_key_on_any_page_repeats_and_loses_nothing(bucket: Bucket, gate: Gate) -> None:
    keys = [*(f"a/{number:04d}.jpg" for number in range(PAGE + 1)), "a/~//last.jpg"]
    for key in keys:
        bucket.put(key, b"x")

    assert list(Storage().objects(bucket.url("a/"), is_jpg)) == [bucket.url(key) for key in keys]
    assert gate.count("GET", "start-after=a%2F0999.jpg") == 1  # the second page was refused

    bucket.put("a//first.jpg", b"x")

    assert list(Storage().objects(bucket.url("a/"), is_jpg)) == [bucket.url(key) for key in ["a//first.jpg", *keys]]
    assert gate.count("GET", "encoding-type=url") == 3


@pytest.mark.parametrize("place", ["run/", "run/part-*.jsonl"])
def test_outputs_beside_odd_keys_are_found_and_the_odd_ones_named(
    bucket: Bucket, caplog: pytest.LogCaptureFixture, place: str
) -> None:
    url = bucket.put("run/part-0.jsonl", b"x")
    for key in ("run//part-1.jsonl", "run/../part-2.jsonl", "run/part-\x01.jsonl", "run/part.jsonl/"):
        bucket.put(key, b"x")

    assert outputs_at(bucket.url(place)) == [url]
    (said,) = caplog.messages
    assert said.endswith(f"1 left out, as their keys are not supported: {bucket.url('run/part- .jsonl')}")


def test_a_redirect_to_another_server_is_not_followed(origin: Origin, secure_origin: Origin) -> None:
    origin.serve("/there", b"listing")
    origin.redirect("/here", "/there")
    for number, other in enumerate((f"http://localhost:{origin.port}/there", secure_origin.url("/there"), "ftp://h/a")):
        origin.redirect(f"/away-{number}", other)

    assert read_url(origin.url("/here"), DEFAULTS) == (200, b"listing")
    asked = len(origin.requests)
    assert [read_url(origin.url(f"/away-{number}"), DEFAULTS)[0] for number in range(3)] == [302] * 3
    assert len(origin.requests) == asked + 3
    assert secure_origin.requests == []


def test_a_refusal_is_told_as_usual(bucket: Bucket, gate: Gate) -> None:
    bucket.put("a//x.jpg", b"x")
    gate.rule = lambda asked: 403 if is_ours(asked) else None

    with pytest.raises(StorageError, match="permission denied") as caught:
        list(Storage().objects(bucket.url("a/"), is_jpg))

    assert caught.value.kind == "blocked"


def test_a_busy_store_is_asked_again(bucket: Bucket, gate: Gate) -> None:
    url = bucket.put("a//x.jpg", b"x")
    gate.rule = lambda asked: ("reset", 503, None)[gate.count("GET", "encoding-type") - 1] if is_ours(asked) else None

    assert list(Storage(DEFAULTS._replace(backoff=0.0)).objects(bucket.url("a/"), is_jpg)) == [url]
    assert gate.count("GET", "encoding-type") == 3


def is_ours(asked: Asked) -> bool:
    return "encoding-type" in asked.path


def test_a_public_bucket_is_asked_without_a_signature(
    bucket: Bucket, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = bucket.put("a//x.jpg", b"x")
    for name in CREDENTIALS:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")

    assert list(Storage().objects(bucket.url("a/"), is_jpg)) == [url]
    assert gate.asked[-1].path == f"/{bucket.name}?list-type=2&encoding-type=url&prefix=a%2F"


@pytest.mark.parametrize("token", [None, "se/cr+et=="])
def test_the_question_is_signed_as_s3_checks_it(
    bucket: Bucket, gate: Gate, monkeypatch: pytest.MonkeyPatch, token: str | None
) -> None:
    if token is not None:
        monkeypatch.setenv("AWS_SESSION_TOKEN", token)

    Client(Place("s3", bucket.name, ""), DEFAULTS, threading.Event(), writing=False).page(
        {"prefix": "a b/é+", "start-after": "a//~"}
    )

    (asked,) = gate.asked
    assert signature_of(asked, gate) == dict(parse_qsl(asked.path))[SIGNATURE]


def signature_of(asked: Asked, gate: Gate) -> str:
    """Sign a question by the rules of https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html."""
    url = urlsplit(asked.path)
    query = [pair for pair in parse_qsl(url.query, keep_blank_values=True) if pair[0] != SIGNATURE]
    fields = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted(query))
    said = dict(query)
    scope = said["X-Amz-Credential"].partition("/")[2]
    host = gate.url.removeprefix("http://")
    question = f"GET\n{url.path}\n{fields}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD"
    text = f"AWS4-HMAC-SHA256\n{said['X-Amz-Date']}\n{scope}\n{hashlib.sha256(question.encode()).hexdigest()}"
    key = b"AWS4" + CREDENTIALS["AWS_SECRET_ACCESS_KEY"].encode()
    for part in [*scope.split("/"), text]:
        key = hmac.digest(key, part.encode(), "sha256")
    return key.hex()


def test_keys_are_read_as_they_are_written() -> None:
    page = b"<L xmlns='http://s3'>%b<Contents><Key>a%%2Bb+c%%01</Key></Contents><IsTruncated>true</IsTruncated>%b</L>"

    assert parse_page(page % (b"<EncodingType>url</EncodingType>", b"")) == (["a+b c\x01"], None)
    assert parse_page(page % (b"", b"<NextContinuationToken>t</NextContinuationToken>")) == (["a%2Bb+c%01"], "t")


@pytest.mark.parametrize("key", ["a//x.jpg", "a/../x.jpg"])
def test_what_obstore_refuses_is_named(bucket: Bucket, key: str) -> None:
    bucket.put(key, b"x")

    with pytest.raises(StorageError, match=rf'a key that obstore refuses: .*"{key}".*; rename that object$') as caught:
        Client(Place("s3", bucket.name, ""), DEFAULTS, threading.Event(), writing=False).ask(
            lambda store: list(obstore.list(store))
        )

    assert (caught.value.kind, caught.value.cause) == ("unsupported", "odd_key")
