"""`birdlite merge --newest` and `--index`: many runs together, of each target the newest answer."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from birdlite.batch.header import Run as Header
from birdlite.storage.store import Storage
from tests.batch_runs import RUN, WITH_DEMO_MODEL, header_of, records_of, write_part
from tests.command_line import Run
from tests.demo_world import PICTURES
from tests.fetching import until
from tests.object_store import Bucket, Gate

Answers = Mapping[str, "str | None"]
NIGHT = RUN._replace(since=True)


class Runs:
    """A folder of parts that were written one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir()
        self.now = 1e9

    def add(self, name: str, answers: Answers, run: Header = NIGHT, list_sha256: str = "c" * 64) -> None:
        """Add a part with all that is in these answers."""
        write_part(self.folder / name, answers, run=run, list_sha256=list_sha256)
        self.touch(name)

    def add_shards(self, name: str, answers: Answers, count: int, run: Header = NIGHT) -> None:
        """Add a run in several parts: `{shard}` in its name."""
        for index in range(count):
            part = self.folder / name.format(shard=index)
            write_part(part, answers, run=run._replace(shard=index, shards=count))
            self.touch(part.name)

    def touch(self, name: str) -> None:
        self.now += 3600
        os.utime(self.folder / name, (self.now, self.now))


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path / "runs")


def in_the_next_second(bucket: Bucket) -> None:
    """Wait until S3, which gives times in whole seconds, gives a later one."""

    def now() -> float:
        bucket.put("clock", b"")
        (listed,) = (one for one in Storage().directly_in(bucket.url("")) if one.name.endswith("/clock"))
        return listed.modified

    before = now()
    until(lambda: now() > before)


def merged(run: Run, runs: Runs) -> list[tuple[int, str, str | None]]:
    """Index, name and species of all records of the merged output."""
    _, out, _ = run("merge", "--newest", runs.folder)
    records = [json.loads(line) for line in out.splitlines()]
    return [
        (one["index"], one["target"], one["predictions"][0]["name"] if one["predictions"] else None) for one in records
    ]


def test_a_job_and_its_nights_are_one_output_with_the_newest_answer_of_each_target(run: Run, runs: Runs) -> None:
    runs.add("job.jsonl", {"a": "Parus major", "b": None, "c": None}, RUN)
    runs.add("night-1.jsonl", {"b": "Pica pica", "c": None, "d": "Pica pica"})
    runs.add("night-2.jsonl", {"a": "Turdus merula", "d": None, "c": None, "e": "Pica pica"})

    assert merged(run, runs) == [
        (0, "a", "Turdus merula"),
        (1, "e", "Pica pica"),
        (2, "b", "Pica pica"),
        (3, "d", "Pica pica"),
        (4, "c", None),
    ]


def test_each_run_is_read_in_the_order_of_its_list_whatever_its_shards(run: Run, runs: Runs) -> None:
    names = [f"bird-{number}" for number in range(20)]
    runs.add_shards("job-{shard}.jsonl", dict.fromkeys(names, "Parus major"), 3, RUN)

    assert [name for _, name, _ in merged(run, runs)] == names


def test_nights_over_an_unchanged_list_are_told_apart_by_their_time(run: Run, runs: Runs) -> None:
    answers = dict.fromkeys(["a", "b", "c", "d"], "Parus major")
    runs.add_shards("z-{shard}.jsonl", answers, 2)
    runs.add_shards("a-{shard}.jsonl", {**answers, "b": "Pica pica"}, 2)

    code, _, err = run("merge", "--newest", runs.folder)

    assert (code, err) == (0, "birdlite: 4 parts of 2 runs: 4 of 4 targets classified, 0 failed\n")
    assert ("b", "Pica pica") in [(name, species) for _, name, species in merged(run, runs)]


def test_the_newest_run_must_be_complete(run: Run, runs: Runs) -> None:
    answers = dict.fromkeys("abcdefgh", "Parus major")
    runs.add_shards("1-{shard}.jsonl", answers, 2)
    runs.add_shards("2-{shard}.jsonl", {**answers, "new": "Parus major"}, 2)
    (runs.folder / "2-1.jsonl").unlink()

    code, out, err = run("merge", "--newest", runs.folder)

    assert (code, out) == (3, "")
    assert err == (f"birdlite: error: the newest run, with {runs.folder}/2-0.jsonl: 1 of 2 shards missing: 1\n")


def test_an_older_run_that_is_not_complete_is_reported(run: Run, runs: Runs) -> None:
    answers = dict.fromkeys("abcdefgh", "Parus major")
    runs.add_shards("1-{shard}.jsonl", answers, 2)
    (runs.folder / "1-1.jsonl").unlink()
    runs.add("2.jsonl", answers)

    code, _, err = run("merge", "--newest", runs.folder)

    assert code == 0
    assert f"1 older run is not complete: 1 of 2 shards are there of the run with {runs.folder}/1-0.jsonl\n" in err


def test_parts_of_two_models_are_refused(run: Run, runs: Runs) -> None:
    runs.add("1.jsonl", {"a": "Parus major"})
    runs.add("2.jsonl", {"a": "Parus major"}, NIGHT._replace(model_sha256="e" * 64))

    code, _, err = run("merge", "--newest", runs.folder)

    assert code == 3
    assert f"{runs.folder}/2.jsonl: of another model than {runs.folder}/1.jsonl: name the parts of one model" in err


def test_with_its_header_it_takes_the_place_of_all_that_it_has(run: Run, runs: Runs, tmp_path: Path) -> None:
    runs.add("job.jsonl", {"a": "Parus major", "b": None}, RUN)
    runs.add("night.jsonl", {"b": None, "c": "Pica pica"})
    before = merged(run, runs)

    assert run("merge", "--newest", "--keep-header", runs.folder, "-o", tmp_path / "all.jsonl")[0] == 1
    header = header_of(tmp_path / "all.jsonl")
    assert [header[name] for name in ("since", "targets", "mine", "left_out", "ok", "failed")] == [False, 3, 3, 0, 2, 1]
    for part in runs.folder.iterdir():
        part.unlink()
    (tmp_path / "all.jsonl").rename(runs.folder / "all.jsonl")

    assert merged(run, runs) == before
    assert run("merge", runs.folder, "-q")[0] == 1  # it is a part like any other


def test_its_own_output_is_one_of_the_parts(run: Run, runs: Runs) -> None:
    runs.add("1.jsonl", {"a": "Parus major"})
    keep = ("merge", "--newest", "--keep-header", runs.folder, "-o", runs.folder / "all.jsonl")
    run(*keep)
    (runs.folder / "1.jsonl").unlink()
    runs.add("2.jsonl", {"b": "Parus major"})
    runs.touch("2.jsonl")

    assert run(*keep)[0] == 0
    assert [record["target"] for record in records_of(runs.folder / "all.jsonl")] in (["a", "b"], ["b", "a"])

    code, _, err = run("merge", "--newest", runs.folder, "-o", runs.folder / "all.jsonl")
    assert (code, "is one of the parts: add --keep-header, or write elsewhere" in err) == (2, True)


def test_a_scratch_folder_that_cannot_be_used_is_one_line(run: Run, runs: Runs, tmp_path: Path) -> None:
    runs.add("1.jsonl", {"a": "Parus major"})
    keep = ("merge", "--newest", "--keep-header", runs.folder, "-o", tmp_path / "all.jsonl", "--scratch")

    code, _, err = run(*keep, runs.folder / "1.jsonl")

    assert code == 3
    assert f"{runs.folder}/1.jsonl: no scratch folder: " in err
    assert err.count("\n") == 1
    assert run(*keep, tmp_path / "new")[0] == 0


def test_strange_names_keep_their_bytes(run: Run, runs: Runs, tmp_path: Path) -> None:
    names = ["M\u00f6we\u2028.jpg", "caf\udce9.jpg"]
    runs.add("1.jsonl", dict.fromkeys(names, "Parus major"))

    assert run("merge", "--newest", "--keep-header", runs.folder, "-o", tmp_path / "all.jsonl")[0] == 0

    assert [record["target"] for record in records_of(tmp_path / "all.jsonl")] == names


@pytest.mark.parametrize("suffix", ["csv", "html"])
def test_many_runs_as_a_table_or_a_page(run: Run, runs: Runs, tmp_path: Path, suffix: str) -> None:
    runs.add("1.jsonl", {"a.jpg": "Parus major"})
    runs.add("2.jsonl", {"b.jpg": "Pica pica"})

    assert run("merge", "--newest", runs.folder, "-o", tmp_path / f"all.{suffix}")[0] == 0

    text = (tmp_path / f"all.{suffix}").read_text()
    assert "Parus major" in text
    assert "Pica pica" in text


def test_a_target_that_failed_in_many_runs_has_one_record_in_the_place_of_the_newest(run: Run, runs: Runs) -> None:
    runs.add("1.jsonl", {"often dead": None, "1": "Parus major"})
    runs.add("2.jsonl", {"once dead": None, "2": "Parus major"})
    runs.add("3.jsonl", {"often dead": None, "3": "Parus major"})

    assert [name for _, name, _ in merged(run, runs)] == ["3", "2", "1", "often dead", "once dead"]


def test_a_run_over_the_same_list_that_has_only_begun_takes_the_rest_from_the_one_before(run: Run, runs: Runs) -> None:
    answers = dict.fromkeys("abcdefgh", "Parus major")
    runs.add_shards("1-{shard}.jsonl", answers, 2)
    runs.add_shards("2-{shard}.jsonl", answers, 2)
    (runs.folder / "2-1.jsonl").unlink()

    assert sorted(name for _, name, _ in merged(run, runs)) == list("abcdefgh")


def test_targets_are_told_apart_however_many_there_are(run: Run, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("birdlite.batch.newest._RECENT", 50)
    for night in range(4):
        runs.add(
            f"{night}.jsonl", {f"bird-{number}": "Parus major" for number in range(100 * night, 100 * night + 900)}
        )

    assert sorted(name for _, name, _ in merged(run, runs)) == sorted(f"bird-{number}" for number in range(1200))


# The index


def test_an_index_is_written_for_a_folder_and_then_is_up_to_date(run: Run, runs: Runs) -> None:
    runs.add("1.jsonl", {"a": "Parus major", "dead": None})
    index = runs.folder / "done-aaaaaaaaaaaa.index"

    assert run("merge", "--index", runs.folder) == (0, "", f"birdlite: {index}: 1 target of 1 part\n")
    assert run("merge", "--index", runs.folder) == (0, "", f"birdlite: {index}: is up to date\n")


def test_a_run_reads_the_index_in_place_of_the_parts(run: Run, runs: Runs) -> None:
    run("classify", *WITH_DEMO_MODEL, "--shard", "0/1", "-o", runs.folder / "1.jsonl", PICTURES[0])
    run("merge", "--index", runs.folder)
    (runs.folder / "1.jsonl").unlink()

    since = ("--since-output", runs.folder, "-o", runs.folder / "2.jsonl")
    assert run("classify", *WITH_DEMO_MODEL, *since, *PICTURES[:2])[0] == 0

    assert [record["target"] for record in records_of(runs.folder / "2.jsonl")] == [str(PICTURES[1])]


def test_runs_in_a_bucket_are_ordered_by_the_time_of_their_objects(
    run: Run, runs: Runs, bucket: Bucket, gate: Gate, tmp_path: Path
) -> None:
    runs.add("z.jsonl", {"a": "Parus major", "b": None})
    runs.add("a.jsonl", {"a": "Pica pica", "b": "Pica pica"})
    bucket.put("run/z.jsonl", (runs.folder / "z.jsonl").read_bytes())
    in_the_next_second(bucket)
    bucket.put("run/a.jsonl", (runs.folder / "a.jsonl").read_bytes())

    output = bucket.url("run/until.jsonl")
    assert run("merge", "--newest", "--keep-header", bucket.url("run/"), "-o", output)[0] == 0
    assert run("merge", "--index", bucket.url("run/"))[2].endswith("done-aaaaaaaaaaaa.index: 2 targets of 3 parts\n")

    (tmp_path / "until.jsonl").write_bytes(bucket.get("run/until.jsonl"))
    assert {one["predictions"][0]["name"] for one in records_of(tmp_path / "until.jsonl")} == {"Pica pica"}
    code, _, err = run("merge", "--newest", bucket.url("run/a.jsonl"))
    assert (code, f"{bucket.url('run/a.jsonl')}: its time is not known: name its folder, or a glob" in err) == (3, True)


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (["runs/1.jsonl", "--index"], 2, "--index runs/1.jsonl: not a folder"),
        (["s3://b/runs", "--index"], 2, "--index s3://b/runs: not a folder (it ends with a slash)"),
        (["runs", "--index", "-o", "all.jsonl"], 2, "--index writes the index of a folder and merges nothing"),
        (["runs", "--index", "--newest"], 2, "--index writes the index of a folder and merges nothing"),
        (["empty", "--index"], 3, "empty: no parts (*.jsonl) to make an index of"),
        (["empty", "--newest"], 3, "there are no parts to merge"),
        (["plain", "--index"], 3, "plain/a.jsonl: no header that names its model"),
        (["plain", "--newest"], 3, "plain/a.jsonl: not a part"),
    ],
)
def test_what_has_no_index_is_one_line(
    run: Run, runs: Runs, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, complaint: str
) -> None:
    monkeypatch.chdir(runs.folder.parent)
    runs.add("1.jsonl", {"a": "Parus major"})
    Path("empty").mkdir()
    Path("plain").mkdir()
    Path("plain/a.jsonl").write_text('{"index": 0, "target": "a", "status": "ok"}\n')

    found, out, err = run("merge", *arguments)

    assert (found, out) == (code, "")
    assert complaint in err
    assert err.count("\n") == 1


# Exit codes


@pytest.mark.parametrize("how", [("--allow-failures",), ("--newest", "--allow-failures")])
def test_failures_are_allowed(run: Run, runs: Runs, how: tuple[str, ...]) -> None:
    runs.add("1.jsonl", {"a": "Parus major", "dead": None})

    assert run("merge", *how, runs.folder)[0] == 0
    assert run("merge", runs.folder, *how[:-1])[0] == 1


def test_failures_are_allowed_by_the_variable_and_nothing_else_is(
    run: Run, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BIRDLITE_ALLOW_FAILURES", "1")
    runs.add("1.jsonl", {"dead": None})

    assert run("merge", runs.folder)[0] == 0
    assert run("merge", runs.folder / "1.jsonl", runs.folder / "1.jsonl")[0] == 3
