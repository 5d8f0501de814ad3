"""Pages: `classify --report`, `birdlite report` and `birdlite merge -o FILE.html`."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from birdlite.run import report_file
from tests.batch_runs import WITH_DEMO_MODEL, change_header, make_album, records_of
from tests.command_line import Run
from tests.demo_world import LABELS, MODEL, PICTURES
from tests.origin import Origin
from tests.page import Element, facts, numbers, read, rows

ROOT = Path(__file__).parents[2]
TIMED = ("--model", str(MODEL), "--labels", str(LABELS))


@pytest.fixture
def report(tmp_path: Path) -> Path:
    return tmp_path / "report.html"


def page_of(path: Path) -> Element:
    return read(path.read_text(encoding="utf-8"))


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("xdg"))


# classify --report


def test_a_page_appears_beside_the_results_and_does_not_change_them(run: Run, report: Path, tmp_path: Path) -> None:
    arguments = ("classify", *WITH_DEMO_MODEL, *PICTURES, "absent.jpg")
    plain = run(*arguments)

    code, out, err = run(*arguments, "--report", report)

    assert (code, out, err) == (plain[0], plain[1], plain[2].replace("\n", f"; page in {report}\n"))

    page = page_of(report)
    assert plain[0] == 1
    assert [row[0] for row in rows(page)] == [str(index) for index in range(len(PICTURES) + 1)]
    assert rows(page)[0][2].startswith("Demoavis cristata 0.984 ")
    assert rows(page)[-1][2] == "not_found : no such file"
    assert (numbers(page)["pictures"], numbers(page)["failed"]) == (str(len(PICTURES) + 1), "1")
    assert files(tmp_path) == ["report.html"]


@pytest.mark.parametrize("format_", ["text", "json", "jsonl", "csv"])
def test_it_goes_with_any_format_in_a_file_or_on_standard_output(
    run: Run, report: Path, tmp_path: Path, format_: str
) -> None:
    for output in ("-", tmp_path / f"birds.{format_}"):
        assert run("classify", *TIMED, "--format", format_, "-o", output, "--report", report, PICTURES[0])[0] == 0
        assert len(rows(page_of(report))) == 1


def test_it_says_how_the_run_was_and_draws_where_the_time_went(run: Run, report: Path) -> None:
    run("classify", *TIMED, "--threads", 1, "--resize", "squash", "--report", report, *PICTURES)

    page = page_of(report)
    assert facts(page)["engine"] == "litert, 1 thread"
    assert facts(page)["resize"] == "squash"
    stages = {row[0]: row for row in rows(page, "stages")}
    assert stages["decode"][1] == str(len(PICTURES))
    drawing = page.one("svg", "waterfall")
    labels = [one.text for one in drawing.all("text") if one.attributes.get("text-anchor") == "end"]
    assert {"waited for", "interpreter start-up", "model load"} <= set(labels)
    assert labels[-1] == PICTURES[-1].name
    assert len(drawing.all("title")) > 3 * len(PICTURES)


def test_the_table_and_the_breakdown_on_standard_error_are_of_the_same_run(run: Run, report: Path) -> None:
    err = run("classify", *TIMED, "--timing", "--report", report, PICTURES[0])[2]

    total = rows(page_of(report), "stages")[-1]
    assert err.splitlines()[-1].split() == [total[0], total[3].replace(",", "")]


def test_without_times_two_pages_have_the_same_bytes(run: Run, report: Path) -> None:
    arguments = ("classify", *WITH_DEMO_MODEL, "--report", report, *PICTURES, "absent.jpg")
    run(*arguments)
    first = report.read_bytes()

    run(*arguments)

    assert report.read_bytes() == first
    assert page_of(report).all("svg") == []


def test_the_environment_can_ask_for_it(run: Run, report: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIRDLITE_REPORT", str(report))

    run("classify", *WITH_DEMO_MODEL, PICTURES[0])

    assert len(rows(page_of(report))) == 1


def test_names_that_would_be_code_are_text(
    run: Run, report: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    os.symlink(PICTURES[0], "javascript:alert(1)")
    os.symlink(PICTURES[0], "'onmouseover='alert(1)")
    os.symlink(PICTURES[0], '"><script>alert(1)<')

    run("classify", *WITH_DEMO_MODEL, "--report", report, "--", *sorted(os.listdir()), "https://<script>alert(1)//")

    page = page_of(report)
    assert page.all("script") == []
    assert len(rows(page)) == 4
    for link in page.section("pictures").all("a"):
        assert link["href"].startswith("./")
        assert ":" not in link["href"]


def test_more_results_than_are_laid_aside_come_in_their_order(
    run: Run, report: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_file, "HELD", 4)

    run("classify", *WITH_DEMO_MODEL, "--report", report, make_album(tmp_path / "album", 11))

    assert [row[0] for row in rows(page_of(report))] == [str(index) for index in range(11)]


def test_a_shard_has_a_page_of_its_own(run: Run, tmp_path: Path) -> None:
    album = make_album(tmp_path / "album", 20)
    for index in range(2):
        part, report = tmp_path / "part-{shard}.jsonl", tmp_path / "page-{shard}.html"
        run("classify", *TIMED, "--shard", f"{index}/2", "-o", part, "--report", report, album)

    for index in range(2):
        page = page_of(tmp_path / f"page-{index}.html")
        assert facts(page)["shard"] == f"{index}/2"
        names = {
            record["index"]: Path(record["target"]).name for record in records_of(tmp_path / f"part-{index}.jsonl")
        }
        assert {int(row[0]): row[1].split()[0] for row in rows(page)} == names
        drawn = [one.text for one in page.one("svg").all("text") if one.attributes.get("text-anchor") == "end"]
        assert set(names.values()) <= set(drawn)


def test_a_run_that_was_taken_up_says_what_is_not_on_its_page(run: Run, report: Path, tmp_path: Path) -> None:
    album, part = make_album(tmp_path / "album", 6), tmp_path / "part.jsonl"
    arguments = ("classify", *WITH_DEMO_MODEL, "--resume", "-o", part, "--report", report, album)
    run(*arguments)
    assert page_of(report).all("p", "note") == []

    assert run(*arguments)[0] == 0

    page = page_of(report)
    assert numbers(page)["pictures"] == "0"
    assert page.one("p", "note").text == (
        "The run was resumed. Records of earlier starts that are not on this page: 6."
        f" birdlite report {part} makes one of all."
    )


def test_a_run_that_is_taken_up_half_way_counts_what_was_there(run: Run, report: Path, tmp_path: Path) -> None:
    album, part = make_album(tmp_path / "album", 6), tmp_path / "part.jsonl"
    run("classify", *WITH_DEMO_MODEL, "--resume", "-o", part, album)
    header, *lines = part.read_text().splitlines(keepends=True)
    bare = json.loads(header)
    for name in ("targets", "mine", "left_out", "ok", "failed", "list_sha256"):
        del bare["birdlite_run"][name]
    (tmp_path / "part.jsonl.partial").write_text(json.dumps(bare) + "\n" + "".join(lines[:4]))
    part.unlink()

    run("classify", *WITH_DEMO_MODEL, "--resume", "-o", part, "--report", report, album)

    page = page_of(report)
    assert [row[0] for row in rows(page)] == ["4", "5"]
    assert "that are not on this page: 4." in page.one("p", "note").text


def test_an_interrupted_run_has_a_page_that_says_so(origin: Origin, report: Path) -> None:
    origin.hold("/never")
    command = [sys.executable, "-m", "birdlite", "classify", *WITH_DEMO_MODEL, "--format", "jsonl", "--report", report]
    targets = (PICTURES[0], origin.url("/never"))
    with subprocess.Popen([*map(str, command), *map(str, targets)], cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        origin.wait_for(1, "/never")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)

    assert process.returncode == 130
    page = page_of(report)
    assert page.one("p", "note").text == "The run was interrupted. Results before that: 2."
    assert [row[2].split()[0] for row in rows(page)] == ["Demoavis", "cancelled"]


def test_a_run_in_which_nothing_could_run_leaves_the_old_page(run: Run, report: Path, tmp_path: Path) -> None:
    report.write_text("old")

    code, _, _ = run("classify", "--model", tmp_path, "--report", report, PICTURES[0])

    assert code == 3
    assert report.read_text() == "old"
    assert files(tmp_path) == ["report.html"]


def test_a_page_that_cannot_be_written_is_known_before_any_work(run: Run, tmp_path: Path) -> None:
    (tmp_path / "no").touch()
    code, out, err = run("classify", *WITH_DEMO_MODEL, "--report", tmp_path / "no" / "page.html", PICTURES[0])

    assert (code, out) == (3, "")
    wrong = "the results cannot be written: a part of the path is not a folder"
    assert err == f"birdlite: error: {tmp_path}/no/page.html: {wrong}\n"


def test_the_missing_folder_of_a_page_is_made(run: Run, tmp_path: Path) -> None:
    page = tmp_path / "pages" / "today" / "page.html"

    assert run("classify", *WITH_DEMO_MODEL, "--report", page, PICTURES[0])[0] == 0
    assert page.read_text().startswith("<!doctype html>")


def test_a_folder_is_no_page(run: Run, tmp_path: Path) -> None:
    code, out, err = run("classify", *WITH_DEMO_MODEL, "--report", tmp_path, PICTURES[0])

    assert (code, out) == (3, "")
    assert err.count("\n") == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_page_without_permission_is_exit_code_3(run: Run, report: Path) -> None:
    report.touch(0o444)

    assert run("classify", *WITH_DEMO_MODEL, "--report", report, PICTURES[0])[0] == 3


def test_results_stay_when_there_is_no_room_for_the_page(tmp_path: Path) -> None:
    output, report = tmp_path / "birds.json", tmp_path / "report.html"
    report.write_text("old")
    code = (
        "import resource, sys; from birdlite.cli import main;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096));"  # bytes; Python ignores its signal
        "sys.exit(main(sys.argv[1:]))"
    )
    arguments = ("classify", *WITH_DEMO_MODEL, "--no-cache", "-o", output, "--report", report, PICTURES[0])
    command = [sys.executable, "-c", code, *map(str, arguments)]

    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    assert run.returncode == 3
    assert run.stderr == f"birdlite: error: {report}: the results cannot be written: File too large\n"
    assert len(json.loads(output.read_text())["results"]) == 1
    assert report.read_text() == "old"
    assert files(tmp_path) == ["birds.json", "report.html"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["-o", "a.csv", "--report", "./a.csv"], "--report ./a.csv: is the --output too"),
        (["-o", "s3://b/a.csv", "--report", "s3://b/a.csv"], "--report s3://b/a.csv: is the --output too"),
        (["--report", "-"], "--report needs a file"),
        (["--report="], "--report needs a file"),
        (["--report", "page-{shard}.html"], "{shard} needs --shard"),
        (["--report", "s3://b/page.pdf"], "--report s3://b/page.pdf: cannot have the suffix .pdf; use .html or .htm"),
        (["-o", "page.html"], "--output page.html: a page is written beside the results: --report page.html"),
    ],
)
def test_wrong_usage_of_classify_is_one_line_and_exit_code_2(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], complaint: str
) -> None:
    monkeypatch.chdir(tmp_path)

    code, out, err = run("classify", *WITH_DEMO_MODEL, *arguments, PICTURES[0])

    assert (code, out) == (2, "")
    assert complaint in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("path", "folder"),
    [
        ("pages/today.html", "/album/pages"),
        ("/a/b/c.html", "/a/b"),
        ("-", "/album"),
        (None, "/album"),
        ("s3://b/p.html", None),
    ],
)
def test_links_lead_from_the_folder_of_the_page(
    monkeypatch: pytest.MonkeyPatch, path: str | None, folder: str | None
) -> None:
    monkeypatch.setattr(os, "getcwd", lambda: "/album")

    assert report_file.folder_of(path) == folder


def test_a_link_to_the_output_is_the_output(run: Run, tmp_path: Path) -> None:
    os.symlink("birds.json", tmp_path / "page.html")

    assert run("classify", "-o", tmp_path / "birds.json", "--report", tmp_path / "page.html", PICTURES[0])[0] == 2


# merge and report


@pytest.fixture
def parts(run: Run, tmp_path: Path) -> Path:
    """A folder with three parts of one run, 25 pictures and two that are none."""
    folder = tmp_path / "parts"
    folder.mkdir()
    (tmp_path / "text.jpg").write_text("no picture")
    targets = (make_album(tmp_path / "album", 25), tmp_path / "text.jpg", "absent.jpg")
    for index in range(3):
        run("classify", *TIMED, "--min-score", 0.01, "--shard", f"{index}/3", "-o", folder / "{shard}.jsonl", *targets)
    return folder


def test_merge_makes_a_page_of_all_parts(run: Run, parts: Path, report: Path) -> None:
    code, out, err = run("merge", parts, "-o", report)

    assert (code, out) == (1, "")
    assert err == f"birdlite: 3 parts: 25 of 27 targets classified, 2 failed; written to {report}\n"
    page = page_of(report)
    assert [row[0] for row in rows(page)] == [str(index) for index in range(27)]
    assert numbers(page) == {"pictures": "27", "classified": "25", "failed": "2", "species": "6"}
    header = json.loads((parts / "0.jsonl").read_text().split("\n", 1)[0])["birdlite_run"]
    assert facts(page) == {
        "model": header["model"],
        "sha256": header["model_sha256"],
        "birdlite": header["version"],
        "resize": "crop",
        "scores from": "0.01",
    }


def test_the_suffix_or_the_format_asks_merge_for_a_page(run: Run, parts: Path) -> None:
    page = read(run("merge", parts, "--format", "html")[1])

    assert len(rows(page)) == 27


def test_a_merged_page_says_what_scores_had_to_reach_and_what_was_left_out(
    run: Run, report: Path, tmp_path: Path
) -> None:
    album, part = make_album(tmp_path / "album", 3), tmp_path / "parts" / "first.jsonl"
    part.parent.mkdir()
    run("classify", *TIMED, "--shard", "0/1", "-o", part, album / "0000.jpg")
    arguments = ("--min-score", 1, "--since-output", part.parent, "-o", tmp_path / "second.jsonl")
    run("classify", *TIMED, *arguments, album)

    run("merge", tmp_path / "second.jsonl", "-o", report)

    page = page_of(report)
    assert [row[2] for row in rows(page)] == ["nothing above 1", "nothing above 1"]
    assert page.one("p", "note").text == "Pictures left out because earlier runs have them: 1."


def test_merge_writes_no_page_of_parts_that_are_not_all_there(run: Run, parts: Path, report: Path) -> None:
    (parts / "1.jsonl").unlink()

    assert run("merge", parts, "-o", report)[0] == 3
    assert not report.exists()


def test_report_and_merge_show_the_same_pictures(run: Run, parts: Path, report: Path, tmp_path: Path) -> None:
    run("merge", parts, "-o", tmp_path / "merged.html")

    code, out, err = run("report", parts, "-o", report)

    assert (code, out) == (1, "")
    assert err == f"birdlite: 3 outputs: 25 of 27 targets classified, 2 failed; written to {report}\n"
    one, other = page_of(report), page_of(tmp_path / "merged.html")
    assert sorted(rows(one)) == sorted(rows(other))
    assert rows(one, "species") == rows(other, "species")
    assert facts(one) == {**facts(other), "outputs": "3"}
    assert one.all("p", "note") == []


def test_report_reads_plain_json_lines_too(run: Run, report: Path, tmp_path: Path) -> None:
    plain = tmp_path / "birds.jsonl"
    run("classify", *TIMED, "-o", plain, PICTURES[0], "absent.jpg")

    code, _, _ = run("report", plain, "-o", report)

    assert code == 1
    page = page_of(report)
    assert len(rows(page)) == 2
    assert facts(page)["outputs"] == "1"
    assert "model" not in facts(page)
    assert re.search(r"[\d.]+ ms$", rows(page)[0][1])


def test_outputs_of_several_runs_come_one_after_the_other(run: Run, parts: Path, report: Path, tmp_path: Path) -> None:
    plain = tmp_path / "birds.jsonl"
    run("classify", *TIMED, "-o", plain, PICTURES[0], PICTURES[1])

    run("report", plain, parts / "0.jsonl", plain, "-o", report)

    page = page_of(report)
    part = [str(record["index"]) for record in records_of(parts / "0.jsonl")]
    assert [row[0] for row in rows(page)] == ["0", "1", *part, "0", "1"]
    assert facts(page)["outputs"] == "3"
    assert "model" not in facts(page)  # of some of them it is not known


def test_without_failures_it_is_exit_code_0_and_without_a_file_standard_output(run: Run, tmp_path: Path) -> None:
    plain = tmp_path / "birds.jsonl"
    run("classify", *TIMED, "-o", plain, PICTURES[0])

    code, out, err = run("report", plain, "-q")

    assert (code, err) == (0, "")
    assert len(rows(read(out))) == 1


def test_a_report_of_an_incomplete_run_says_so(run: Run, parts: Path, report: Path) -> None:
    (parts / "1.jsonl").unlink()
    first, rest = (parts / "2.jsonl").read_text().split("\n", 1)
    header = json.loads(first)
    del header["birdlite_run"]["list_sha256"]
    (parts / "2.jsonl").write_text(json.dumps(header) + "\n" + rest)

    run("report", parts, "-o", report)

    assert [note.text for note in page_of(report).all("p", "note")] == [
        "The run is not complete. Shards that are not here: 1 of 3.",
        "The run is not complete. Unfinished outputs: 1.",
    ]


def test_a_report_of_several_models_names_them(run: Run, parts: Path, report: Path) -> None:
    change_header(parts / "1.jsonl", model="<b>another</b>")

    run("report", parts, "-o", report)

    page = page_of(report)
    assert page.one("p", "note").text.startswith("Of several runs, with the models <b>another</b>, ")
    assert "model" not in facts(page)


def test_a_page_among_the_parts_and_the_last_one_are_no_parts(run: Run, parts: Path) -> None:
    assert run("report", parts, "-o", parts / "all.html")[0] == 1
    before = (parts / "all.html").read_bytes()

    assert run("report", parts, "-o", parts / "all.html")[0] == 1
    assert (parts / "all.html").read_bytes() == before


RECORD = {"index": 0, "target": "a.jpg", "status": "ok", "predictions": []}
BEST = {"rank": 1, "id": 1, "name": "a", "score": 0.5, "common_name": None}


@pytest.mark.parametrize(
    "record",
    [
        {**RECORD, "predictions": [{**BEST, "score": "0.5"}]},
        {**RECORD, "predictions": [{**BEST, "score": True}]},
        {**RECORD, "predictions": [{**BEST, "score": float("nan")}]},
        {**RECORD, "predictions": [{**BEST, "score": float("inf")}]},
        {**RECORD, "predictions": [{**BEST, "score": 10**400}]},
        {**RECORD, "predictions": [{**BEST, "name": ["a"]}]},
        {**RECORD, "predictions": [{**BEST, "common_name": 5}]},
        {**RECORD, "predictions": [{**BEST, "colour": "red"}]},
        {**RECORD, "predictions": ["a"]},
        {**RECORD, "predictions": 7},
        {**RECORD, "image": {"width": "<b>", "height": 1, "format": "JPEG", "bytes": 1}},
        {**RECORD, "image": {"width": 1, "height": 1, "format": None, "bytes": 1}},
        {**RECORD, "timing_ms": {"fetch": None, "decode": None, "infer": None, "total": None}},
        {**RECORD, "timing_ms": {"fetch": None, "decode": None, "infer": None, "total": "soon"}},
        {**RECORD, "status": "error", "error": {"kind": "<script>", "message": "a"}},
        {**RECORD, "status": "error", "error": {"kind": "decode", "message": {}}},
        {**RECORD, "status": "error", "error": ["decode", "a"]},
        {**RECORD, "status": "perhaps"},
        {**RECORD, "index": "0"},
    ],
)
def test_a_record_that_is_not_birdlites_is_one_line_and_no_page(
    run: Run, report: Path, tmp_path: Path, record: dict[str, object]
) -> None:
    (tmp_path / "strange.jsonl").write_text(json.dumps(record) + "\n")

    code, out, err = run("report", tmp_path / "strange.jsonl", "-o", report)

    assert (code, out) == (3, "")
    assert err.startswith("birdlite: error: ")
    assert "please report it" not in err
    assert err.count("\n") == 1
    assert not report.exists()


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        ([], 2, "PART is missing: Results (jsonl)"),
        (["no/such.jsonl"], 2, "no/such.jsonl: no such file or folder"),
        (["empty"], 3, "there are no results to report on"),
        (["old.html", "-o", "old.html"], 2, "old.html is both a PART and the --output"),
        (["parts/0.jsonl", "-o", "parts/0.jsonl/page.html"], 3, "a part of the path is not a folder"),
        (["album/0000.jpg"], 3, "album/0000.jpg:1: not a record of birdlite"),
    ],
)
def test_wrong_usage_of_report_is_one_line(
    run: Run,
    parts: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    complaint: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "old.html").touch()

    got, out, err = run("report", *arguments)

    assert (got, out) == (code, "")
    assert complaint in err
    assert err.count("\n") == 1
