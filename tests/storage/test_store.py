"""Objects listed, read and put: in pages, within time limits, with and without credentials."""

from __future__ import annotations

import gzip
import itertools
import threading
from pathlib import Path
from urllib.parse import unquote

import pytest

from birdlite import FetchSettings
from birdlite.errors import PictureError, StorageError
from birdlite.storage.listing import PAGE
from birdlite.storage.store import PIECE, Storage
from tests.object_store import Bucket, Gate


def is_jpg(key: str) -> bool:
    return key.lower().endswith(".jpg")


def test_a_folder_is_listed_a_page_at_a_time(bucket: Bucket, gate: Gate) -> None:
    keys = [f"album/{number:05d}.jpg" for number in range(PAGE + 5)]
    for key in keys:
        bucket.put(key, b"x")
    found = Storage().objects(bucket.url("album/"), is_jpg)

    assert list(itertools.islice(found, 3)) == [bucket.url(key) for key in keys[:3]]
    assert gate.count("GET", "list-type") == 1

    assert list(found) == [bucket.url(key) for key in keys[3:]]
    assert gate.count("GET", "list-type") == 2


def test_a_folder_gives_its_pictures_and_those_below_without_hidden_ones(bucket: Bucket) -> None:
    wanted = ["a/B.JPG", "a/a b.jpg", "a/b/c/d.jpg", "a/é.jpg"]
    for key in [
        *wanted,
        "a.jpg",
        "ab/c.jpg",
        "a/list.txt",
        "a/.hidden.jpg",
        "a/.git/x.jpg",
        "a/b/.x/y.jpg",
        "a/folder/",
        "a/marker.jpg/",
    ]:
        bucket.put(key, b"")

    assert list(Storage().objects(bucket.url("a/"), is_jpg)) == [bucket.url(key) for key in wanted]


@pytest.mark.parametrize("root", ["", "/"])
def test_a_whole_bucket_is_a_folder(bucket: Bucket, root: str) -> None:
    urls = [bucket.put(key, b"") for key in ("a.jpg", "b/c.jpg")]

    assert list(Storage().objects(f"s3://{bucket.name}{root}", is_jpg)) == urls


def test_a_hidden_folder_that_is_named_is_listed(bucket: Bucket) -> None:
    url = bucket.put(".inbox/a.jpg", b"")

    assert list(Storage().objects(bucket.url(".inbox/"), is_jpg)) == [url]


def test_what_is_put_appears_with_all_its_bytes(bucket: Bucket, tmp_path: Path) -> None:
    for size in (0, 1, PIECE, PIECE + 1, 3 * PIECE):
        file = tmp_path / "file"
        file.write_bytes(b"\x00\xff" * (size // 2) + b"x" * (size % 2))

        Storage().put(str(file), bucket.url("there"))

        assert bucket.get("there") == file.read_bytes()


def test_a_missing_file_is_not_an_error_of_the_store(bucket: Bucket, gate: Gate, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Storage().put(str(tmp_path / "gone"), bucket.url("there"))

    assert gate.asked == []


def test_a_small_output_is_one_put(bucket: Bucket, gate: Gate, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * PIECE)

    Storage().put(str(tmp_path / "file"), bucket.url("there"))

    assert [(asked.method, asked.path) for asked in gate.asked] == [("PUT", f"/{bucket.name}/there")]


def test_requests_are_retried_as_often_as_the_settings_say(bucket: Bucket, gate: Gate) -> None:
    gate.rule = lambda asked: 503

    with pytest.raises(PictureError, match="503 Service Unavailable"):
        Storage(FetchSettings(retries=2)).fetch(bucket.url("a.jpg"))

    assert gate.count("GET") == 3


def test_fetching_a_picture_is_cancelled_at_once(bucket: Bucket, gate: Gate) -> None:
    gate.rule = lambda asked: "hold"
    stop = threading.Event()
    threading.Timer(0.05, stop.set).start()

    with pytest.raises(PictureError) as caught:
        Storage().fetch(bucket.url("a.jpg"), (stop,))

    assert caught.value.kind == "cancelled"


def test_a_picture_that_is_too_large_is_not_read(bucket: Bucket) -> None:
    url = bucket.put("a.jpg", b"x" * 101)

    assert len(Storage(FetchSettings(max_bytes=101)).fetch(url)) == 101
    with pytest.raises(PictureError) as caught:
        Storage(FetchSettings(max_bytes=100)).fetch(url)

    assert caught.value.kind == "too_large"


def test_a_key_with_a_backslash_is_a_key_like_any_other(bucket: Bucket) -> None:
    url = bucket.put("a\\b.jpg", b"x")

    assert list(Storage().objects(bucket.url(""), is_jpg)) == [url]
    assert Storage().fetch(url) == b"x"


@pytest.mark.parametrize("encoding", ["gzip", "aws-chunked,gzip"])
def test_an_object_that_is_stored_compressed_is_unpacked(bucket: Bucket, encoding: str) -> None:
    url = bucket.put("a.jpg", gzip.compress(b"abc"), encoding=encoding)

    assert Storage().fetch(url) == b"abc"


@pytest.mark.parametrize(
    ("data", "encoding", "kind"),
    [
        (gzip.compress(bytes(50_000_000)), "gzip", "too_large"),
        (gzip.compress(b"abc")[:-1], "gzip", "decode"),
        (b"abc", "br", "unsupported"),
    ],
    ids=["a bomb", "damaged", "another compression"],
)
def test_an_object_that_cannot_be_unpacked_is_a_failure(bucket: Bucket, data: bytes, encoding: str, kind: str) -> None:
    url = bucket.put("a.jpg", data, encoding=encoding)

    with pytest.raises(PictureError) as caught:
        Storage(FetchSettings(max_bytes=60_000)).fetch(url)

    assert caught.value.kind == kind


@pytest.mark.parametrize("status", [404, 403])
def test_an_output_may_be_new_or_unreadable_for_this_user(bucket: Bucket, gate: Gate, status: int) -> None:
    gate.rule = lambda asked: status

    Storage().probe(bucket.url("new.jsonl"))

    assert [asked.method for asked in gate.asked] == ["GET"]


@pytest.mark.parametrize(
    ("url", "reason"), [("s3://no-such-bucket-here/a", "no such bucket"), ("s3://b/a/", "a folder")]
)
def test_an_impossible_output_is_refused_before_the_run(bucket: Bucket, url: str, reason: str) -> None:
    with pytest.raises(StorageError, match=reason):
        Storage().probe(url)


@pytest.mark.parametrize("endpoint", ["nonsense", "ftp://127.0.0.1"])
def test_an_endpoint_that_is_no_url_is_named(bucket: Bucket, monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)

    with pytest.raises(StorageError, match=f"AWS_ENDPOINT_URL={endpoint}: no URL of a store"):
        Storage().probe(bucket.url("a"))


def test_a_public_bucket_needs_no_credentials(bucket: Bucket, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")

    with pytest.raises(PictureError, match="permission denied"):  # this one is not public
        Storage().fetch(bucket.put("a.jpg", b"x"))

    assert [asked.path for asked in gate.asked] == [f"/{bucket.name}/a.jpg"]


def test_google_is_asked_in_its_own_way(bucket: Bucket, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_BASE_URL", gate.url)
    monkeypatch.setenv("GOOGLE_SKIP_SIGNATURE", "true")
    gate.rule = lambda asked: 404

    with pytest.raises(PictureError, match="no such object"):
        Storage().fetch("gs://birds/a b.jpg")

    assert [unquote(asked.path) for asked in gate.asked] == ["/birds/a b.jpg"]


def test_azure_is_asked_for_a_container_of_the_account(
    bucket: Bucket, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "a2V5")
    monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", gate.url)
    gate.rule = lambda asked: 404

    with pytest.raises(PictureError, match="no such object"):
        Storage().fetch("az://birds/a.jpg")

    assert [asked.path for asked in gate.asked] == ["/birds/a.jpg"]
