"""Lists, pictures and outputs in object storage, on the command line, against a real S3 server."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from birdlite.cli import main
from tests.batch_runs import WITH_DEMO_MODEL
from tests.demo_world import PICTURES, slug, species_of
from tests.object_store import Bucket, Gate

Run = Callable[..., tuple[int, str, str]]
Classify = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command; gives exit code, standard output and standard error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        code = main(list(map(str, arguments)))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def classify(run: Run) -> Classify:
    """Run `classify` on the demo model."""
    return lambda *arguments: run("classify", *WITH_DEMO_MODEL, *arguments)


def fill(bucket: Bucket, prefix: str = "album/", count: int = 6) -> list[str]:
    """Put pictures into the bucket; gives their URLs in the order of their keys."""
    return sorted(
        bucket.put(f"{prefix}{number:03d}-{PICTURES[number % 6].name}", PICTURES[number % 6].read_bytes())
        for number in range(count)
    )


def lines(text: str | bytes) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_folder_of_a_bucket_gets_its_birds_in_the_order_of_the_keys(classify: Classify, bucket: Bucket) -> None:
    urls = fill(bucket)

    code, out, err = classify("--format", "jsonl", bucket.url("album/"))

    assert (code, err) == (0, "")
    assert [record["target"] for record in lines(out)] == urls
    for record in lines(out):
        assert species_of(str(record["target"])).endswith(slug(record["predictions"][0]["common_name"]))  # type: ignore[index]
