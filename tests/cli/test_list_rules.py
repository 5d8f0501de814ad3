"""Lists from strangers on the command line: --only-urls, --allow-files and --allow-bucket."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from birdlite.models.catalog import DEMO_MODEL
from tests.command_line import Run
from tests.demo_world import PICTURES
from tests.object_store import Bucket, Gate
from tests.origin import Origin


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warm_cache: Path) -> Path:
    """The current folder, with a picture in `album` and one in `private`, and the demo model in a warm cache."""
    here = tmp_path / "here"
    for name in ("album/a.jpg", "private/b.jpg"):
        (here / name).parent.mkdir(parents=True)
        shutil.copy(PICTURES[0], here / name)
    monkeypatch.setenv("BIRDLITE_MODEL", DEMO_MODEL)
    monkeypatch.setenv("BIRDLITE_CACHE_DIR", str(warm_cache))
    monkeypatch.setenv("BIRDLITE_FORMAT", "jsonl")
    monkeypatch.chdir(here)
    return here


def kinds(out: str) -> dict[str, str]:
    """What became of each target: `ok`, or the kind of its failure."""
    records: list[dict[str, Any]] = [json.loads(line) for line in out.splitlines()]
    return {one["target"]: one["error"]["kind"] if "error" in one else one["status"] for one in records}


def test_the_list_is_held_and_the_command_line_is_not(here: Path, origin: Origin, run: Run) -> None:
    url = origin.serve("/a.jpg", PICTURES[0].read_bytes())
    (here / "list.txt").write_text(f"{url}\nalbum/a.jpg\nprivate\n")

    code, out, _ = run("classify", "--only-urls", "private/b.jpg", "--from", "list.txt")

    assert (code, kinds(out)) == (
        1,
        {"private/b.jpg": "ok", url: "ok", "album/a.jpg": "blocked", "private": "blocked"},
    )
    assert "--allow-files DIR opens a folder" in out


@pytest.mark.parametrize(
    ("variable", "value"),
    [("BIRDLITE_ONLY_URLS", "1"), ("BIRDLITE_ALLOW_FILES", "album"), ("BIRDLITE_ALLOW_BUCKET", "s3://birds")],
)
def test_each_option_holds_the_lists_and_has_its_variable(
    here: Path, run: Run, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    (here / "list.txt").write_text("album\nprivate/b.jpg\n")
    assert kinds(run("classify", "--from", "list.txt")[1]) == {"album/a.jpg": "ok", "private/b.jpg": "ok"}
    monkeypatch.setenv(variable, value)

    _, out, _ = run("classify", "--from", "list.txt")

    opened = {"album/a.jpg": "ok"} if value == "album" else {"album": "blocked"}
    assert kinds(out) == {**opened, "private/b.jpg": "blocked"}


def test_the_guard_holds_the_lists_too(here: Path, run: Run) -> None:
    (here / "list.txt").write_text("album/a.jpg\nprivate/b.jpg\n")

    _, out, _ = run("classify", "--public-only", "--from", "list.txt")
    assert kinds(out) == {"album/a.jpg": "blocked", "private/b.jpg": "blocked"}

    _, out, _ = run("classify", "--public-only", "--allow-files", "album", "--from", "list.txt")
    assert kinds(out) == {"album/a.jpg": "ok", "private/b.jpg": "blocked"}


def test_the_digest_of_a_list_is_the_one_of_the_run(here: Path, run: Run) -> None:
    (here / "list.txt").write_text("album\nprivate\n")
    given = ["--allow-files", "album", "--from", "list.txt"]

    code, _, _ = run("classify", *given, "-o", "{run}.jsonl", "--resume")

    (output,) = here.glob("*.jsonl")
    records = output.read_text().splitlines()
    assert code == 1
    assert f'"list_sha256": "{output.stem}' in records[0]
    assert kinds("\n".join(records[1:])) == {"album/a.jpg": "ok", "private": "blocked"}


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (["--allow-files", "nowhere"], "--allow-files nowhere: no such folder"),
        (
            ["--allow-bucket", "birds"],
            "--allow-bucket birds: no bucket; write s3://BUCKET, gs://BUCKET or az://CONTAINER",
        ),
    ],
)
def test_what_cannot_be_opened_to_lists_is_wrong_usage(here: Path, run: Run, option: list[str], said: str) -> None:
    (here / "list.txt").write_text("album\n")

    assert run("classify", *option, "--from", "list.txt") == (2, "", f"birdlite: error: {said}\n")


class TestBuckets:
    def test_no_bucket_is_asked_for_a_list_that_may_name_only_urls(
        self, here: Path, run: Run, bucket: Bucket, gate: Gate
    ) -> None:
        lines = [bucket.put("a.jpg", PICTURES[0].read_bytes()), bucket.url(""), "gs://birds/a.jpg", "az://birds/"]
        (here / "list.txt").write_text("\n".join(lines))

        _, out, _ = run("classify", "--only-urls", "--from", "list.txt")

        assert kinds(out) == dict.fromkeys(lines, "blocked")
        assert gate.asked == []

    def test_the_list_itself_may_be_an_object(self, here: Path, run: Run, bucket: Bucket) -> None:
        url = bucket.put("list.txt", b"private/b.jpg\n")

        _, out, _ = run("classify", "--only-urls", "--from", url)

        assert kinds(out) == {"private/b.jpg": "blocked"}

    def test_objects_and_folders_of_an_open_prefix_are_read(
        self, here: Path, run: Run, bucket: Bucket, gate: Gate
    ) -> None:
        for key in ("may/a.jpg", "may/x/b.jpg", "mayfly/c.jpg", "d.jpg"):
            bucket.put(key, PICTURES[0].read_bytes())
        lines = ["may/x/", "may/a.jpg", "mayfly/c.jpg", "mayfly/", "", "d.jpg"]
        (here / "list.txt").write_text("\n".join(map(bucket.url, lines)))

        _, out, _ = run("classify", "--allow-bucket", bucket.url("may"), "--from", "list.txt")

        assert kinds(out) == {
            bucket.url("may/x/b.jpg"): "ok",
            bucket.url("may/a.jpg"): "ok",
            **{bucket.url(key): "blocked" for key in ("mayfly/c.jpg", "mayfly/", "", "d.jpg")},
        }
        assert {asked.path.partition("?")[0].rpartition("/")[2] for asked in gate.asked} <= {
            "a.jpg",
            "b.jpg",
            bucket.name,
        }

    def test_no_key_of_a_listing_leads_out_of_an_open_prefix(
        self, here: Path, run: Run, bucket: Bucket, gate: Gate
    ) -> None:
        odd = ["may/../secret.jpg", "may//../../secret.jpg", "may/\x01.jpg"]
        for key in ("secret.jpg", "may/a.jpg", *odd):
            bucket.put(key, PICTURES[0].read_bytes())
        (here / "list.txt").write_text(bucket.url("may/"))

        _, out, _ = run("classify", "--allow-bucket", bucket.url("may"), "--from", "list.txt")

        assert kinds(out) == {bucket.url("may/a.jpg"): "ok", **{bucket.url(key): "unsupported" for key in odd}}
        assert gate.count("GET", "secret") == 0

    def test_the_https_spelling_of_a_bucket_is_asked_without_the_users_key(
        self, here: Path, run: Run, bucket: Bucket, origin: Origin
    ) -> None:
        url = origin.serve(f"/{bucket.name}/a.jpg", PICTURES[0].read_bytes())
        (here / "list.txt").write_text(url)

        _, out, _ = run("classify", "--only-urls", "--from", "list.txt")

        assert kinds(out) == {url: "ok"}
        (asked,) = origin.requests
        assert "authorization" not in {name.lower() for name in asked.headers}
