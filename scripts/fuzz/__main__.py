"""Damaged inputs of every kind from outside, for a while: none may crash birdlite, hang it, or take too much memory.

    python -m scripts.fuzz --seconds 60
    python -m scripts.fuzz --seconds 600 --seed 7 --only pictures:TIFF,lists
    python -m scripts.fuzz --only lists --file FIND    # once more

The parts are pictures, heads (of HTTP answers), lists, labels, bundles, records (and journals, notes, indexes),
archives and models. Each begins with whole inputs, damages them, and gives them to the public function that reads them,
in a child process with limits. What is looked for: the end of the process; an exception that is not documented; 5 s of
processor time; 20 s of waiting; 512 MiB, or for a picture more than its header promised; output on stderr.

An input depends on the seed, its part and its number alone. Finds are written to a folder and printed. Exit code 1
means that there were some.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from scripts.fuzz.child import outcome, work
from scripts.fuzz.parent import Tally
from scripts.fuzz.part import FINDS, Part, case
from scripts.fuzz.parts import PARTS

LONGEST_TURN = 30.0  # s of one part before the next one's turn
MOST_FINDS = 20  # of a part, which is then left


def chosen(only: str) -> list[tuple[Part, str]]:
    """The parts that `--only` names, and their names as it writes them."""
    if not only:
        return [(part, part.name) for part in PARTS]
    by_name = {part.name: part for part in PARTS}
    return [(by_name[one.partition(":")[0]], one) for one in only.split(",")]


def seeds_of(part: Part, only: str) -> Mapping[str, bytes]:
    """The inputs that a part begins with: all, or those whose name holds what stands behind the colon."""
    text = only.partition(":")[2]
    return {name: data for name, data in part.seeds().items() if text in name}


def fuzz(only: str, seed: int, seconds: float, keep: Path) -> int:
    """Try all parts in turn until the time is over. Returns how many finds there are."""
    tallies = [Tally(*one) for one in chosen(only)]
    rounds = math.ceil(seconds / len(tallies) / LONGEST_TURN)
    for _ in range(rounds):
        for tally in tallies:
            if tally.finds >= MOST_FINDS:
                continue
            for number, what in tally.go_on(seed, seconds / len(tallies) / rounds).items():
                name, data = case(tally.part, seed, number, seeds_of(tally.part, tally.only))
                keep.mkdir(parents=True, exist_ok=True)
                path = keep / f"{tally.part.name}-{seed}-{number}"
                path.write_bytes(data)
                print(f"{tally.part.name}, {name}: {what}: {path}", flush=True)
    finds = sum(tally.finds for tally in tallies)
    counts = ", ".join(f"{tally.done:,} {tally.part.name}" for tally in tallies)
    print(f"{sum(tally.done for tally in tallies):,} damaged inputs, {finds} finds: {counts}")
    return finds


def once_more(only: str, path: Path) -> int:
    """Try one input in this process. Returns the exit code."""
    ((part, _),) = chosen(only)
    data = path.read_bytes()
    with TemporaryDirectory() as folder:
        what = outcome(part, part.prepare(Path(folder)), data)
    print(what or "all is well")
    return 1 if what else 0


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to try; starting processes takes longer")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31), help="of the damage")
    parser.add_argument("--only", default="", metavar="PART[:TEXT],…", help="parts, and inputs whose name holds TEXT")
    parser.add_argument("--keep", type=Path, default=FINDS, metavar="FOLDER", help="where finds go")
    parser.add_argument("--file", type=Path, help="try this input again")
    parser.add_argument("--child", nargs=2, type=float, help=argparse.SUPPRESS)
    values = parser.parse_args(arguments)
    if values.file:
        return once_more(values.only, values.file)
    if values.child:
        ((part, only),) = chosen(values.only)
        work(part, seeds_of(part, only), values.seed, int(values.child[0]), values.child[1])
        return 0
    print(f"seed {values.seed}", flush=True)
    return 1 if fuzz(values.only, values.seed, values.seconds, values.keep) else 0


if __name__ == "__main__":
    sys.exit(main())
