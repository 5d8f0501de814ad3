"""A part that is killed, cut and resumed: the same bytes in the end, or a clear error."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from birdlite.cli import main
from tests.batch_runs import WITH_DEMO_MODEL, change_header, header_of, make_album, records_of
from tests.command_line import Run
from tests.demo_world import PICTURES
from tests.fetching import until
from tests.origin import Origin

ROOT = Path(__file__).parents[2]
PATIENTLY = ("--timeout", "3600", "--read-timeout", "3600")  # s: what a test holds is not given up meanwhile
Classify = Callable[..., tuple[int, str]]


@pytest.fixture
def album(tmp_path: Path) -> Path:
    return make_album(tmp_path / "album", 30)


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "part.jsonl"


@pytest.fixture
def partial(tmp_path: Path) -> Path:
    return tmp_path / "part.jsonl.partial"


@pytest.fixture
def classify(capsys: pytest.CaptureFixture[str], part: Path) -> Classify:
    """Classify into the part with --resume; gives exit code and standard error."""

    def classify(*arguments: object, resume: bool = True) -> tuple[int, str]:
        how = ("--resume",) if resume else ("--shard", "0/1")
        code = main(["classify", *WITH_DEMO_MODEL, *how, "-o", str(part), *map(str, arguments)])
        return code, capsys.readouterr().err

    return classify


def cut(part: Path, partial: Path, *, lines: int, torn: bytes = b"") -> None:
    """Leave what a run that was killed after so many lines would leave."""
    whole = part.read_bytes().splitlines(keepends=True)
    partial.write_bytes(b"".join(whole[:lines]) + torn)
    header = header_of(partial)
    for name in ("targets", "mine", "left_out", "ok", "failed", "list_sha256"):
        header.pop(name)
    text = partial.read_bytes().partition(b"\n")[2]
    partial.write_bytes(json.dumps({"birdlite_run": header}).encode() + b"\n" + text)
    part.unlink()


# Killed


def start(part: Path, *arguments: object, how: tuple[str, ...] = ("--resume",)) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "birdlite", "classify", *WITH_DEMO_MODEL, *PATIENTLY, *how, "-q", "-o", part]
    return subprocess.Popen([*map(str, command), *map(str, arguments)], cwd=ROOT)


def lines_in(path: Path) -> int:
    try:
        return path.read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def test_what_a_run_left_that_was_killed_while_it_finished_is_removed(classify: Classify, part: Path) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    left = part.parent / f".part.jsonl.{dead.pid}-0a1b2c3d.partial"
    left.touch()

    assert classify(PICTURES[0])[0] == 0
    assert [path.name for path in part.parent.iterdir() if path.is_file()] == ["part.jsonl"]


def test_ten_kills_at_random_moments_change_no_byte(tmp_path: Path, part: Path, partial: Path, origin: Origin) -> None:
    album = make_album(tmp_path / "album", 400)
    held = origin.url("/held.jpg")  # a run cannot end while it waits for this one, so every kill hits
    targets = (PICTURES[0], held, "absent.jpg", album)
    origin.serve("/held.jpg", PICTURES[1].read_bytes())
    undisturbed = tmp_path / "undisturbed.jsonl"
    with start(undisturbed, *targets) as process:
        assert process.wait() == 1

    release = origin.hold("/held.jpg", PICTURES[1].read_bytes())
    for moment in sorted(random.Random(5).sample(range(1, 400), 10)):
        with start(part, *targets) as process:
            until(lambda moment=moment: lines_in(partial) >= moment)  # type: ignore[misc]
            process.kill()
            assert process.wait() == -signal.SIGKILL
        assert not part.exists()
    release.set()
    with start(part, *targets) as process:
        assert process.wait() == 1

    assert part.read_bytes() == undisturbed.read_bytes()
    assert not partial.exists()


def test_a_resumed_run_does_not_classify_again_what_it_has(
    classify: Classify, album: Path, part: Path, partial: Path
) -> None:
    classify(album)
    before = part.read_bytes()
    cut(part, partial, lines=21)
    for picture in sorted(album.iterdir())[:20]:
        picture.unlink()
        picture.touch()  # would be a failure

    code, err = classify(album)

    assert (code, part.read_bytes()) == (0, before)
    assert "20 records found, continuing" in err


def test_a_cut_last_line_is_removed_and_done_again_wherever_it_was_cut(
    classify: Classify, album: Path, part: Path, partial: Path
) -> None:
    classify(album)
    before = part.read_bytes()
    line = before.splitlines(keepends=True)[6]
    for end in (1, 12, len(line) // 2, len(line) - 2, len(line) - 1):
        cut(part, partial, lines=6, torn=line[:end])

        assert classify(album)[0] == 0
        assert part.read_bytes() == before, end


def test_a_cut_header_is_a_run_that_has_not_begun(classify: Classify, album: Path, part: Path, partial: Path) -> None:
    classify(album)
    before = part.read_bytes()
    cut(part, partial, lines=1)
    header = partial.read_bytes()
    for end in (0, 1, 20, len(header) - 1):
        part.unlink(missing_ok=True)
        partial.write_bytes(header[:end])

        assert classify(album)[0] == 0
        assert part.read_bytes() == before, end


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_an_interrupted_run_leaves_what_it_has_and_no_part(
    album: Path, part: Path, partial: Path, origin: Origin, number: signal.Signals, code: int
) -> None:
    release = origin.hold("/held.jpg", PICTURES[1].read_bytes())
    with start(part, origin.url("/held.jpg"), album) as process:
        until(lambda: lines_in(partial) == 31)
        process.send_signal(number)
        assert process.wait() == code
    assert not part.exists()
    assert [record["status"] for record in records_of(partial)] == ["ok"] * 30

    release.set()
    with start(part, origin.url("/held.jpg"), album) as process:
        assert process.wait() == 0
    assert [record["index"] for record in records_of(part)] == list(range(31))


def test_a_second_run_on_the_same_output_is_refused(
    classify: Classify, album: Path, part: Path, partial: Path, origin: Origin
) -> None:
    release = origin.hold("/held.jpg", PICTURES[1].read_bytes())
    with start(part, origin.url("/held.jpg"), album) as process:
        until(lambda: lines_in(partial) == 31)

        assert classify(album) == (4, f"birdlite: error: {partial}: another run is writing this output\n")

        release.set()
        assert process.wait() == 0


def test_so_it_is_without_resume(run: Run, album: Path, part: Path, origin: Origin) -> None:
    release = origin.hold("/held.jpg", PICTURES[1].read_bytes())
    with start(part, album, origin.url("/held.jpg"), how=()) as process:
        until(lambda: lines_in(part) == 30)

        code, out, err = run("classify", *WITH_DEMO_MODEL, "-o", part, album)

        assert (code, out, err) == (4, "", f"birdlite: error: {part}: another run is writing this output\n")
        release.set()
        assert process.wait() == 0
    assert [json.loads(line)["index"] for line in part.read_text().splitlines()] == list(range(31))


# Complete


def test_a_part_begins_with_what_it_is_and_its_records_are_by_index(
    classify: Classify, album: Path, part: Path, partial: Path
) -> None:
    assert classify(album, "absent.jpg")[0] == 1

    header = header_of(part)
    assert (header["shard"], header["shards"], header["timing"], header["top"]) == (0, 1, False, 3)
    assert (header["targets"], header["mine"], header["ok"], header["failed"]) == (31, 31, 30, 1)
    assert [record["index"] for record in records_of(part)] == list(range(31))
    assert not partial.exists()


def test_a_complete_part_stays_and_gives_its_exit_code_again(classify: Classify, album: Path, part: Path) -> None:
    classify(album, "absent.jpg")
    before = part.stat()

    code, err = classify(album, "absent.jpg")

    assert code == 1
    assert err == f"birdlite: {part}: already complete, nothing to do\n"
    assert (part.stat().st_ino, part.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_an_interruption_counts_what_was_written(
    album: Path, part: Path, partial: Path, origin: Origin, tmp_path: Path
) -> None:
    for number in range(5):
        origin.hold(f"/held-{number}.jpg")
    held = [origin.url(f"/held-{number}.jpg") for number in range(5)]
    options = (*WITH_DEMO_MODEL, *PATIENTLY, "--resume", "-o", str(part))
    command = [sys.executable, "-m", "birdlite", "classify", *options]
    with subprocess.Popen([*command, *held, str(album)], cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        until(lambda: lines_in(partial) == 31)
        origin.wait_for(5)
        process.send_signal(signal.SIGTERM)
        said = process.communicate()[1]

    assert "cancelled 5" in said  # they were under way
    assert "interrupted; 30 results were written" in said


def test_without_resume_an_unfinished_part_is_replaced_with_a_message(
    classify: Classify, album: Path, part: Path, partial: Path
) -> None:
    classify(album)
    before = part.read_bytes()
    cut(part, partial, lines=9)

    code, err = classify(album, resume=False)

    assert (code, part.read_bytes()) == (0, before)
    assert "left by an earlier run; starting again" in err


@pytest.mark.parametrize("complete", [True, False])
def test_failures_stay_without_retry_failed(
    classify: Classify, album: Path, part: Path, partial: Path, complete: bool
) -> None:
    picture = next(album.glob("0003.*"))
    good = picture.resolve()
    picture.unlink()
    picture.write_bytes(b"")
    assert classify(album)[0] == 1
    if not complete:
        cut(part, partial, lines=20)
    picture.unlink()
    picture.symlink_to(good)

    if complete:
        assert classify(album)[0] == 1
    assert classify(album, "--retry-failed")[0] == 0

    assert (header_of(part)["ok"], header_of(part)["failed"]) == (30, 0)
    assert [record["index"] for record in records_of(part)] == list(range(30))
    assert not partial.exists()


@pytest.mark.parametrize("complete", [True, False])
def test_a_failure_that_is_tried_again_is_no_record_of_an_earlier_start(
    classify: Classify, part: Path, partial: Path, tmp_path: Path, complete: bool
) -> None:
    late = tmp_path / "late.jpg"
    targets = (PICTURES[0], late, tmp_path / "absent.jpg")
    assert classify(*targets)[0] == 1
    if not complete:
        cut(part, partial, lines=4)
    late.symlink_to(PICTURES[1])

    code, err = classify(*targets, "--retry-failed")

    found = f"{part}: complete, with 2 failures to try again" if complete else f"{partial}: 3 records found, continuing"
    end = f"1 of 2 classified, 1 failed (not_found 1), 1 by earlier starts; written to {part}"
    assert (code, err) == (1, f"birdlite: {found}\nbirdlite: {end}\n")


# Refused


def test_an_output_of_another_model_is_refused(classify: Classify, album: Path, part: Path) -> None:
    classify(album)
    change_header(part, model_sha256="0" * 64)

    code, err = classify(album)

    assert code == 3
    assert f'{part}: made with other parameters: model_sha256 was "{"0" * 64}" and is "' in err


@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize(
    ("arguments", "difference"),
    [
        (["--resize", "squash"], 'resize was "crop" and is "squash"'),
        (["--top", "5"], "top was 3 and is 5"),
        (["--min-score", "0.5"], "min_score was 0.0 and is 0.5"),
        (["--timing"], "timing was false and is true"),
        (["--shard", "1/2"], "shard was 0 and is 1"),
    ],
)
def test_an_output_made_with_other_parameters_is_refused_and_left_as_it_is(
    classify: Classify,
    album: Path,
    part: Path,
    partial: Path,
    arguments: list[str],
    difference: str,
    complete: bool,
) -> None:
    classify(album)
    if not complete:
        cut(part, partial, lines=9)
    there = part if complete else partial
    before = there.read_bytes()

    code, err = classify(album, *arguments)

    assert code == 3
    assert f"{there}: made with other parameters: {difference}" in err
    assert err.count("\n") == 1
    assert there.read_bytes() == before


def test_a_list_that_has_changed_is_refused_with_the_first_target_that_differs(
    classify: Classify, album: Path, tmp_path: Path, part: Path, partial: Path
) -> None:
    listed = tmp_path / "list.txt"
    names = [str(path) for path in sorted(album.iterdir())]
    listed.write_text("\n".join(names))
    classify("--from", listed)
    cut(part, partial, lines=20)
    del names[4]
    listed.write_text("\n".join(names))

    code, err = classify("--from", listed)

    assert code == 3
    assert "the list has changed: target 4 was '" in err
    assert f"and is {names[4]!r}" in err
    assert len(records_of(partial)) == 19


def test_a_list_that_has_become_shorter_is_refused(classify: Classify, album: Path, part: Path, partial: Path) -> None:
    classify(album)
    cut(part, partial, lines=30)
    for picture in sorted(album.iterdir())[20:]:
        picture.unlink()

    code, err = classify(album)

    assert code == 3
    assert "the list has changed: it had a target 28 and now ends before it" in err


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b'{"index": 0, "target": "a"}\n', "not an output of --shard or --resume"),
        (b"mine", "not an output of --shard or --resume"),
        (b"\0" * 100, "this file is not text, and the results would replace it; move it away"),
    ],
)
def test_a_file_of_another_program_is_refused_and_stays(
    classify: Classify, album: Path, part: Path, partial: Path, content: bytes, what: str
) -> None:
    partial.write_bytes(content)
    assert "not an unfinished output of birdlite" in classify(album)[1]
    assert partial.read_bytes() == content

    partial.unlink()
    part.write_bytes(content)
    assert what in classify(album)[1]
    assert part.read_bytes() == content


def test_a_disk_that_is_full_ends_the_run_and_what_fits_stays(
    album: Path, part: Path, partial: Path, tmp_path: Path
) -> None:
    limit = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000)); import signal;"
    limit += "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
    limit += "from birdlite.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", limit, "classify", *WITH_DEMO_MODEL, "--no-cache", "--resume", "-o", str(part)]
    run = subprocess.run([*command, str(album)], cwd=ROOT, capture_output=True, text=True)

    assert run.returncode == 3
    assert run.stderr == f"birdlite: error: {partial}: the results cannot be written: File too large\n"
    assert not part.exists()
    assert main(["classify", *WITH_DEMO_MODEL, "--resume", "-q", "-o", str(part), str(album)]) == 0
    assert len(records_of(part)) == 30


def test_a_missing_folder_is_made(classify: Classify, album: Path, tmp_path: Path) -> None:
    code, _ = classify(album, "-o", tmp_path / "runs" / "today" / "part.jsonl")

    assert code == 0
    assert os.listdir(tmp_path / "runs" / "today") == ["part.jsonl"]


def test_a_part_never_replaces_a_picture(classify: Classify, album: Path, tmp_path: Path) -> None:
    picture = tmp_path / "part.jsonl"
    picture.write_bytes(PICTURES[0].read_bytes())
    code, err = classify(album, "-o", picture)

    assert code == 3
    assert "a picture is there" in err
    assert picture.read_bytes() == PICTURES[0].read_bytes()
