"""`birdlite classify` on a part of a list: by an option or by what a pod is told."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from birdlite.batch.files import LINE_LIMIT, read_header, read_lines
from birdlite.batch.part import Part
from birdlite.cli import main
from birdlite.errors import PartsError, UsageError
from birdlite.results import RunSummary
from birdlite.writers.base import RunFacts
from tests.batch_runs import RUN, WITH_DEMO_MODEL, header_of, make_album, records_of, write_part
from tests.demo_world import PICTURES

ROOT = Path(__file__).parents[2]
Classify = Callable[..., tuple[int, str, str]]
REPLACE = "shards that write there replace each other; put {shard} into its name"


@pytest.fixture
def classify(capsys: pytest.CaptureFixture[str]) -> Classify:
    """Run `classify` on the demo model; gives exit code, standard output and standard error."""

    def classify(*arguments: object) -> tuple[int, str, str]:
        code = main(["classify", *WITH_DEMO_MODEL, *map(str, arguments)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return classify


@pytest.fixture
def album(tmp_path: Path) -> Path:
    return make_album(tmp_path / "album", 30)


def test_shards_are_disjoint_and_complete_and_know_the_positions_in_the_whole_list(
    classify: Classify, album: Path, tmp_path: Path
) -> None:
    found: dict[int, str] = {}
    for index in range(3):
        code, out, err = classify("--shard", f"{index}/3", "-o", tmp_path / "part-{shard}.jsonl", album)
        part = tmp_path / f"part-{index}.jsonl"
        records = records_of(part)
        end = f"birdlite: {len(records)} of {len(records)} classified; written to {part}\n"
        assert (code, out, err) == (0, "", end)
        assert header_of(part)["mine"] == len(records) > 0
        assert header_of(part)["targets"] == 30
        found |= {record["index"]: record["target"] for record in records}
        assert len(found) <= 30

    assert [found[index] for index in range(30)] == [str(path) for path in sorted(album.iterdir())]


@pytest.mark.parametrize("extra", [[], ["--unordered"]])
def test_a_shard_twice_gives_the_same_bytes(classify: Classify, album: Path, tmp_path: Path, extra: list[str]) -> None:
    def once(name: str) -> bytes:
        classify("--shard", "1/2", "-o", tmp_path / name, *extra, album)
        return (tmp_path / name).read_bytes()

    assert once("a.jsonl") == once("b.jsonl")


def test_a_line_more_in_the_list_moves_no_other_line_to_another_shard(
    classify: Classify, album: Path, tmp_path: Path
) -> None:
    def members(name: str, *targets: object) -> set[str]:
        classify("--shard", "0/3", "-o", tmp_path / name, *targets)
        return {record["target"] for record in records_of(tmp_path / name)}

    before = members("before.jsonl", album)
    after = members("after.jsonl", PICTURES[0], album, PICTURES[1])

    assert before == after - {str(PICTURES[0]), str(PICTURES[1])}


@pytest.mark.parametrize("format_", ["jsonl", "json", "csv", "text"])
def test_on_standard_output_a_shard_is_plain_records_in_order(classify: Classify, album: Path, format_: str) -> None:
    whole = classify("--format", format_, album)[1]
    parts = [classify("--format", format_, "--shard", f"{index}/2", album)[1] for index in (0, 1)]

    names = sorted(path.name for path in album.iterdir())
    assert [sum(name in part for part in parts) for name in names] == [1] * 30
    assert [name for name in names if name in parts[0]] != names
    assert "birdlite_run" not in parts[0]
    if format_ == "jsonl":
        assert sorted(whole.splitlines()) == sorted("".join(parts).splitlines())


def test_a_plain_run_into_a_file_is_what_it_was(classify: Classify, album: Path, tmp_path: Path) -> None:
    classify("-o", tmp_path / "plain.jsonl", album)

    assert (tmp_path / "plain.jsonl").read_text() == classify("--format", "jsonl", album)[1]


def test_a_pod_of_an_indexed_job_takes_its_part_and_names_it(
    classify: Classify, album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "7")
    monkeypatch.setenv("BIRDLITE_SHARDS", "12")

    assert classify("-o", tmp_path / "part-{shard}.jsonl", album)[0] == 0

    header = header_of(tmp_path / "part-07.jsonl")
    assert (header["shard"], header["shards"]) == (7, 12)


def test_the_option_beats_the_environment(
    classify: Classify, album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "7")

    assert classify("--shard", "0/2", "-o", tmp_path / "part-{shard}.jsonl", album)[0] == 0
    assert (tmp_path / "part-0.jsonl").exists()

    monkeypatch.setenv("BIRDLITE_SHARD", "1/2")
    assert classify("-o", tmp_path / "part-{shard}.jsonl", album)[0] == 0
    assert (tmp_path / "part-1.jsonl").exists()


def test_a_shard_without_any_target_is_a_complete_part(classify: Classify, tmp_path: Path) -> None:
    codes = [classify("--shard", f"{i}/3", "-o", tmp_path / "part-{shard}.jsonl", PICTURES[0])[0] for i in range(3)]

    assert codes == [0, 0, 0]
    assert sorted(header_of(tmp_path / f"part-{index}.jsonl")["mine"] for index in range(3)) == [0, 0, 1]


def test_a_list_from_standard_input_can_be_divided(album: Path, tmp_path: Path) -> None:
    names = "\n".join(str(path) for path in sorted(album.iterdir()))
    command = [sys.executable, "-m", "birdlite", "classify", *WITH_DEMO_MODEL, "--format", "jsonl", "--shard"]
    outs = [
        subprocess.run([*command, f"{i}/2", "-"], cwd=ROOT, input=names, capture_output=True, text=True, check=True)
        for i in (0, 1)
    ]

    indexes = [json.loads(line)["index"] for out in outs for line in out.stdout.splitlines()]
    assert sorted(indexes) == list(range(30))


def test_a_part_is_a_list_too_and_its_header_no_target(classify: Classify, album: Path, tmp_path: Path) -> None:
    classify("--shard", "0/1", "-o", tmp_path / "part.jsonl", album)

    code, out, _ = classify("--format", "jsonl", "--from", tmp_path / "part.jsonl")

    assert (code, len(out.splitlines())) == (0, 30)


USAGE = [
    (["--shard", "5/4"], {}, "--shard 5/4: the index of one of 4 shards must be from 0 to 3"),
    (["--shard", "0/0"], {}, "--shard 0/0: the number of shards must be from 1 to"),
    (["--shard", "first"], {}, "--shard first: not a shard such as 0/4"),
    ([], {"JOB_COMPLETION_INDEX": "0"}, "an index without a count: set BIRDLITE_SHARDS"),
    ([], {"BIRDLITE_SHARDS": "4"}, "a count without an index"),
    ([], {"BIRDLITE_SHARD": "4/4"}, "BIRDLITE_SHARD=4/4: the index"),
    (["-o", "part-{shard}.jsonl"], {}, "{shard} needs --shard"),
    (["--retry-failed"], {}, "--retry-failed goes with --resume"),
    (["--resume"], {}, "--resume needs a file to go on with"),
    (["--resume", "-o", "-"], {}, "--resume needs a file to go on with"),
    (["--resume", "-o", "/dev/null", "--format", "jsonl"], {}, "--resume needs a file to go on with"),
    (["--resume", "-o", "a.csv"], {}, "--resume needs a file to go on with"),
    (["--since-output", "no/such.jsonl"], {}, "no/such.jsonl: no such file or folder"),
]


@pytest.mark.parametrize(("arguments", "variables", "complaint"), USAGE)
def test_wrong_usage_is_one_line_and_exit_code_2(
    classify: Classify,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: list[str],
    variables: dict[str, str],
    complaint: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    code, out, err = classify(*arguments, PICTURES[0])

    assert (code, out) == (2, "")
    assert complaint in err
    assert err.count("\n") == 1


def test_a_plain_run_imports_nothing_of_this() -> None:
    code = "import sys; from birdlite.cli import main; main(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    command = [sys.executable, "-c", code, "classify", *WITH_DEMO_MODEL, str(PICTURES[0])]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)

    assert not {name for name in run.stderr.split() if name.startswith("birdlite.batch")}


@pytest.mark.parametrize("resume", [(), ("--resume",)])
@pytest.mark.parametrize("complete", [True, False])
def test_a_shard_does_not_take_the_place_of_another(
    classify: Classify, album: Path, tmp_path: Path, complete: bool, resume: tuple[str, ...]
) -> None:
    part = tmp_path / "same.jsonl"
    assert classify("--shard", "0/2", "-o", part, album)[0] == 0
    if not complete:
        part = part.rename(tmp_path / "same.jsonl.partial")
    before = part.read_bytes()

    with part.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # as a run does that is still making it
        code, _, err = classify("--shard", "1/2", *resume, "-o", tmp_path / "same.jsonl", album)

    assert (code, err) == (
        2,
        (
            f"birdlite: error: {part}: has shard 0 of 2, and this run is shard 1 of 2;"
            " put {shard} into the name of --output, or remove this one\n"
        ),
    )
    assert part.read_bytes() == before
    assert [path.name for path in tmp_path.glob("same*")] == [part.name]


def test_a_shard_that_another_has_overtaken_is_refused_before_the_work(
    classify: Classify, album: Path, tmp_path: Path
) -> None:
    path, partial = tmp_path / "same.jsonl", tmp_path / "same.jsonl.partial"
    assert classify("--shard", "1/2", "-o", path, album)[0] == 0
    path.rename(partial)
    partial.write_text("".join(partial.read_text().splitlines(keepends=True)[:1]))
    before = partial.read_bytes()
    assert classify("--shard", "0/2", "-o", tmp_path / "other.jsonl", album)[0] == 0
    (tmp_path / "other.jsonl").rename(path)

    code, _, err = classify("--shard", "1/2", "--resume", "-o", path, album)

    assert (code, f"{path}: has shard 0 of 2, and this run is shard 1 of 2" in err) == (2, True)
    assert "classified" not in err
    assert partial.read_bytes() == before


@pytest.mark.parametrize("resume", [(), ("--resume",)])
def test_a_pipe_in_place_of_the_unfinished_file_is_an_error_at_once(
    classify: Classify, album: Path, tmp_path: Path, resume: tuple[str, ...]
) -> None:
    os.mkfifo(tmp_path / "birds.jsonl.partial")

    code, _, err = classify("--shard", "0/2", *resume, "-o", tmp_path / "birds.jsonl", album)

    words = f"{tmp_path}/birds.jsonl.partial: not a regular file; move it away"
    assert (code, err) == (3, f"birdlite: error: {words}\n")


def test_of_a_file_without_lines_no_more_is_read_than_a_header_needs(tmp_path: Path) -> None:
    path = tmp_path / "huge.jsonl"
    path.touch()
    os.truncate(path, LINE_LIMIT + 2)
    with pytest.raises(PartsError, match="a line longer than"):
        read_lines(str(path))

    assert read_header(str(path)) is None


@pytest.mark.parametrize("name", ["birds.csv", "birds.json", "birds.txt"])
def test_a_shard_that_can_replace_the_results_of_another_warns_before_it_begins(
    classify: Classify, album: Path, tmp_path: Path, name: str
) -> None:
    for index in range(2):
        code, _, err = classify("--shard", f"{index}/2", "-o", tmp_path / name, album)

        assert code == 0
        assert err.startswith(f"birdlite: warning: --output {tmp_path / name}: {REPLACE}\n")

    assert "warning" not in classify("--shard", "0/2", "-o", tmp_path / f"{{shard}}-{name}", album)[2]
    assert "warning" not in classify("--shard", "0/1", "-o", tmp_path / name, album)[2]


def test_a_shard_warns_of_a_page_too_and_not_of_what_is_no_file(
    classify: Classify, album: Path, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"

    assert "warning" not in classify("--shard", "0/2", "--format", "csv", "-o", os.devnull, album)[2]
    assert "warning" not in classify("--shard", "0/2", "--format", "csv", album)[2]
    _, _, err = classify("--shard", "0/2", "-o", tmp_path / "part.jsonl", "--report", page, album)

    assert err.startswith(f"birdlite: warning: --report {page}: {REPLACE}\n")
    assert err.count("warning") == 1


@pytest.mark.parametrize("again", [("--shard", "0/2"), ("--shard", "0/3"), ()])
def test_the_same_shard_and_a_run_of_the_whole_list_may_replace_a_part(
    classify: Classify, album: Path, tmp_path: Path, again: tuple[str, ...]
) -> None:
    assert classify("--shard", "0/2", "-o", tmp_path / "same.jsonl", album)[0] == 0

    assert classify(*again, "-o", tmp_path / "same.jsonl", album)[0] == 0


def test_a_shard_that_another_machine_has_finished_meanwhile_stays(tmp_path: Path) -> None:
    path, elsewhere = tmp_path / "same.jsonl", tmp_path / "elsewhere.jsonl"
    write_part(elsewhere, {"a.jpg": "Alca"}, run=RUN._replace(shard=0, shards=2))
    other = elsewhere.read_bytes()

    with Part(str(path), times=False) as part:
        part.begin(RUN._replace(shard=1, shards=2))
        part.end(targets=1, left_out=0, list_sha256="c" * 64)
        elsewhere.rename(path)
        with pytest.raises(UsageError, match=r"same\.jsonl: has shard 0 of 2, and this run is shard 1 of 2;") as caught:
            part.finish(RunFacts(RunSummary(0, 0, 0, 0.0, 0.0), None))
    assert f"; all records are in {path}.partial, where --resume finds them, once {path} is moved away" in str(
        caught.value
    )

    assert path.read_bytes() == other
    assert (tmp_path / "same.jsonl.partial").exists()
