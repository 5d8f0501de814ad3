"""The installed command ends its process at once. Nothing may be lost by it: results, files, the cache, exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from birdlite.demo import FOLDER, HOST
from birdlite.models.cache import look_up
from birdlite.models.catalog import CATALOG, DEMO_MODEL
from tests.demo_world import PICTURES
from tests.origin import Origin

ROOT = Path(__file__).parents[2]
PROGRAM = "from birdlite.cli import program; program()"
LATE = "import atexit; atexit.register(print, 'the ordinary end');"


def birdlite(*arguments: object, code: str = PROGRAM, **options: object) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    given = {"capture_output": True, **options}
    return subprocess.run(command, cwd=ROOT, text=True, **given)  # type: ignore[call-overload, no-any-return]


@pytest.fixture
def classify(warm_cache: Path) -> tuple[str, ...]:
    """A command line up to the targets."""
    return ("classify", "--model", DEMO_MODEL, "--cache-dir", str(warm_cache), "--format", "jsonl")


@pytest.mark.parametrize(("arguments", "code"), [(["--version"], 0), (["nonsense"], 2), (["classify"], 2)])
def test_the_exit_code_is_that_of_the_command(arguments: list[str], code: int) -> None:
    assert birdlite(*arguments).returncode == code


def test_all_results_and_messages_are_out_when_it_ends(classify: tuple[str, ...], tmp_path: Path) -> None:
    run = birdlite(*classify, *PICTURES, "missing.jpg", "-v")

    assert run.returncode == 1
    assert [json.loads(line)["index"] for line in run.stdout.splitlines()] == list(range(len(PICTURES) + 1))
    assert "model from the cache" in run.stderr


def test_a_file_of_results_is_whole_when_it_ends(classify: tuple[str, ...], tmp_path: Path) -> None:
    results = tmp_path / "birds.json"

    run = birdlite(*classify[:-1], "json", "-o", results, *PICTURES)

    assert run.returncode == 0, run.stderr
    assert len(json.loads(results.read_text())["results"]) == len(PICTURES)
    assert [path.name for path in tmp_path.glob(".birdlite*")] == []


def test_an_empty_cache_is_full_when_it_ends(origin: Origin, tmp_path: Path) -> None:
    mirror = origin.serve_folder("/mirror", tmp_path / "mirror")
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / HOST).symlink_to(FOLDER)
    cache = tmp_path / "cache"

    run = birdlite("classify", "--model", DEMO_MODEL, "--cache-dir", cache, "--mirror", mirror, PICTURES[0])

    assert run.returncode == 0, run.stderr
    files, problems = look_up(str(cache), CATALOG[DEMO_MODEL])
    assert (sorted(files), problems) == (["labels.csv", "model.tflite", "names.txt"], {})
    assert [path.name for path in cache.rglob("*.partial")] == []


def test_a_full_disk_is_told(classify: tuple[str, ...]) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full")
    with open("/dev/full", "w") as full:
        run = birdlite(*classify, PICTURES[0], capture_output=False, stdout=full, stderr=subprocess.PIPE)

    assert run.returncode == 3
    assert run.stderr.startswith("birdlite: error: standard output: the results cannot be written")


def test_a_full_disk_is_told_of_the_help_too() -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full")
    with open("/dev/full", "w") as full:
        run = birdlite("--help", capture_output=False, stdout=full, stderr=subprocess.PIPE)

    assert run.returncode != 0
    assert "No space left on device" in run.stderr


def test_closed_output_is_told_unless_nothing_is_written_there(classify: tuple[str, ...], tmp_path: Path) -> None:
    command = ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-c", PROGRAM, *classify, str(PICTURES[0])]

    run = subprocess.run(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    to_file = subprocess.run(
        [*command, "-q", "-o", str(tmp_path / "a.csv")], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )

    assert (run.returncode, run.stderr) == (3, "birdlite: error: standard output is closed\n")
    assert (to_file.returncode, to_file.stderr) == (0, "")


def test_no_file_gets_the_number_of_a_stream_that_is_closed(tmp_path: Path) -> None:
    seen = f"open({str(tmp_path / 'seen')!r}, 'w').write(str(os.open('/', os.O_RDONLY)))"
    code = f"import os; from birdlite import cli; cli.main = lambda: {seen} and 0; {PROGRAM}"

    subprocess.run(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-c", code], cwd=ROOT, check=True)

    assert int((tmp_path / "seen").read_text()) > 2


def test_the_interpreter_does_not_take_itself_apart(classify: tuple[str, ...]) -> None:
    quick = birdlite(*classify, PICTURES[0], code=LATE + PROGRAM)
    ordinary = birdlite(*classify, PICTURES[0], code=LATE + "from birdlite.cli import main; main()")

    assert "the ordinary end" not in quick.stdout
    assert "the ordinary end" in ordinary.stdout


def test_garbage_is_looked_for_only_after_a_start_and_threads_take_short_turns() -> None:
    seen = "print(gc.get_threshold()[0], sys.getswitchinterval())"
    code = f"import gc, sys; from birdlite import cli; cli.main = lambda: {seen} or 0; {PROGRAM}"

    threshold, turn = map(float, birdlite(code=code).stdout.split())

    assert 20_000 <= threshold <= 100_000
    assert turn == pytest.approx(0.0005)


@pytest.mark.parametrize("command", [["--version"], ["model", "list"], ["completion", "bash"]])
def test_standard_output_that_is_full_is_one_line_and_exit_code_3(command: list[str]) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full")
    with open("/dev/full", "w") as full:
        run = birdlite(*command, capture_output=False, stdout=full, stderr=subprocess.PIPE)

    assert run.returncode == 3
    assert "No space left on device" in run.stderr or "no space left" in run.stderr.lower()
    assert "Traceback" not in run.stderr
    assert "fault" not in run.stderr


def test_closed_standard_error_changes_no_exit_code(classify: tuple[str, ...]) -> None:
    command = ["sh", "-c", 'exec "$@" 2>&-', "sh", sys.executable, "-c", PROGRAM, *classify]

    assert subprocess.run([*command, str(PICTURES[0])], cwd=ROOT, stdout=subprocess.PIPE).returncode == 0
    assert subprocess.run([*command, "absent.jpg"], cwd=ROOT, stdout=subprocess.PIPE).returncode == 1
    assert subprocess.run([*command, "--top"], cwd=ROOT, stdout=subprocess.PIPE).returncode == 2
