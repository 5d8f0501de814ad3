"""Send signals at random moments to runs of birdlite, and check what each leaves.

    python -m scripts.try_signals --count 200            of each signal; the long form
    python -m scripts.try_signals --count 10 --seed 7    some, for CI

SIGINT, SIGTERM and SIGHUP come at any moment from the start of the process to its end, on several command lines
(`signal_cases`) and ways to start birdlite. Each time the exit status, the output, what is left and the processes must
be right, and a part must be completed by --resume to the same bytes. The slowest stop is printed, and bounded by
--bound.

Exit codes: 0 all is well, 1 not.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from birdlite import Classifier, Settings
from birdlite.demo import DemoServer
from birdlite.http.fetcher import FetchSettings
from birdlite.models.catalog import DEMO_MODEL
from scripts.signal_cases import Case, Outcome, SlowServer, cases, completes, fault, in_pythons_start
from tests.batch_runs import make_album
from tests.demo_world import PICTURES as DRAWN

ROOT = Path(__file__).parents[1]
NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
HANG_S = 30.0
GRACE_S = 1.0  # for the child of a shell that was killed: scripts/birdlite compares two files
PICTURES = 36
STARTS = 30  # of Python, measured


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=200, help="how many of each signal")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bound", type=float, default=1.0, help="s that a stop may take")
    parser.add_argument("--seconds", type=float, default=1e9, help="end earlier, after so long")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    values = parser.parse_args()
    for number in NUMBERS:  # in the background of a script they may be ignored, and so would birdlite
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    with tempfile.TemporaryDirectory(prefix="try-signals-") as folder, SlowServer() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        world = World(Path(folder), server.server_port)
        print(f"Python's own start: {world.pythons_start()}", flush=True)
        return _try(world, values)


def _try(world: World, values: argparse.Namespace) -> int:
    rng = random.Random(values.seed)
    chosen = [case for case in world.cases if values.only in case.name]
    for case in chosen:
        world.prepare(case)
    faults, counts = 0, Counter[str]()
    until = time.perf_counter() + values.seconds
    slowest: dict[str, float] = {}
    for turn, number in ((turn, number) for turn in range(values.count) for number in NUMBERS):
        if time.perf_counter() > until:
            break
        case, way = chosen[turn % len(chosen)], rng.randrange(len(world.ways))
        moment = rng.random() * world.lasts[case.name]
        wrong, how, took = world.interrupt(case, number, way, moment)
        counts[how] += 1
        slowest[case.name] = max(took, slowest.get(case.name, 0.0))
        if wrong or took > values.bound:
            faults += 1
            wrong = wrong or f"stopped after {took:.2f} s"
            print(f"{case.name}, {number.name} at {moment * 1e3:.0f} ms, way {way}: {wrong}", flush=True)
    for name, took in slowest.items():
        print(f"{name:26} {world.lasts[name]:6.2f} s, slowest stop {took:.2f} s")
    total = sum(counts.values())
    print(f"{total} signals: " + ", ".join(f"{count} {how}" for how, count in counts.most_common()))
    print(f"{faults} faults; slowest stop {max(slowest.values()):.2f} s")
    return 1 if faults else 0


class World:
    """A folder with pictures, a warm cache, parts, and a reference of each case."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self._count = 0
        self.ways: list[list[str]] = [
            [str(Path(sys.executable).with_name("birdlite"))],
            [sys.executable, "-m", "birdlite"],
            [str(ROOT / "scripts/birdlite")],
        ]
        album = make_album(folder / "album", 0)
        for number in range(PICTURES):
            source = DRAWN[number % len(DRAWN)]
            os.symlink(source, album / f"{number:02d}-{source.name}")
        cache, parts = folder / "cache", folder / "parts"
        parts.mkdir()
        with DemoServer() as server:
            fetch = FetchSettings(mirror=server.mirror)
            with Classifier(Settings(model=DEMO_MODEL, cache_dir=str(cache), fetch=fetch)) as classifier:
                assert classifier.model
        self.cases = cases(cache, album, parts, port)
        many = [str(path) for path in album.iterdir()] * 40
        for shard in "01":
            options = ("--model", DEMO_MODEL, "--cache-dir", str(cache), "--no-timing", "-q")
            command = [*self.ways[1], "classify", *options, "--shard", f"{shard}/2", "-o", "part-{shard}.jsonl", *many]
            subprocess.run(command, cwd=parts, env=self._environment(folder), check=True)
        self._references: dict[str, Outcome] = {}
        self.lasts: dict[str, float] = {}  # s

    def prepare(self, case: Case) -> None:
        """Run the case without a signal, twice, and keep what it gives and how long it takes."""
        for _ in range(2):
            began = time.perf_counter()
            self._references[case.name] = outcome = self._end(self._start(case, 0, self._new_folder()))
            self.lasts[case.name] = time.perf_counter() - began
            assert outcome.status in (0, 1), outcome.err

    def interrupt(self, case: Case, number: signal.Signals, way: int, moment: float) -> tuple[str | None, str, float]:
        """Send the signal at that moment: what is wrong, how the run ended, and how long it took to stop."""
        began = time.perf_counter()
        folder = self._new_folder()
        process = self._start(case, way, folder)
        time.sleep(max(0.0, began + moment - time.perf_counter()))
        over = process[0].poll() is not None
        sent = time.perf_counter()
        process[0].send_signal(number)
        outcome = self._end(process)
        took = time.perf_counter() - sent
        wrong = fault(case, self._references[case.name], number, outcome) or _processes_left(process[0].pid)
        if case.kind == "part" and wrong is None:
            again = self._end(self._start(case, way, folder))
            wrong = completes(case, self._references[case.name], again)
        if wrong:
            wrong += f": status {outcome.status}, {outcome.err[-1000:]!r}"
        shutil.rmtree(folder)
        return wrong, _how(number, outcome, over=over), took

    def pythons_start(self) -> str:
        """From when to when Python, and not the system or birdlite, decides what Ctrl-C does."""
        begins, ends = [], []
        for _ in range(STARTS):
            began = time.perf_counter()
            process = subprocess.Popen([*self.ways[0], "--version"], stdout=subprocess.DEVNULL)
            states: list[tuple[float, bool]] = [(0.0, False)]
            while process.poll() is None:
                catches = _catches_sigint(process.pid)
                if catches != states[-1][1]:
                    states.append((time.perf_counter() - began, catches))
            if len(states) >= 3:
                begins.append(states[1][0] * 1e3)
                ends.append(states[2][0] * 1e3)
        return f"Ctrl-C prints a traceback from {statistics.median(begins):.1f} to {statistics.median(ends):.1f} ms"

    def _new_folder(self) -> Path:
        self._count += 1
        folder = self._folder / f"run-{self._count}"
        (folder / "tmp").mkdir(parents=True)
        return folder

    def _environment(self, folder: Path) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("BIRDLITE_")}
        return kept | {"TMPDIR": str(folder / "tmp"), "PYTHONPATH": str(ROOT), "BIRDLITE_STARTUP_TIMEOUT": "0"}

    def _start(self, case: Case, way: int, folder: Path) -> tuple[subprocess.Popen[bytes], Path]:
        process = subprocess.Popen(
            [*self.ways[way], *case.arguments],
            cwd=folder,
            env=self._environment(folder),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        return process, folder

    def _end(self, started: tuple[subprocess.Popen[bytes], Path]) -> Outcome:
        process, folder = started
        try:
            out, err = process.communicate(timeout=HANG_S)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            err += b"\nTraceback: it did not end"
        return Outcome(process.returncode, out, err.decode(errors="replace"), folder)


def _how(number: int, outcome: Outcome, *, over: bool) -> str:
    if over:
        return "after the end"
    if in_pythons_start(number, outcome):
        return "in Python's own start"
    if outcome.status == -number:
        return "ended at once"
    return "stopped in order" if outcome.status == 128 + number else "came too late"


def _catches_sigint(pid: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    caught = next((line for line in text.splitlines() if line.startswith("SigCgt:")), "SigCgt: 0")
    return bool(int(caught.split()[1], 16) >> (signal.SIGINT - 1) & 1)


def _processes_left(group: int) -> str | None:
    """Whether one of the run's processes still runs a moment later. A zombie only waits for who has inherited it."""
    until = time.perf_counter() + GRACE_S
    while left := [pid for pid in os.listdir("/proc") if pid.isdecimal() and _runs_in(pid, group)]:
        if time.perf_counter() > until:
            return f"{len(left)} processes are left"
        time.sleep(0.01)
    return None


def _runs_in(pid: str, group: int) -> bool:
    try:
        facts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return facts[0] not in "ZX" and int(facts[2]) == group


if __name__ == "__main__":
    sys.exit(main())
