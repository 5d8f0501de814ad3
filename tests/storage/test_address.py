"""The parts of an object's URL, and names that no object can have."""

from __future__ import annotations

import pytest

from birdlite.storage import Place, is_storage, parse


@pytest.mark.parametrize("name", ["s3://b/k", "S3://b/k", "gs://b", "az://c/k", "s3:///"])
def test_three_schemes_mean_object_storage(name: str) -> None:
    assert is_storage(name)


@pytest.mark.parametrize("name", ["", "s3", "s3:/b/k", "./s3://b/k", "https://b/k", "s3a://b/k", "gcs://b"])
def test_nothing_else_means_object_storage(name: str) -> None:
    assert not is_storage(name)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("s3://birds/a/b.jpg", Place("s3", "birds", "a/b.jpg")),
        ("GS://birds/a/b.jpg", Place("gs", "birds", "a/b.jpg")),
        ("az://con-tainer/x", Place("az", "con-tainer", "x")),
        ("s3://my.bucket_1/a b%20?c#d é", Place("s3", "my.bucket_1", "a b%20?c#d é")),
        ("s3://birds/a\\b.jpg", Place("s3", "birds", "a\\b.jpg")),
        ("s3://birds/folder/", Place("s3", "birds", "folder/")),
        ("s3://birds/", Place("s3", "birds", "")),
        ("s3://birds", Place("s3", "birds", "")),
        ("s3://birds/" + "x" * 1024, Place("s3", "birds", "x" * 1024)),
    ],
)
def test_a_key_is_used_as_it_is_written(url: str, place: Place) -> None:
    assert parse(url) == place


def test_a_folder_ends_with_a_slash_and_a_bucket_is_one() -> None:
    assert [parse(f"s3://b{rest}").is_folder for rest in ("", "/", "/a/", "/a", "/a/b.jpg")] == [
        True,
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("s3://", "no usable bucket in this URL"),
        ("s3:///key", "no usable bucket in this URL"),
        ("s3://user@host/key", "no usable bucket in this URL"),
        ("s3://bu cket/key", "no usable bucket in this URL"),
        ("s3://bücket/key", "no usable bucket in this URL"),
        ("s3://b:9/key", "no usable bucket in this URL"),
        ("s3://..../key", "no usable bucket in this URL"),
        ("s3://b//key", "a key with an empty segment, . or .. is not supported"),
        ("s3://b/a//", "a key with an empty segment, . or .. is not supported"),
        ("s3://b/a/../b", "a key with an empty segment, . or .. is not supported"),
        ("s3://b/./b", "a key with an empty segment, . or .. is not supported"),
        ("s3://b/a\nb", "a key with control characters is not supported"),
        ("s3://b/a\0b", "a key with control characters is not supported"),
        ("s3://b/a\x7fb", "a key with control characters is not supported"),
        ("s3://b/\udc80", "broken characters in this URL"),
        ("s3://b/" + "é" * 513, "longer than 1024 bytes, the limit for keys"),
    ],
)
def test_a_name_that_no_object_can_have_is_refused(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match="^" + reason.replace(".", r"\.") + "$"):
        parse(url)
