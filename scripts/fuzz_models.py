"""Gives birdlite damaged models for a while, and reports every one that kills it. There must be none.

    .venv/bin/python -m scripts.fuzz_models --seconds 60 --seed 1 --format tflite

Each mutant of a tiny model is a bare file for `Classifier`, in a process that must survive: a crash, a hang or too much
memory must end in the process of the trial. If it dies all the same, the mutant is kept, and the next process goes on
behind it. Mutants depend on the seed and their number alone, so `--first N --mutants 1` tries one again.
"""

from __future__ import annotations

import argparse
import functools
import random
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from birdlite import Classifier, Settings
from birdlite.errors import BirdliteError

ROOT = Path(__file__).parents[1]
NUMBERS = (0, 1, 2, 7, 127, 128, 255, 256, 65_535, 1 << 20, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, (1 << 32) - 4)


class Plan(NamedTuple):
    """What to try, as the command line says."""

    format: str
    seed: int
    first: int
    mutants: int
    seconds: float
    keep: Path


@functools.cache
def tiny_model(format_: str) -> bytes:
    """The model that all mutants are made of: that of the engines' tests."""
    if format_ == "onnx":
        from tests import tiny_onnx

        return tiny_onnx.model()
    from tests import tiny_models

    return tiny_models.model(gives="float32")


def mutant(format_: str, seed: int, number: int) -> bytes:
    """The mutant of that number: one to three changes."""
    chance = random.Random(f"{seed} {number}")
    data = bytearray(tiny_model(format_))
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        chance.choice(CHANGES[format_])(data, chance)
    return bytes(data)


def _turn_a_bit(data: bytearray, chance: random.Random) -> None:
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _set_a_byte(data: bytearray, chance: random.Random) -> None:
    data[chance.randrange(len(data))] = chance.randrange(256)


def _set_a_number(data: bytearray, chance: random.Random) -> None:
    place = chance.randrange(0, len(data) - 4, 4)
    data[place : place + 4] = struct.pack("<I", chance.choice(NUMBERS))


def _step_a_number(data: bytearray, chance: random.Random) -> None:
    place = chance.randrange(0, len(data) - 4, 4)
    (number,) = struct.unpack_from("<I", data, place)
    struct.pack_into("<I", data, place, (number + chance.choice((-4, -1, 1, 4))) % (1 << 32))


def _copy_a_piece(data: bytearray, chance: random.Random) -> None:
    size = chance.randrange(1, 64)
    here, there = (chance.randrange(len(data) - size) for _ in range(2))
    data[here : here + size] = data[there : there + size]


def _cut(data: bytearray, chance: random.Random) -> None:
    del data[chance.randrange(len(data) // 2, len(data)) :]


CHANGES: dict[str, tuple[Callable[[bytearray, random.Random], None], ...]] = {
    "tflite": (*(_turn_a_bit, _set_a_byte) * 3, *(_set_a_number, _step_a_number) * 4, _copy_a_piece, _cut),
    "onnx": (*(_turn_a_bit, _set_a_byte) * 8, _copy_a_piece),  # whose numbers are of any length
}


def work(plan: Plan) -> None:
    """Try mutants, in the process that must survive. Prints the number of each before it, and what became of it."""
    with tempfile.TemporaryDirectory() as scratch:
        path, labels, picture = (Path(scratch) / name for name in (f"a.{plan.format}", "labels.csv", "a.png"))
        labels.write_text("id,name\n" + "".join(f"{key},bird {key}\n" for key in range(5)))
        Image.new("RGB", (16, 16), (200, 150, 100)).save(picture)
        until = time.monotonic() + plan.seconds
        for number in range(plan.first, plan.first + plan.mutants):
            if time.monotonic() > until:
                return
            path.write_bytes(mutant(plan.format, plan.seed, number))
            print(number, end=" ", flush=True)
            print(_outcome(Settings(model=str(path), labels=str(labels), no_cache=True), picture), flush=True)


def _outcome(settings: Settings, picture: Path) -> str:
    try:
        with Classifier(settings) as birds:
            result = birds.classify(picture)
            return result.failure.kind if result.failure else "ok"
    except BirdliteError as error:
        text = str(error)
        for words, name in (
            ("crashes its engine", "crash"),
            ("does not load and run once within", "hang"),
            ("MiB to load and run", "memory"),
        ):
            if words in text:
                return name
        return "refused"


def watch(plan: Plan) -> tuple[Counter[str], list[int]]:
    """Try mutants in processes that are replaced when they die: outcomes, and the mutants that killed one."""
    outcomes: Counter[str] = Counter()
    killers: list[int] = []
    until = time.monotonic() + plan.seconds
    first, end = plan.first, plan.first + plan.mutants
    while first < end and (seconds := until - time.monotonic()) > 0:
        command = [sys.executable, "-m", "scripts.fuzz_models", "--work", "--format", plan.format]
        command += ["--seed", str(plan.seed), "--first", str(first), "--mutants", str(end - first)]
        done = subprocess.run([*command, "--seconds", str(seconds)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        lines = [line.split() for line in done.stdout.splitlines()]
        outcomes.update(words[1] for words in lines if len(words) == 2)
        if done.returncode == 0:
            break
        killers.append(int(lines[-1][0]) if lines else first)
        first = killers[-1] + 1
    return outcomes, killers


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--format", choices=["tflite", "onnx"], default="tflite")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, metavar="N", help="the number of the first mutant")
    parser.add_argument("--mutants", type=int, default=1_000_000, metavar="N", help="how many at most")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-models"), metavar="FOLDER", help="where killers go")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    chosen = vars(parser.parse_args(arguments))
    working = chosen.pop("work")
    plan = Plan(**chosen)
    if working:
        work(plan)
        return 0
    outcomes, killers = watch(plan)
    counts = ", ".join(f"{name} {count}" for name, count in sorted(outcomes.items()))
    print(f"{outcomes.total()} mutants of a tiny .{plan.format}, seed {plan.seed}: {counts or 'nothing tried'}")
    for number in killers:
        plan.keep.mkdir(parents=True, exist_ok=True)
        path = plan.keep / f"{plan.seed}-{number}.{plan.format}"
        path.write_bytes(mutant(plan.format, plan.seed, number))
        print(f"birdlite itself died of number {number}: {path}")
    return 1 if killers else 0


if __name__ == "__main__":
    sys.exit(main())
