"""Lists, pictures and outputs in object storage, on the command line, against a real S3 server."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from birdlite import Classifier, FetchSettings, Result, Settings
from birdlite.batch import files
from birdlite.batch.header import Header, Totals
from birdlite.batch.header import Run as RunFields
from birdlite.errors import StorageError, installing
from birdlite.models.catalog import DEMO_MODEL
from birdlite.storage.store import PIECE, Storage
from birdlite.storage.upload import scratch_name
from tests.batch_runs import WITH_DEMO_MODEL
from tests.command_line import Run
from tests.demo_world import PICTURES, slug, species_of
from tests.fetching import until
from tests.object_store import Asked, Bucket, Gate
from tests.origin import PATIENCE

Classify = Callable[..., tuple[int, str, str]]

OLD_OBSTORE = version("obstore").startswith("0.11.")
"""The newest one for Python 3.10. It leaves the pieces of an upload that failed in the store."""


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


def journal_of(url: str) -> str:
    """What the journal of a part is called in the scratch folder."""
    return scratch_name(url) + ".partial"


def lines(text: str | bytes) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_folder_of_a_bucket_gets_its_birds_in_the_order_of_the_keys(classify: Classify, bucket: Bucket) -> None:
    urls = fill(bucket)

    code, out, err = classify("--format", "jsonl", bucket.url("album/"))

    assert (code, err) == (0, "birdlite: 6 of 6 classified\n")
    assert [record["target"] for record in lines(out)] == urls
    for record in lines(out):
        assert species_of(str(record["target"])).endswith(slug(record["predictions"][0]["common_name"]))  # type: ignore[index]


def test_one_object_is_one_picture_and_its_record_has_the_url(classify: Classify, bucket: Bucket) -> None:
    url = bucket.put("odd name, 100%20 #1?é.jpg", PICTURES[0].read_bytes())

    code, out, err = classify("--format", "jsonl", url)

    assert (code, err) == (0, "birdlite: 1 of 1 classified\n")
    (record,) = lines(out)
    assert record["target"] == url
    assert record["status"] == "ok"


def test_a_list_in_a_bucket_may_name_objects_folders_urls_and_files(
    classify: Classify, bucket: Bucket, tmp_path: Path
) -> None:
    urls = fill(bucket, count=3)
    listed = bucket.put("list.csv", f"name,url\nx,{urls[2]}\ny,{bucket.url('album/')}\nz,{PICTURES[0]}\n".encode())

    code, out, _ = classify("--format", "jsonl", "--from", listed)

    assert code == 0
    assert [record["target"] for record in lines(out)] == [urls[2], *urls, str(PICTURES[0])]


@pytest.mark.parametrize("format_", ["json", "jsonl", "csv", "txt"])
def test_an_output_in_a_bucket_is_what_a_file_would_have_been(
    classify: Classify, bucket: Bucket, tmp_path: Path, format_: str
) -> None:
    classify(*PICTURES[:3], "-o", tmp_path / f"birds.{format_}")

    output = bucket.url(f"run/birds.{format_}")
    code, out, err = classify(*PICTURES[:3], "-o", output)

    assert (code, out, err) == (0, "", f"birdlite: 3 of 3 classified; written to {output}\n")
    assert bucket.keys() == [f"run/birds.{format_}"]
    here, there = (tmp_path / f"birds.{format_}").read_bytes(), bucket.get(f"run/birds.{format_}")
    if format_ == "json":  # the summary has the wall time
        assert json.loads(here)["results"] == json.loads(there)["results"]
    else:
        assert here == there
    assert list((tmp_path / "scratch").iterdir()) == []


def test_shards_in_a_bucket_merge_into_what_one_run_writes(classify: Classify, run: Run, bucket: Bucket) -> None:
    fill(bucket, count=12)
    for index in range(3):
        part = bucket.url("run/part-{shard}.jsonl")
        assert classify("-q", "--shard", f"{index}/3", "-o", part, bucket.url("album/")) == (0, "", "")
    _, whole, _ = classify("--format", "jsonl", bucket.url("album/"))

    merged = bucket.url("birds.jsonl")
    code, _, err = run("merge", bucket.url("run/"), "-o", merged)

    assert (code, err) == (0, f"birdlite: 3 parts: 12 of 12 targets classified, 0 failed; written to {merged}\n")
    assert bucket.get("birds.jsonl").decode() == whole
    assert run("merge", bucket.url("run/part-*.jsonl"))[:2] == (0, whole)
    assert run("merge", bucket.url("run/part-0.jsonl"), bucket.url("run/"))[0] == 3


def test_a_shard_does_not_take_the_place_of_another_in_a_bucket(classify: Classify, bucket: Bucket) -> None:
    target = bucket.url("same.jsonl")
    assert classify("--shard", "0/2", "-o", target, *PICTURES)[0] == 0
    before = bucket.get("same.jsonl")

    code, _, err = classify("--shard", "1/2", "-o", target, *PICTURES)

    assert (code, f"{target}: has shard 0 of 2, and this run is shard 1 of 2" in err) == (2, True)
    assert bucket.get("same.jsonl") == before


class TestResume:
    """The journal is on this machine, the part in the bucket."""

    def test_an_interrupted_part_goes_on_where_it_was_and_gives_the_same_bytes(
        self, classify: Classify, bucket: Bucket, tmp_path: Path
    ) -> None:
        fill(bucket)
        arguments = ("--resume", "-o", bucket.url("part.jsonl"), bucket.url("album/"))
        classify(*arguments)
        whole = bucket.get("part.jsonl")
        header, *records = whole.decode().splitlines(keepends=True)
        run = {key: value for key, value in json.loads(header)["birdlite_run"].items() if key in RunFields._fields}
        bucket.delete("part.jsonl")
        journal = tmp_path / "scratch" / journal_of(bucket.url("part.jsonl"))
        journal.write_text(json.dumps({"birdlite_run": run}) + "\n" + records[3] + records[0] + records[1][:40])

        code, _, err = classify(*arguments)

        assert (code, err) == (
            0,
            (
                f"birdlite: {journal}: 2 records found, continuing\n"
                f"birdlite: 4 of 4 classified, 2 by earlier starts; written to {bucket.url('part.jsonl')}\n"
            ),
        )
        assert bucket.get("part.jsonl") == whole
        assert not journal.exists()

    def test_a_complete_object_is_left_alone_and_its_exit_code_is_given_again(
        self, classify: Classify, bucket: Bucket, gate: Gate
    ) -> None:
        target = bucket.url("part.jsonl")
        assert classify("--resume", "-o", target, PICTURES[0], bucket.url("gone.jpg"))[0] == 1
        puts = gate.count("PUT")

        code, _, err = classify("--resume", "-o", target, PICTURES[0], bucket.url("gone.jpg"))

        assert (code, err) == (1, f"birdlite: {target}: already complete, nothing to do\n")
        assert gate.count("PUT") == puts

    def test_failures_of_a_complete_object_are_tried_again(self, classify: Classify, bucket: Bucket) -> None:
        late = bucket.url("late.jpg")
        assert classify("--resume", "-o", bucket.url("part.jsonl"), PICTURES[0], late)[0] == 1
        bucket.put("late.jpg", PICTURES[1].read_bytes())

        assert classify("--resume", "--retry-failed", "-o", bucket.url("part.jsonl"), PICTURES[0], late)[0] == 0

        assert [record["status"] for record in lines(bucket.get("part.jsonl"))[1:]] == ["ok", "ok"]

    def test_an_object_made_with_other_parameters_is_refused(self, classify: Classify, bucket: Bucket) -> None:
        target = bucket.url("part.jsonl")
        classify("--resume", "-o", target, PICTURES[0])
        before = bucket.get("part.jsonl")

        code, _, err = classify("--resume", "--top", 5, "-o", target, PICTURES[0])

        assert code == 3
        assert f"{target}: made with other parameters: top was 3 and is 5" in err
        assert bucket.get("part.jsonl") == before

    def test_an_object_that_is_no_part_is_refused(self, classify: Classify, bucket: Bucket) -> None:
        target = bucket.put("part.jsonl", b"precious\n")

        code, _, err = classify("--resume", "-o", target, PICTURES[0])

        assert code == 3
        assert f"{target}: not an output of --shard or --resume" in err
        assert bucket.get("part.jsonl") == b"precious\n"


def test_what_earlier_runs_have_in_a_bucket_is_left_out(classify: Classify, bucket: Bucket) -> None:
    fill(bucket, count=4)
    since = ("--since-output", bucket.url("runs/"))
    bucket.put("runs/deeper/x.jsonl", b"not ours\n")
    bucket.put("runs/.hidden.jsonl", b"not ours\n")
    bucket.put("runs/list.txt", b"not ours\n")
    assert classify(*since, "-o", bucket.url("runs/1.jsonl"), bucket.url("album/"))[0] == 0
    new = bucket.put("album/new.jpg", PICTURES[0].read_bytes())

    code, _, err = classify(*since, "-o", bucket.url("runs/2.jsonl"), bucket.url("album/"))

    assert (code, err) == (
        0,
        (
            "birdlite: 4 targets were classified by earlier runs\n"
            f"birdlite: 1 of 1 classified; written to {bucket.url('runs/2.jsonl')}\n"
        ),
    )
    assert [record["target"] for record in lines(bucket.get("runs/2.jsonl"))[1:]] == [new]


class TestFaults:
    """Each is one line, its exit code says what it means, and nothing is lost."""

    def test_a_put_that_fails_leaves_nothing_under_the_name_and_the_records_on_this_machine(
        self, classify: Classify, bucket: Bucket, gate: Gate, tmp_path: Path
    ) -> None:
        fill(bucket, count=3)
        arguments = ("--resume", "--retries", 0, "-o", bucket.url("part.jsonl"), bucket.url("album/"))
        gate.rule = lambda asked: "reset" if asked.method == "PUT" else None

        code, _, err = classify(*arguments)

        journal = tmp_path / "scratch" / journal_of(bucket.url("part.jsonl"))
        assert code == 4
        assert f"{bucket.url('part.jsonl')}: the results cannot be written: the connection to the store broke" in err
        assert f"all records are in {journal}, where --resume finds them" in err
        assert err.count("\n") == 1
        assert "part.jsonl" not in bucket.keys()  # noqa: SIM118 - no dictionary
        assert list((tmp_path / "scratch").iterdir()) == [journal]

        gate.rule = lambda asked: None
        pictures = gate.count("GET", ".jpg") + gate.count("GET", ".png")
        assert classify(*arguments)[0] == 0
        assert gate.count("GET", ".jpg") + gate.count("GET", ".png") == pictures
        assert len(lines(bucket.get("part.jsonl"))) == 4

    @pytest.mark.parametrize("format_", ["json", "jsonl", "csv", "txt"])
    def test_results_that_cannot_be_put_are_kept_and_it_is_said_where(
        self, classify: Classify, bucket: Bucket, gate: Gate, tmp_path: Path, format_: str
    ) -> None:
        gate.rule = lambda asked: 403 if asked.method == "PUT" else None

        code, _, err = classify("-o", bucket.url(f"birds.{format_}"), PICTURES[0])

        (kept,) = (tmp_path / "scratch").iterdir()
        assert code == 3
        assert (
            f"birds.{format_}: the results cannot be written: permission denied (Broken); they are kept in {kept}"
            in err
        )
        assert "crested" in kept.read_text().lower()
        assert bucket.keys() == []

    @pytest.mark.skipif(OLD_OBSTORE, reason="this obstore leaves them; docs/object-storage.md says so")
    def test_a_put_in_pieces_that_breaks_half_way_leaves_nothing(
        self, bucket: Bucket, gate: Gate, tmp_path: Path
    ) -> None:
        large = tmp_path / "large"
        large.write_bytes(b"x" * (2 * PIECE + 1))
        gate.rule = lambda asked: 500 if "partNumber=3" in asked.path else None

        with pytest.raises(StorageError, match="500 Internal Server Error"):
            Storage(FetchSettings(retries=0)).put(str(large), bucket.url("large"))

        tries = gate.count("POST", "uploads=")
        steps = [re.sub("uploadId=.*", "", asked.path.rpartition("?")[2]) for asked in gate.asked]
        # One piece after the other: the end of an upload would not reach a piece that is still under way.
        assert steps == ["uploads=", "partNumber=1&", "partNumber=2&", "partNumber=3&", ""] * tries
        assert bucket.keys() == []
        assert bucket.uploads() == 0

    @pytest.mark.parametrize(("format_", "extra"), [("jsonl", []), ("jsonl", ["--resume"]), ("csv", [])])
    def test_a_bucket_that_is_not_there_is_known_before_any_picture_is_read(
        self, classify: Classify, bucket: Bucket, gate: Gate, format_: str, extra: list[str]
    ) -> None:
        picture = fill(bucket, count=1)[0]

        code, _, err = classify(*extra, "-o", f"s3://no-{bucket.name}/birds.{format_}", picture)

        assert code == 3
        assert "birds." + format_ + ": the results cannot be written: there is no such bucket" in err
        assert gate.count("GET", ".jpg") == 0

    @pytest.mark.parametrize(
        ("key", "code", "reason"),
        [
            ("gone.txt", 2, "no such object"),
            ("a//b.txt", 2, "a key with an empty segment, . or .. is not supported"),
        ],
    )
    def test_a_list_that_is_not_there_is_wrong_usage(
        self, classify: Classify, bucket: Bucket, key: str, code: int, reason: str
    ) -> None:
        url = bucket.url(key)

        assert classify("--from", url) == (code, "", f"birdlite: error: {url}: the list cannot be read: {reason}\n")

    def test_a_list_that_the_store_does_not_give_is_no_fault_of_the_user(
        self, classify: Classify, bucket: Bucket, gate: Gate
    ) -> None:
        gate.rule = lambda asked: 503

        code, _, err = classify("--retries", 1, "--from", bucket.url("list.txt"))

        assert (code, err) == (
            4,
            f"birdlite: error: {bucket.url('list.txt')}: the list cannot be read: 503 Service Unavailable (Broken)\n",
        )
        assert gate.count("GET") == 2

    def test_a_list_that_changes_while_it_is_read_is_noticed(
        self, classify: Classify, bucket: Bucket, gate: Gate
    ) -> None:
        long = ("# " + "x" * 998 + "\n") * 100
        url = bucket.put("list.txt", f"{PICTURES[0]}\n{long}{PICTURES[1]}\n".encode())

        def replace(asked: Asked) -> None:
            if asked.range is not None and not asked.range.startswith("bytes=0-"):
                bucket.put("list.txt", f"{PICTURES[2]}\n{long}{PICTURES[1]}\n".encode())

        gate.before = replace

        code, _, err = classify("--from", url)

        assert (code, err) == (
            3,
            f"birdlite: error: {url}: the list cannot be read: it changed while it was being read\n",
        )

    def test_without_credentials_a_dead_metadata_service_holds_nobody_up(
        self, classify: Classify, bucket: Bucket, gate: Gate, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        monkeypatch.setenv("AWS_METADATA_ENDPOINT", gate.url)
        gate.rule = lambda asked: "hold"

        code, out, err = classify("--timeout", 1, "--from", bucket.url("list.txt"))

        assert (code, out) == (3, "")
        assert "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in err
        assert err.count("\n") == 1

    def test_without_credentials_the_search_for_them_is_made_once(
        self, classify: Classify, bucket: Bucket, gate: Gate, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        monkeypatch.setenv("AWS_METADATA_ENDPOINT", gate.url)
        gate.rule = lambda asked: 403
        urls = [bucket.url(f"{number}.jpg") for number in range(5)]

        code, out, _ = classify("--downloads", 1, "--format", "jsonl", *urls)

        assert code == 1
        assert [record["error"]["kind"] for record in lines(out)] == ["blocked"] * 5  # type: ignore[index]
        assert "no credentials: set AWS_ACCESS_KEY_ID" in out
        assert gate.count("PUT") == 1

    def test_without_the_extra_it_is_named(self, tmp_path: Path) -> None:
        code = (
            "import sys; sys.modules['obstore'] = None\n"
            "from birdlite.cli import main\n"
            f"sys.exit(main(['classify', *{list(WITH_DEMO_MODEL)!r}, *sys.argv[1:]]))"
        )
        for arguments in (
            ["s3://bucket/a.jpg"],
            ["--from", "s3://bucket/list"],
            [PICTURES[0], "-o", "s3://bucket/o.json"],
        ):
            run = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)

            assert run.returncode == 3
            assert run.stderr.endswith(f"{installing('cloud')}\n")
            assert run.stderr.count("\n") == 1

    def test_offline_asks_no_store_for_anything(self, classify: Classify, bucket: Bucket, gate: Gate) -> None:
        fill(bucket, count=1)

        code, out, _ = classify("--offline", "--format", "jsonl", bucket.url("album/"), bucket.url("a.jpg"))
        assert code == 1
        assert [record["error"]["kind"] for record in lines(out)] == ["blocked", "blocked"]  # type: ignore[index]
        assert classify("--offline", "--from", bucket.url("list.txt"))[0] == 3
        assert classify("--offline", "-o", bucket.url("birds.json"), PICTURES[0])[0] == 3
        assert classify("--offline", "--since-output", bucket.url("runs/"), PICTURES[0])[0] == 3

        assert gate.asked == []


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (["{}/gone.jpg"], "not_found", "{}/gone.jpg: no such object"),
        (["{}x/a.jpg"], "not_found", "{}x/a.jpg: there is no such bucket"),
        (["{}x/"], "not_found", "{}x/: there is no such bucket"),
        (["{}/empty/"], "not_found", "{}/empty/: no pictures in this folder"),
        (["{}/big.jpg", "--max-bytes", "100"], "too_large", "{}/big.jpg: more than 100 bytes, allowed by --max-bytes"),
        (["{}/nothing.jpg"], "not_an_image", "{}/nothing.jpg: empty file"),
        (["{}/../a.jpg"], "unsupported", "{}/../a.jpg: a key with an empty segment, . or .. is not supported"),
        (["s3:///a.jpg"], "unsupported", "s3:///a.jpg: no usable bucket in this URL"),
    ],
)
def test_a_picture_that_cannot_be_had_is_a_record_of_a_known_kind(
    classify: Classify, bucket: Bucket, arguments: list[str], kind: str, message: str
) -> None:
    bucket.put("big.jpg", PICTURES[0].read_bytes())
    bucket.put("nothing.jpg", b"")
    root = f"s3://{bucket.name}"

    code, out, _ = classify("--format", "jsonl", *(argument.format(root) for argument in arguments))

    (record,) = lines(out)
    assert (code, record["status"]) == (1, "error")
    assert record["error"] == {"kind": kind, "message": message.format(root)}


@pytest.mark.parametrize(("status", "kind"), [(503, "http_status"), (403, "blocked"), (418, "http_status")])
def test_what_a_store_answers_becomes_a_kind(
    classify: Classify, bucket: Bucket, gate: Gate, status: int, kind: str
) -> None:
    gate.rule = lambda asked: status

    _, out, _ = classify("--format", "jsonl", "--retries", 0, bucket.url("a.jpg"))

    (record,) = lines(out)
    assert record["error"]["kind"] == kind  # type: ignore[index]


def test_a_store_that_says_nothing_is_a_timeout(classify: Classify, bucket: Bucket, gate: Gate) -> None:
    gate.rule = lambda asked: "hold"

    _, out, _ = classify("--format", "jsonl", "--timeout", 0.5, bucket.url("a.jpg"))

    (record,) = lines(out)
    assert record["error"]["kind"] == "timeout"  # type: ignore[index]


def test_a_put_that_nobody_answers_ends_by_the_timeout(
    classify: Classify, bucket: Bucket, gate: Gate, tmp_path: Path
) -> None:
    gate.rule = lambda asked: "hold" if asked.method == "PUT" else None

    code, _, err = classify("--timeout", 3, "-o", bucket.url("birds.csv"), PICTURES[0])

    assert code == 4
    assert "the store does not answer in time; they are kept in" in err


def test_a_merge_whose_put_fails_leaves_the_parts_and_nothing_else(
    classify: Classify, run: Run, bucket: Bucket, gate: Gate, tmp_path: Path
) -> None:
    classify("--shard", "0/1", "-o", bucket.url("run/part-{shard}.jsonl"), PICTURES[0])
    gate.rule = lambda asked: 500 if asked.method == "PUT" else None

    scratch = tmp_path / "another"

    merge = ("merge", "--retries", 0, "--scratch", scratch, bucket.url("run/"))
    code, _, err = run(*merge, "-o", bucket.url("birds.jsonl"))

    reason = "the results cannot be written: 500 Internal Server Error (Broken)"
    assert (code, err) == (4, f"birdlite: error: {bucket.url('birds.jsonl')}: {reason}\n")
    assert gate.count("PUT", "birds.jsonl") == 1
    assert bucket.keys() == ["run/part-0.jsonl"]
    assert list(scratch.iterdir()) == []


def test_a_merge_does_not_take_its_own_output_for_a_part(classify: Classify, run: Run, bucket: Bucket) -> None:
    classify("--shard", "0/1", "-o", bucket.url("run/part-{shard}.jsonl"), PICTURES[0])
    merge = ("merge", bucket.url("run/"), "-o", bucket.url("run/birds.jsonl"))

    assert [run(*merge)[0], run(*merge)[0]] == [0, 0]
    code, _, err = run("merge", bucket.url("run/part-0.jsonl"), "-o", bucket.url("run/part-0.jsonl"))
    assert (code, err) == (2, f"birdlite: error: {bucket.url('run/part-0.jsonl')} is both a PART and the --output\n")


@pytest.mark.parametrize(
    ("place", "code", "reason"),
    [
        ("run/", 3, "there are no parts to merge"),
        ("run/part-*.jsonl", 3, "there are no parts to merge"),
        ("gone.jsonl", 3, "gone.jsonl: cannot be read: no such file"),
        ("a//b.jsonl", 2, "a//b.jsonl: a key with an empty segment, . or .. is not supported"),
    ],
)
def test_parts_that_are_not_there_are_named(run: Run, bucket: Bucket, place: str, code: int, reason: str) -> None:
    found, _, err = run("merge", bucket.url(place))

    assert found == code
    assert err.endswith(reason + "\n")


@pytest.mark.parametrize("format_", ["json", "csv", "txt"])
def test_a_run_that_fails_leaves_nothing_of_what_is_worth_nothing_by_halves(
    classify: Classify, bucket: Bucket, gate: Gate, tmp_path: Path, format_: str
) -> None:
    long = "# \n" * 40_000
    listed = bucket.put("list.txt", f"{PICTURES[0]}\n{long}{PICTURES[1]}\n".encode())
    gate.rule = lambda asked: 500 if asked.range and not asked.range.startswith("bytes=0-") else None

    code, _, err = classify("--retries", 0, "--from", listed, "-o", bucket.url(f"birds.{format_}"))

    assert (code, err.count("\n")) == (4, 1)
    assert list((tmp_path / "scratch").iterdir()) == []
    assert bucket.keys() == ["list.txt"]


def test_a_run_that_fails_keeps_the_lines_that_were_finished(
    classify: Classify, bucket: Bucket, gate: Gate, tmp_path: Path
) -> None:
    long = "# \n" * 40_000  # the second picture is behind the first range
    listed = bucket.put("list.txt", f"{PICTURES[0]}\n{long}{PICTURES[1]}\n".encode())

    def fail_when_a_line_is_there(asked: Asked) -> int | None:
        if not asked.range or asked.range.startswith("bytes=0-"):
            return None
        until(lambda: any(path.stat().st_size for path in (tmp_path / "scratch").iterdir()))
        return 500

    gate.rule = fail_when_a_line_is_there

    code, _, err = classify("--retries", 0, "--from", listed, "-o", bucket.url("birds.jsonl"))

    (kept,) = (tmp_path / "scratch").iterdir()
    assert code == 4
    assert f"not put there, because it is not complete; the results so far are in {kept}" in err
    assert [record["target"] for record in lines(kept.read_bytes())] == [str(PICTURES[0])]
    assert bucket.keys() == ["list.txt"]


def test_python_users_name_objects_as_they_name_files(bucket: Bucket, warm_cache: Path) -> None:
    urls = fill(bucket, count=2)

    with Classifier(Settings(model=DEMO_MODEL, cache_dir=str(warm_cache))) as birds:
        assert birds.classify(urls[0]).ok
        assert [result.target for result in birds.classify_many([bucket.url("album/")])] == urls


def test_parts_that_are_merged_share_the_memory(
    run: Run, bucket: Bucket, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "OBJECTS", 2 * files.BLOCK)
    totals = Totals(targets=800, mine=400, left_out=0, ok=400, failed=0, list_sha256="0")
    for shard in range(2):
        header = Header(
            RunFields("0", "m", "0", "0", "crop", 3, "both", 0.0, timing=False, since=False, shard=shard, shards=2),
            totals,
        )
        records = ({"index": index, "target": "x" * 100, "status": "ok"} for index in range(shard, 800, 2))
        bucket.put(f"run/{shard}.jsonl", (header.line() + "".join(json.dumps(one) + "\n" for one in records)).encode())

    code, out, _ = run("merge", bucket.url("run/"))

    assert (code, len(lines(out))) == (0, 800)
    assert [asked.range for asked in gate.asked].count(f"bytes=0-{files.BLOCK - 1}") == 2


def test_a_run_on_objects_alone_imports_no_http_client_of_our_own(bucket: Bucket) -> None:
    code = (
        "import sys; from birdlite.cli import main; code = main(sys.argv[1:]);"
        "print(*sys.modules, file=sys.stderr); sys.exit(code)"
    )
    command = [sys.executable, "-c", code, "classify", *WITH_DEMO_MODEL, bucket.put("a.jpg", PICTURES[0].read_bytes())]

    run = subprocess.run(command, capture_output=True, text=True)

    assert run.returncode == 0, run.stderr
    assert "obstore" in run.stderr.split()
    assert "birdlite.http.fetcher" not in run.stderr.split()


def test_threads_that_wait_for_a_store_end_when_the_run_is_cancelled(
    bucket: Bucket, gate: Gate, warm_cache: Path
) -> None:
    gate.rule = lambda asked: "hold"
    before = set(threading.enumerate())
    found: list[Result] = []
    with Classifier(Settings(model=DEMO_MODEL, cache_dir=str(warm_cache))) as birds:
        caller = threading.Thread(target=lambda: found.extend(birds.classify_many([bucket.url("a.jpg")])))
        caller.start()
        until(lambda: gate.count("GET") == 1)

        birds.cancel()

        caller.join(PATIENCE)
    assert [result.failure.kind for result in found if result.failure] == ["cancelled"]
    started = [thread for thread in set(threading.enumerate()) - before if thread.name.startswith("birdlite-fetch")]
    for thread in started:
        thread.join(PATIENCE / 4)
    assert not any(thread.is_alive() for thread in started)


def test_a_bench_is_not_measured_on_a_store(run: Run) -> None:
    code, _, err = run("bench", "s3://bucket/a.jpg")

    assert code == 2
    assert "s3://bucket/a.jpg: a server's speed is not measured here; name files" in err


def test_an_interrupted_run_puts_nothing_and_says_where_its_results_are(
    bucket: Bucket, gate: Gate, tmp_path: Path
) -> None:
    fill(bucket, count=2)
    gate.rule = lambda asked: "hold" if "/001-" in asked.path else None
    command = [sys.executable, "-m", "birdlite", "classify", *WITH_DEMO_MODEL, "-o", bucket.url("birds.csv")]
    run = subprocess.Popen([*command, bucket.url("album/")], stderr=subprocess.PIPE, text=True)
    until(lambda: gate.count("GET", "/001-") > 0)

    run.send_signal(signal.SIGTERM)
    _, err = run.communicate(timeout=20)

    assert run.returncode == 143
    (kept,) = (tmp_path / "scratch").iterdir()
    assert (
        f"{bucket.url('birds.csv')}: not put there, because it is not complete; the results so far are in {kept}" in err
    )
    assert "birds.csv" not in bucket.keys()  # noqa: SIM118
