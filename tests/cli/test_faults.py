"""Too little of something, or a stream that is closed: one line, the right exit code, and no half file."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from birdlite.demo import FOLDER, HOST
from birdlite.models.catalog import DEMO_MODEL
from birdlite.run.worker_pool import WorkerPool
from tests.batch_runs import WITH_DEMO_MODEL, records_of
from tests.command_line import Run
from tests.demo_world import PICTURES
from tests.origin import PATIENCE, Origin

ROOT = Path(__file__).parents[2]
NEEDS_DEV_FULL = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")


LIMITED = (
    "import os, resource, signal, sys; what, value = map(int, sys.argv[1:3]); resource.setrlimit(what, (value, value));"
    "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); os.execv(sys.argv[3], sys.argv[3:])"
)
"""Bounds what a process may have, before it begins. Else SIGXFSZ would end it before it sees the error."""


def birdlite(
    *arguments: object, cwd: Path, limit: tuple[int, int] | None = None, streams: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own. `streams` is what a shell does to its streams, such as `2>&-`."""
    bounds = [] if limit is None else [sys.executable, "-c", LIMITED, *map(str, limit)]
    command = [
        "sh",
        "-c",
        f'exec "$@" {streams}',
        "sh",
        *bounds,
        sys.executable,
        "-m",
        "birdlite",
        *map(str, arguments),
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60)


@pytest.fixture
def mirrored(origin: Origin) -> Sequence[str]:
    """Options and URLs for the demo's pictures, more than a process with few descriptors can fetch at once."""
    origin.serve_folder(f"/{HOST}", Path(FOLDER))
    urls = [f"https://{HOST}/pictures/{picture.name}?{number}" for number in range(5) for picture in PICTURES]
    return ["--mirror", origin.base, *urls]


@pytest.mark.parametrize("size", [0, 2000])
@pytest.mark.parametrize("name", ["birds.csv", "birds.json", "birds.txt"])
def test_a_disk_that_is_full_is_told_and_no_half_file_stays(tmp_path: Path, name: str, size: int) -> None:
    pictures = PICTURES * 4

    run = birdlite(
        "classify", *WITH_DEMO_MODEL, "-o", name, *pictures, cwd=tmp_path, limit=(resource.RLIMIT_FSIZE, size)
    )

    assert run.returncode == 3
    assert run.stderr == f"birdlite: error: {name}: the results cannot be written: File too large\n"
    assert [file for file in os.listdir(tmp_path) if "birds" in file] == []


def test_json_lines_on_a_full_disk_keep_the_whole_records_that_fitted(tmp_path: Path) -> None:
    limit = (resource.RLIMIT_FSIZE, 2000)

    run = birdlite("classify", *WITH_DEMO_MODEL, "--resume", "-o", "a.jsonl", *PICTURES * 4, cwd=tmp_path, limit=limit)
    more = birdlite("classify", *WITH_DEMO_MODEL, "--resume", "-o", "a.jsonl", *PICTURES * 4, cwd=tmp_path)

    assert (run.returncode, more.returncode) == (3, 0)
    assert "records found, continuing" in more.stderr
    assert [record["index"] for record in records_of(tmp_path / "a.jsonl")] == list(range(len(PICTURES) * 4))


def test_plain_json_lines_on_a_full_disk_are_whole_lines(tmp_path: Path) -> None:
    limit = (resource.RLIMIT_FSIZE, 2000)

    run = birdlite("classify", *WITH_DEMO_MODEL, "-o", "a.jsonl", *PICTURES, cwd=tmp_path, limit=limit)

    indexes = [record["index"] for record in records_of(tmp_path / "a.jsonl")]
    assert run.returncode == 3
    assert indexes == list(range(len(indexes)))
    assert 0 < len(indexes) < len(PICTURES)
    assert (tmp_path / "a.jsonl").stat().st_size < 2000  # so that a line was cut, and removed


def test_a_model_that_cannot_be_kept_was_not_fetched(mirrored: Sequence[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("where the cache's folder should be")
    arguments = ("model", "fetch", DEMO_MODEL, *mirrored[:2], "--cache-dir", "file")

    run = birdlite(*arguments, cwd=tmp_path)

    assert (run.returncode, run.stdout) == (3, "")
    assert f"{DEMO_MODEL}: could not be kept in file/models/{DEMO_MODEL}" in run.stderr


@pytest.mark.parametrize("descriptors", [16, 24, 32, 64])
def test_few_descriptors_are_enough(mirrored: Sequence[str], tmp_path: Path, descriptors: int) -> None:
    limit = (resource.RLIMIT_NOFILE, descriptors)
    options = ("--resume", "--shard", "0/1", "-o", "part.jsonl", "--report", "page.html")

    run = birdlite("classify", *WITH_DEMO_MODEL, *options, *mirrored, *PICTURES, cwd=tmp_path, limit=limit)

    assert run.returncode == 0, run.stderr
    assert len(records_of(tmp_path / "part.jsonl")) == 6 * len(PICTURES)


def test_too_few_descriptors_and_too_little_memory_are_no_faults_of_birdlite(tmp_path: Path) -> None:
    limits = [(resource.RLIMIT_NOFILE, 5), (resource.RLIMIT_AS, 48 << 20)]
    if sys.platform != "linux":
        limits.pop()

    for limit in limits:
        run = birdlite("classify", *WITH_DEMO_MODEL, *PICTURES, cwd=tmp_path, limit=limit)

        assert run.returncode == 3
        assert "fault" not in run.stderr
        assert "Traceback" not in run.stderr


def no_thread(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Have the system refuse threads whose name begins so."""
    start = threading.Thread.start

    def refusing(thread: threading.Thread) -> None:
        if thread.name.startswith(name):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refusing)


@pytest.mark.parametrize("name", ["birdlite-classify", "birdlite-feed", "birdlite-fetch"])
def test_a_system_without_threads_is_told_and_nothing_hangs(
    run: Run, monkeypatch: pytest.MonkeyPatch, mirrored: Sequence[str], name: str
) -> None:
    no_thread(monkeypatch, name)

    code, out, err = run("classify", *WITH_DEMO_MODEL, *mirrored)

    assert (code, out) == (3, "")
    assert err == "birdlite: error: the system allows no more threads: too little memory, or a limit on processes\n"


def test_an_engine_is_loaded_without_a_thread_of_its_own_if_there_is_none(
    run: Run, monkeypatch: pytest.MonkeyPatch, mirrored: Sequence[str]
) -> None:
    no_thread(monkeypatch, "birdlite-load")

    code, _, err = run("classify", *WITH_DEMO_MODEL, *mirrored, *PICTURES)

    assert code == 0, err


def test_a_job_that_no_thread_could_be_started_for_stays_with_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []
    pool: WorkerPool[int] = WorkerPool("none", 1, done.extend)
    with monkeypatch.context() as patched:
        no_thread(patched, "none")
        with pytest.raises(RuntimeError, match="can't start new thread"):
            pool.put(0)

    assert pool.put(1)
    pool.stop(timeout=PATIENCE)
    assert done == [1]


def test_threads_that_there_are_do_the_work_of_those_that_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []
    begun, go = threading.Event(), threading.Event()

    def body(jobs: Iterator[int]) -> None:
        begun.set()
        go.wait(PATIENCE)
        done.extend(jobs)

    pool: WorkerPool[int] = WorkerPool("few", 3, body)
    pool.put(0)
    assert begun.wait(PATIENCE)
    no_thread(monkeypatch, "few")

    for job in range(1, 5):
        assert pool.put(job)
    go.set()
    pool.stop(timeout=PATIENCE)

    assert done == [0, 1, 2, 3, 4]


@NEEDS_DEV_FULL
@pytest.mark.parametrize("streams", ["2>&-", "2>/dev/full"])
def test_a_demo_needs_no_standard_error(tmp_path: Path, streams: str) -> None:
    assert birdlite("demo", "--no-timing", cwd=tmp_path, streams=streams).returncode == 0


@pytest.mark.parametrize("command", [["--help"], ["classify", "--help"], ["--version"], ["model", "list"]])
def test_help_on_a_closed_standard_output_is_an_error(tmp_path: Path, command: list[str]) -> None:
    run = birdlite(*command, cwd=tmp_path, streams=">&-")

    assert run.returncode == 3
    assert run.stderr == "birdlite: error: standard output is closed\n"


@pytest.mark.parametrize(
    ("streams", "arguments", "code", "message"),
    [
        (">&-", ("-o", "/dev/stdout", PICTURES[0]), 3, "/dev/stdout: the results cannot be written: it is a folder"),
        ("2>&-", ("-o", "/dev/stderr", PICTURES[0]), 3, ""),
        ("<&-", ("--from", "/dev/stdin"), 2, "/dev/stdin: the list cannot be read: it is a folder"),
        ("<&-", ("/dev/stdin",), 1, "error: not_found: no pictures in this folder\n"),
    ],
)
def test_a_stream_that_is_closed_is_no_other_file(
    tmp_path: Path, streams: str, arguments: tuple[object, ...], code: int, message: str
) -> None:
    """Files that birdlite opens, such as the model's, would get its number and be read or written in its place."""
    run = birdlite("classify", *WITH_DEMO_MODEL, *arguments, cwd=tmp_path, streams=streams)

    assert run.returncode == code
    assert message in run.stdout + run.stderr


def test_a_batch_needs_no_streams_at_all(tmp_path: Path) -> None:
    options = ("--resume", "-o", "a.jsonl", "--report", "page.html")

    run = birdlite("classify", *WITH_DEMO_MODEL, *options, *PICTURES, cwd=tmp_path, streams="<&- >&- 2>&-")

    assert run.returncode == 0
    assert len(records_of(tmp_path / "a.jsonl")) == len(PICTURES)
    assert "</html>" in (tmp_path / "page.html").read_text()


def test_a_demo_without_a_folder_for_temporary_files_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object, **__: object) -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr("tempfile.mkdtemp", none)

    code, _, err = run("demo", "-q")

    assert (code, err) == (3, "birdlite: error: there is no folder for temporary files; TMPDIR names one\n")


def test_a_clock_that_jumps_changes_nothing(
    run: Run, monkeypatch: pytest.MonkeyPatch, mirrored: Sequence[str], tmp_path: Path
) -> None:
    def classify(name: str) -> bytes:
        code, _, err = run("classify", *WITH_DEMO_MODEL, "--resume", "-o", tmp_path / name, *mirrored)
        assert code == 0, err
        return (tmp_path / name).read_bytes()

    before = classify("before.jsonl")
    real = time.time
    jumps: list[float] = []

    def jumping() -> float:
        jumps.append(1e7 if len(jumps) % 2 else -1e7)
        return real() + jumps[-1]

    monkeypatch.setattr(time, "time", jumping)

    assert classify("after.jsonl") == before


def test_nothing_but_a_retry_after_date_looks_at_the_wall_clock() -> None:
    users = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "birdlite").rglob("*.py")
        if any(words in path.read_text() for words in ("time.time(", "datetime.now", "import time as", "localtime("))
    }

    assert users == {"birdlite/http/politeness.py", "birdlite/cli/console.py"}  # the latter: the time of a log line
