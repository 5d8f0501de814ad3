"""A long batch against a hostile server: every target has its record, and memory, descriptors and threads stay.

    python -m scripts.soak                                 # 100,000 targets
    python -m scripts.soak --targets 2000 --end-half-way   # half a minute; birdlite is ended once, and goes on

A server on this machine answers at a bounded rate. One target in ten is faulty, in one of `hostile.FAULTS` ways. The
real command classifies the list with the demo's model. At the end each target must have exactly one record, of the kind
that its fault leads to, and good pictures the right bird. The last process must not hold 5 MiB more at its end than
behind its first tenth (32 MiB if there are fewer than 50,000 targets), nor more descriptors or threads.

The folder gets the output, the samples (soak.json) and a drawing of them (soak.svg). If a soak is interrupted,
--resume goes on with it. Exit code 1 means that something is not as it must be.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from birdlite.demo import FOLDER
from scripts.soak.balance import balance, target_of
from scripts.soak.hostile import HostileServer, demo_pictures
from scripts.soak.judgement import ended, line_of
from scripts.soak.watch import Sample, look_at

SAMPLE_S = 0.5  # between two samples
STUCK_S = 120.0  # without a new record
ROOT = Path(__file__).parents[2]


class Plan(NamedTuple):
    """What to do, as the command line says."""

    targets: int
    rate: float
    folder: Path
    resume: bool
    end_half_way: bool

    @property
    def output(self) -> Path:
        """Where birdlite writes the records."""
        return self.folder / "birds.jsonl"


class Records:
    """Counts the records of a growing output."""

    def __init__(self, plan: Plan) -> None:
        self._partial = Path(f"{plan.output}.partial")
        self._read = 0  # bytes
        self.count = -1  # without the header

    def look(self) -> int:
        """Read what is new; how many records there are."""
        try:
            with open(self._partial, "rb") as file:
                file.seek(self._read)
                new = file.read()
        except FileNotFoundError:  # not begun, or complete
            return max(0, self.count)
        complete = new[: new.rfind(b"\n") + 1]
        self._read += len(complete)
        self.count += complete.count(b"\n")
        return max(0, self.count)


def command(plan: Plan, mirror: str) -> list[str]:
    """The command line of birdlite. Slow targets have 5 s, and those that may be better later a second try."""
    model = ["--model", f"{FOLDER}/model.tflite", "--labels", f"{FOLDER}/labels.csv"]
    bounds = ["--timeout", "5", "--retries", "1", "--max-bytes", "1M", "--downloads", "32", "--per-host", "32"]
    files = ["--from", f"{plan.folder}/list.txt", "--output", str(plan.output), "--cache-dir", f"{plan.folder}/cache"]
    birdlite = os.path.join(os.path.dirname(sys.executable), "birdlite")  # the installed command
    return [birdlite, "classify", "--resume", "-q", *model, *bounds, *files, "--mirror", mirror]


def starts(plan: Plan, mirror: str, samples: list[Sample]) -> Iterator[str]:
    """Run birdlite, twice if it is to be ended half way, and take samples. Yields what is wrong."""
    records, began = Records(plan), time.monotonic()
    ends_at = plan.targets // 2 if plan.end_half_way else None
    environment = {**os.environ, "BIRDLITE_TRACEBACK": "1"}  # of a fault in birdlite
    with open(plan.folder / "stderr.txt", "w") as said:
        for start in (0, 1) if plan.end_half_way else (0,):
            process = subprocess.Popen(command(plan, mirror), cwd=ROOT, env=environment, stdout=said, stderr=said)
            try:
                code = watched(process, plan, records, (start, began, ends_at if start == 0 else None), samples)
            finally:
                process.kill()
                process.wait()
            expected = 128 + signal.SIGTERM if plan.end_half_way and start == 0 else 1  # 1: some targets failed
            if code != expected:
                yield f"birdlite ended with {code} instead of {expected}; see {said.name}"
                return
    if "Traceback" in Path(said.name).read_text():
        yield f"a traceback in {said.name}"


def watched(
    process: subprocess.Popen[bytes],
    plan: Plan,
    records: Records,
    turn: tuple[int, float, int | None],
    samples: list[Sample],
) -> int | None:
    """Take samples until the process ends; its exit code, None if it got stuck. `turn`: start, when, where to end."""
    start, began, ends_at = turn
    changed, told = (time.monotonic(), records.count), 0
    while True:
        try:
            return process.wait(SAMPLE_S)
        except subprocess.TimeoutExpired:
            pass
        done, now = records.look(), time.monotonic()
        if done != changed[1]:
            changed = now, done
        elif now - changed[0] > STUCK_S:
            print(f"no record for {STUCK_S:.0f} s", flush=True)
            return None
        sample = look_at(process.pid, start, now - began, done)
        if sample is not None:
            samples.append(sample)
            if done * 10 // plan.targets > told:
                told = done * 10 // plan.targets
                print(line_of(sample, "records"), flush=True)
        if ends_at is not None and done >= ends_at:
            process.send_signal(signal.SIGTERM)
            ends_at = None


def prepared(plan: Plan) -> None:
    """Make the folder and the list."""
    plan.folder.mkdir(parents=True, exist_ok=True)
    if not plan.resume:
        for left in plan.folder.glob("birds.jsonl*"):
            left.unlink()
    with open(plan.folder / "list.txt", "w") as file:
        file.writelines(f"{target_of(number)}\n" for number in range(plan.targets))


def soak(plan: Plan) -> int:
    """Do it all, and print the figures. Returns the exit code."""
    prepared(plan)
    birds = demo_pictures()
    samples: list[Sample] = []
    began = time.monotonic()
    with HostileServer([picture for _, picture in birds], plan.rate) as server:
        wrong = list(starts(plan, server.mirror, samples))
    seconds = time.monotonic() - began
    if not wrong:
        found = balance(plan.output, plan.targets, [name for name, _ in birds])
        print(f"{found.records:,} records in {seconds:.0f} s: {found.outcomes}")
        wrong += found.complaints
    return ended(plan.folder, f"birdlite, {plan.targets:,} targets, one in ten faulty", plan.targets, samples, wrong)


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", type=int, default=100_000, metavar="N")
    parser.add_argument("--rate", type=float, default=150.0, metavar="N", help="targets a second at most")
    parser.add_argument("--folder", type=Path, default=Path("soak-results"), help="for output and figures")
    parser.add_argument("--resume", action="store_true", help="go on with the soak in the folder")
    parser.add_argument("--end-half-way", action="store_true", help="end birdlite once, and let it go on")
    plan = Plan(**vars(parser.parse_args(arguments)))
    return soak(plan._replace(folder=plan.folder.absolute()))


if __name__ == "__main__":
    sys.exit(main())
