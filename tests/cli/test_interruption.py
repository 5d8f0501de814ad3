"""Ctrl-C, SIGTERM and SIGHUP, from the first statement of the process on: none is lost, none gives a traceback."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from birdlite import Classifier, Settings
from birdlite.cli.interruption import Interrupted, Interruption
from birdlite.evaluate import Comparison, combinations, open_source
from birdlite.models.catalog import DEMO_MODEL
from birdlite.results import Progress, Result
from birdlite.writers.record import to_json
from tests.batch_runs import WITH_DEMO_MODEL, make_album, records_of, write_part
from tests.command_line import Run
from tests.demo_world import PICTURES
from tests.origin import PATIENCE, Origin

ROOT = Path(__file__).parents[2]
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
DIE = "import os, sys; from birdlite import cli; cli.main = lambda: os.kill(os.getpid(), int(sys.argv.pop())) or 7;"
HOLDS = (  # a command whose pictures are never decoded, so it does not end by itself
    "import threading; from birdlite.images import picture; picture.plan = lambda *_, **__: threading.Event().wait();"
    "from birdlite.cli import program; program()"
)
STARTS = {
    "birdlite": DIE + "cli.program()",
    "python -m birdlite": DIE + "import runpy; runpy.run_module('birdlite', run_name='__main__')",
}


IGNORING = (
    sys.executable,
    "-c",
    "import os, signal, sys; signal.signal(int(sys.argv[1]), signal.SIG_IGN); os.execv(sys.argv[2], sys.argv[2:])",
)


@pytest.fixture(params=SIGNALS, ids=lambda number: number.name)
def number(request: pytest.FixtureRequest) -> signal.Signals:
    """One of the three."""
    chosen: signal.Signals = request.param
    return chosen


def send_to_this_process(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("way", STARTS)
def test_before_a_command_has_begun_a_signal_ends_the_process_without_a_word(way: str, number: signal.Signals) -> None:
    run = subprocess.run(
        [sys.executable, "-c", STARTS[way], str(int(number))], cwd=ROOT, capture_output=True, text=True
    )

    assert (run.returncode, run.stdout, run.stderr) == (-number, "", "")


def test_the_first_statement_of_the_command_comes_before_any_slow_import() -> None:
    code = "import sys, birdlite.cli; print(*sys.modules)"

    loaded = subprocess.run([sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True).stdout.split()

    assert "birdlite.cli" in loaded
    assert not {"typing", "re", "signal", "birdlite.errors"} & set(loaded)


def test_a_signal_asks_the_command_to_stop_and_is_its_exit_code(number: signal.Signals) -> None:
    asked = threading.Event()

    with Interruption(asked.set) as interruption:
        send_to_this_process(number)
        assert asked.wait(PATIENCE)

    assert interruption.exit_code == 128 + number


def test_a_signal_that_comes_before_there_is_a_run_stops_it_at_its_start(number: signal.Signals) -> None:
    asked: list[str] = []

    with Interruption() as interruption:
        send_to_this_process(number)
        interruption.calls(lambda: asked.append("stop"))

    assert asked == ["stop"]


def test_stopping_may_take_a_lock_that_the_interrupted_code_holds() -> None:
    lock, stopped = threading.Lock(), threading.Event()

    def stop() -> None:
        with lock:
            stopped.set()

    with Interruption(stop):
        with lock:
            send_to_this_process(signal.SIGINT)
        assert stopped.wait(PATIENCE)


def test_without_a_thread_left_the_handler_stops_the_run_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_: object) -> int:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("birdlite.cli.interruption.start_new_thread", none_left)
    asked: list[str] = []

    with Interruption(lambda: asked.append("stop")):
        send_to_this_process(signal.SIGTERM)

    assert asked == ["stop"]


def test_a_signal_that_comes_twice_at_once_is_one_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """`timeout` sends it to the process and to its group; a closing terminal and its shell both send SIGHUP."""
    monkeypatch.setattr("birdlite.cli.interruption.clock", lambda: 1.0)  # at once, however busy the machine is
    with Interruption() as interruption:
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGHUP, signal.SIGHUP):
            send_to_this_process(number)

    assert interruption.exit_code == 143


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_second_one_ends_the_process_at_once(number: signal.Signals) -> None:
    code = (
        "import threading; from birdlite.cli.interruption import Interruption\n"
        "with Interruption(lambda: print('stopping', flush=True)):\n"
        "    print('ready', flush=True)\n"
        "    threading.Event().wait()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.stdout.readline() == "stopping\n"
        while process.poll() is None:  # a person who presses it again
            process.send_signal(number)
            try:
                process.wait(0.2)
            except subprocess.TimeoutExpired:
                continue

    assert process.returncode == 128 + number


@pytest.mark.parametrize("way", STARTS)
def test_a_signal_that_is_ignored_when_the_process_starts_stays_ignored(way: str, number: signal.Signals) -> None:
    command = [*IGNORING, str(int(number)), sys.executable, "-c", STARTS[way], str(int(number))]

    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 7


def test_a_run_does_not_end_by_a_signal_that_is_ignored(
    warm_cache: Path, origin: Origin, tmp_path: Path, number: signal.Signals
) -> None:
    """As `nohup`, `trap '' TERM` and the background of a script have it."""
    release = origin.hold("/held.jpg", PICTURES[0].read_bytes())
    command = (sys.executable, "-m", "birdlite", "classify", *WITH_DEMO_MODEL, "-q", "-o", str(tmp_path / "out.jsonl"))
    with subprocess.Popen([*IGNORING, str(int(number)), *command, origin.url("/held.jpg")], cwd=ROOT) as process:
        origin.wait_for(1, "/held.jpg")
        process.send_signal(number)
        release.set()

        assert process.wait(PATIENCE) == 0
    assert [record["status"] for record in records_of(tmp_path / "out.jsonl")] == ["ok"]


def test_a_program_that_uses_birdlite_keeps_its_handlers(run: Run, warm_cache: Path) -> None:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    during: list[dict[signal.Signals, object]] = []

    with Classifier(Settings(model=DEMO_MODEL, cache_dir=str(warm_cache))) as birds:
        results = birds.classify_many(map(str, PICTURES))
        during.extend({number: signal.getsignal(number) for number in SIGNALS} for _ in results)
    code, _, _ = run("classify", *WITH_DEMO_MODEL, PICTURES[0])

    assert code == 0
    assert all(state == before for state in [*during, {number: signal.getsignal(number) for number in SIGNALS}])


def test_records_end_between_two_of_them(number: signal.Signals) -> None:
    def records() -> Iterator[int]:
        yield 1
        send_to_this_process(number)
        yield 2

    seen: list[int] = []

    def read() -> None:
        with Interruption() as interruption:
            seen.extend(interruption.until(records()))

    with pytest.raises(Interrupted) as caught:
        read()

    assert (seen, caught.value.exit_code) == ([1], 128 + number)


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """A folder with a part of fifty records."""
    (tmp_path / "parts").mkdir()
    write_part(tmp_path / "parts" / "part-0.jsonl", {f"{number}.jpg": "Demoavis cristata" for number in range(50)})
    return tmp_path / "parts"


@pytest.fixture
def signal_at_the_tenth_record(monkeypatch: pytest.MonkeyPatch, number: signal.Signals) -> None:
    """`merge` gets the signal while it writes."""
    written = []

    def interrupted(record: dict[str, object]) -> str:
        written.append(record)
        if len(written) == 10:
            send_to_this_process(number)
        return to_json(record)

    monkeypatch.setattr("birdlite.cli.merge.to_json", interrupted)


@pytest.mark.usefixtures("signal_at_the_tenth_record")
def test_an_interrupted_merge_leaves_no_file(run: Run, parts: Path, tmp_path: Path, number: signal.Signals) -> None:
    out = tmp_path / "out"

    code, _, err = run("merge", parts, "-o", out / "all.jsonl")

    assert (code, err) == (128 + number, "")
    assert list(out.iterdir()) == []


@pytest.mark.usefixtures("signal_at_the_tenth_record")
def test_an_interrupted_merge_prints_whole_lines(run: Run, parts: Path, number: signal.Signals) -> None:
    code, out, _ = run("merge", parts)

    assert code == 128 + number
    assert [json.loads(line)["index"] for line in out.splitlines()] == list(range(10))


@pytest.mark.parametrize("command", ["classify", "merge"])
def test_a_wait_for_the_reader_of_a_pipe_ends(parts: Path, tmp_path: Path, command: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    arguments = [*WITH_DEMO_MODEL, "--format", "csv", str(PICTURES[0])] if command == "classify" else [str(parts)]
    with subprocess.Popen(
        [sys.executable, "-m", "birdlite", command, *arguments, "-o", str(tmp_path / "pipe")],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert "waiting for something to read it" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        err = process.stderr.read()
        process.wait(PATIENCE)

    assert process.returncode == 143
    assert "interrupted while nothing reads this pipe\n" in err if command == "classify" else err == ""
    assert "Traceback" not in err


def test_a_comparison_that_is_cancelled_between_two_models_does_not_begin_the_next(
    warm_cache: Path, tmp_path: Path
) -> None:
    (tmp_path / "labelled").mkdir()
    make_album(tmp_path / "labelled" / "Demoavis cristata", 5)
    settings = Settings(model=DEMO_MODEL, cache_dir=str(warm_cache))
    classified: dict[str, int] = {}

    def each(settings: Settings, progress: Progress, result: Result) -> None:
        classified[settings.resize] = classified.get(settings.resize, 0) + result.ok

    both = combinations(settings, [DEMO_MODEL], ["crop", "squash"])
    with Comparison(both, open_source(str(tmp_path / "labelled"))) as comparison:
        for _ in comparison.run(each):
            comparison.cancel()

    assert classified["crop"] == 5
    assert classified.get("squash", 0) < 5


def test_a_terminal_that_closes_ends_a_part_in_order(warm_cache: Path, origin: Origin, tmp_path: Path) -> None:
    origin.hold("/never")
    part = tmp_path / "part.jsonl"
    command = (sys.executable, "-m", "birdlite", "classify", *WITH_DEMO_MODEL, "--resume", "-o", str(part))
    own = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY); os.execv(sys.argv[1], sys.argv[1:])"
    terminal, inside = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", own, *command, *map(str, PICTURES[:2]), origin.url("/never")],
        cwd=ROOT,
        stdin=inside,
        stdout=inside,
        stderr=inside,
        start_new_session=True,
    )
    os.close(inside)
    origin.wait_for(1, "/never")

    os.close(terminal)

    assert process.wait(PATIENCE) == 129
    assert not part.exists()
    assert {record["status"] for record in records_of(Path(f"{part}.partial"))} <= {"ok"}


def test_an_interrupted_demo_leaves_no_folder(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-c", HOLDS, "demo"]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        while "fetched birdlite-demo" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(number)
        _, err = process.communicate(timeout=PATIENCE)

    assert process.returncode == 128 + number
    assert list(tmp_path.iterdir()) == []
    assert "Traceback" not in err


def test_a_run_that_waits_for_a_list_on_standard_input_ends_without_an_abort(warm_cache: Path) -> None:
    command = [sys.executable, "-m", "birdlite", "classify", *WITH_DEMO_MODEL, "--format", "jsonl", "-"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, text=True, **pipes) as process:  # type: ignore[call-overload]
        process.stdin.write(f"{PICTURES[0]}\n")
        process.stdin.flush()
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        err = process.stderr.read()
        process.wait(PATIENCE)

    assert json.loads(first)["status"] == "ok"
    assert process.returncode == 130
    assert "Fatal" not in err


def test_a_process_that_tries_a_model_ends_with_birdlite(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux ends it")
    code = (
        "import sys, threading; from birdlite.engines import trial\n"
        "trial._START = 'import sys; sys.path[:] = sys.argv[4:]; from birdlite.engines import trial;"
        'import os; trial._end_with_parent(); print(os.getpid(), file=open(sys.argv[3], "w"), flush=True);'
        "import signal; signal.pause()'\n"
        "trial.try_once(b'', 'a', sys.argv[1], ('tflite', 'auto'), None)"
    )
    told = tmp_path / "told"
    os.mkfifo(told)
    with subprocess.Popen([sys.executable, "-c", code, str(told)], cwd=ROOT) as process:
        child = int(told.read_text())
        descriptor = os.pidfd_open(child)
        process.kill()
        process.wait(PATIENCE)

    import select

    assert select.select([descriptor], [], [], PATIENCE)[0]
    os.close(descriptor)
