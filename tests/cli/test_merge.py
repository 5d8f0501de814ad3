"""`birdlite merge`: the parts of a run into what one piece would have written, or a line that says why not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.batch_runs import WITH_DEMO_MODEL, change_header, make_album, records_of
from tests.command_line import Run

Targets = tuple[str, ...]


@pytest.fixture
def targets(tmp_path: Path) -> Targets:
    strange = tmp_path / "=M\u00f6we\u2028 caf\udce9.jpg"
    strange.write_bytes(b"")
    return str(make_album(tmp_path / "album", 25)), str(strange), "absent.jpg"


@pytest.fixture
def parts(run: Run, targets: Targets, tmp_path: Path) -> Path:
    """A folder with three parts of one run."""
    folder = tmp_path / "parts"
    folder.mkdir()
    for index in range(3):
        run("classify", *WITH_DEMO_MODEL, "--shard", f"{index}/3", "-o", folder / "{shard}.jsonl", *targets)
    return folder


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_the_parts_together_are_what_one_run_would_have_written(
    run: Run, parts: Path, targets: Targets, tmp_path: Path, suffix: str
) -> None:
    whole, merged = tmp_path / f"whole.{suffix}", tmp_path / f"merged.{suffix}"
    run("classify", *WITH_DEMO_MODEL, "-o", whole, *targets)

    code, out, err = run("merge", parts, "-o", merged)

    assert (code, out) == (1, "")
    assert err == f"birdlite: 3 parts: 25 of 27 targets classified, 2 failed; written to {merged}\n"
    assert merged.read_bytes() == whole.read_bytes()


def test_with_its_header_it_is_what_a_run_of_one_shard_would_have_written(
    run: Run, parts: Path, targets: Targets, tmp_path: Path
) -> None:
    run("classify", *WITH_DEMO_MODEL, "--shard", "0/1", "-o", tmp_path / "whole.jsonl", *targets)

    run("merge", parts, "--keep-header", "-o", tmp_path / "merged.jsonl")
    assert (tmp_path / "merged.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()

    run("merge", tmp_path / "merged.jsonl", "--keep-header", "-o", tmp_path / "again.jsonl")
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_records_go_to_standard_output_and_nothing_else_does(run: Run, parts: Path) -> None:
    code, out, _ = run("merge", parts)

    assert code == 1
    assert [json.loads(line)["index"] for line in out.rstrip().split("\n")] == list(range(27))
    assert run("merge", parts, "-o", "-")[1] == out
    assert run("merge", parts, "--format", "csv", "-q")[1].startswith("index,target,status,")


def test_times_reach_the_csv(run: Run, targets: Targets, tmp_path: Path) -> None:
    run("classify", *WITH_DEMO_MODEL, "--timing", "--shard", "0/1", "-o", tmp_path / "part.jsonl", *targets)

    header, first, *_ = run("merge", tmp_path / "part.jsonl", "--format", "csv")[1].splitlines()

    assert header.endswith(",fetch_ms,decode_ms,infer_ms,total_ms")
    times = records_of(tmp_path / "part.jsonl")[0]["timing_ms"]
    assert first.endswith(",".join(str(times[step]) for step in ("fetch", "decode", "infer", "total")))


def test_parts_are_files_folders_or_globs_in_any_order(run: Run, parts: Path) -> None:
    wanted = run("merge", parts)[1]

    assert run("merge", parts / "2.jsonl", parts / "0.jsonl", parts / "1.jsonl")[1] == wanted
    assert run("merge", f"{parts}/*.jsonl")[1] == wanted


def test_the_output_of_the_last_merge_is_no_part(run: Run, parts: Path) -> None:
    assert run("merge", parts, "-o", parts / "all.jsonl")[0] == 1
    before = (parts / "all.jsonl").read_bytes()

    assert run("merge", parts, "-o", parts / "all.jsonl")[0] == 1
    assert (parts / "all.jsonl").read_bytes() == before


def test_a_run_without_failures_is_exit_code_0(run: Run, tmp_path: Path) -> None:
    album = make_album(tmp_path / "album", 3)
    run("classify", *WITH_DEMO_MODEL, "--shard", "0/1", "-o", tmp_path / "part.jsonl", album)

    assert run("merge", tmp_path / "part.jsonl")[0] == 0


def lines_of(path: Path) -> list[str]:
    with open(path) as file:
        return file.readlines()


def lose(parts: Path) -> None:
    (parts / "1.jsonl").unlink()


def double(parts: Path) -> None:
    shutil.copy(parts / "1.jsonl", parts / "copy.jsonl")


def take_another_list(parts: Path) -> None:
    change_header(parts / "1.jsonl", list_sha256="0" * 64)


def take_another_model(parts: Path) -> None:
    change_header(parts / "1.jsonl", model_sha256="0" * 64)


def take_another_count(parts: Path) -> None:
    change_header(parts / "1.jsonl", shards=4)


def leave_unfinished(parts: Path) -> None:
    first, rest = (parts / "1.jsonl").read_text().split("\n", 1)
    header = json.loads(first)
    del header["birdlite_run"]["list_sha256"]
    (parts / "1.jsonl").write_text(json.dumps(header) + "\n" + rest)


def add_a_stranger(parts: Path) -> None:
    (parts / "notes.jsonl").write_text('{"index": 0, "target": "a", "status": "ok"}\n')


def tear(parts: Path) -> None:
    (parts / "1.jsonl").write_bytes((parts / "1.jsonl").read_bytes()[:-30])


def lose_a_record(parts: Path) -> None:
    lines = (parts / "1.jsonl").read_bytes().splitlines(keepends=True)
    (parts / "1.jsonl").write_bytes(b"".join(lines[:-1]))


def swap_records(parts: Path) -> None:
    lines = (parts / "1.jsonl").read_bytes().splitlines(keepends=True)
    (parts / "1.jsonl").write_bytes(b"".join([lines[0], lines[2], lines[1], *lines[3:]]))


def steal_a_record(parts: Path) -> None:
    """Shard 2 holds a target of shard 1, and both headers agree with what they hold."""
    lines = lines_of(parts / "2.jsonl")
    stolen = lines_of(parts / "1.jsonl")[1]
    records = sorted([*lines[1:], stolen], key=lambda line: int(json.loads(line)["index"]))
    (parts / "2.jsonl").write_text("".join([lines[0], *records]))
    held = [json.loads(line)["status"] for line in records]
    change_header(parts / "2.jsonl", mine=len(held), failed=held.count("error"))


def shrink(parts: Path) -> None:
    """A part that holds fewer than the list has, and says so."""
    lines = lines_of(parts / "1.jsonl")
    assert json.loads(lines[1])["status"] == "ok"
    (parts / "1.jsonl").write_text("".join([lines[0], *lines[2:]]))
    change_header(parts / "1.jsonl", mine=len(lines) - 2)


FAULTS = [
    (lose, "1 of 3 shards missing: 1"),
    (double, "shard 1 is there twice: {parts}/1.jsonl and {parts}/copy.jsonl"),
    (take_another_list, "{parts}/1.jsonl: of another list than {parts}/0.jsonl: the list has changed"),
    (take_another_list, "; merge --newest puts several runs together"),
    (take_another_model, '{parts}/1.jsonl: of another run than {parts}/0.jsonl: model_sha256 was "'),
    (take_another_count, "{parts}/0.jsonl: shards was 3 and is 4; merge --newest puts several runs together"),
    (leave_unfinished, "{parts}/1.jsonl: unfinished: run shard 1 again with --resume"),
    (add_a_stranger, "{parts}/notes.jsonl: not a part"),
    (tear, "{parts}/1.jsonl:"),
    (lose_a_record, "{parts}/1.jsonl: "),
    (swap_records, "{parts}/1.jsonl: target"),
    (steal_a_record, "is in two parts"),
    (shrink, "no part has 1 of 27 targets"),
]


@pytest.mark.parametrize(
    ("fault", "complaint"),
    FAULTS,
)
def test_what_is_not_one_whole_run_is_one_line_and_nothing_is_written(
    run: Run, parts: Path, tmp_path: Path, fault: Callable[[Path], None], complaint: str
) -> None:
    fault(parts)
    before = sorted(tmp_path.rglob("*"))

    code, out, err = run("merge", parts, "-o", tmp_path / "merged.jsonl")

    assert (code, out) == (3, "")
    assert complaint.format(parts=parts) in err
    assert err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_many_missing_shards_are_counted(run: Run, parts: Path, tmp_path: Path) -> None:
    for index in range(3):
        change_header(parts / f"{index}.jsonl", shards=100)

    assert "97 of 100 shards missing: 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 and 87 more" in run("merge", parts)[2]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "PART is missing: A file"),
        (["no/such.jsonl"], "no/such.jsonl: no such file or folder"),
        (["parts", "-o", "a.json"], "--output a.json: cannot have the suffix .json; use one of .jsonl, .ndjson, .csv,"),
        (
            ["parts", "-o", "a.txt"],
            "cannot have the suffix .txt; use one of .jsonl, .ndjson, .csv, .html, .htm, or --f",
        ),
        (["parts", "--format", "text"], "--format text: not one of jsonl, csv, html"),
        (["parts", "-o", "a.csv", "--keep-header"], "--keep-header needs --format jsonl"),
        (["parts/0.jsonl", "-o", "parts/0.jsonl"], "parts/0.jsonl is both a PART and the --output"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    run: Run, parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], complaint: str
) -> None:
    monkeypatch.chdir(tmp_path)

    code, out, err = run("merge", *arguments)

    assert (code, out) == (2, "")
    assert complaint in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("place", ["alone", "alone/*.jsonl"])
def test_an_output_that_is_the_only_part_is_named(run: Run, parts: Path, tmp_path: Path, place: str) -> None:
    (tmp_path / "alone").mkdir()
    output = tmp_path / "alone" / "birds.jsonl"
    run("merge", parts, "--keep-header", "-o", output)
    before = output.read_bytes()

    code, _, err = run("merge", tmp_path / place, "-o", output)

    assert (code, err) == (3, f"birdlite: error: {output}: the --output is the only part there: write elsewhere\n")
    assert output.read_bytes() == before


def test_an_empty_folder_has_no_parts(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    code, _, err = run("merge", tmp_path / "empty")

    assert (code, err) == (3, "birdlite: error: there are no parts to merge\n")
