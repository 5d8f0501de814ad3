"""How the cost of a run grows with the number of pictures: whole processes on 1, 5, 20, 100 … of them.

    scripts/bench growth [--counts 1,5,20,100,500] [--megapixels M] [--rounds N] [--model MODEL]

The pictures are files: links to a few photographs of M megapixels (scripts/subjects.py). All counts run in turn,
each round once; medians are printed. The last line is the straight line through the first and the last count: what a
run costs before its first picture, and what each picture adds. Without --model the demo's own model runs.
BIRDLITE_MIRROR and BIRDLITE_CACHE_DIR count as they do for the command.
"""

from __future__ import annotations

import argparse
import os
import sys
from statistics import median

from scripts.cold.measure import Way, run
from scripts.subjects import links, photographs, workplace


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", default="1,5,20,100,500")
    parser.add_argument("--megapixels", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--model")
    values = parser.parse_args()
    counts = [int(count) for count in values.counts.split(",")]
    with workplace(values.model) as (folder, environment):
        originals = photographs(folder, values.megapixels)
        command = os.path.join(os.path.dirname(sys.executable), "birdlite")
        ways = {
            count: Way(
                str(count),
                (command, "classify", "-q", str(links(folder / f"of {count}", originals, count))),
                environment,
            )
            for count in counts
        }
        costs = [{count: run(way) for count, way in ways.items()} for _ in range(values.rounds + 1)][1:]
    print("| pictures | wall ms | CPU ms | wall ms a picture | times the first |\n|---|---|---|---|---|")
    walls = {count: median(round_[count].wall for round_ in costs) * 1e3 for count in counts}
    for count, wall in walls.items():
        cpu = median(round_[count].cpu for round_ in costs) * 1e3
        ratio = median(round_[count].wall / round_[counts[0]].wall for round_ in costs)
        print(f"| {count:,} | {wall:,.0f} | {cpu:,.0f} | {wall / count:.1f} | {ratio:.2f} |")
    first, last = counts[0], counts[-1]
    if last > first:
        each = (walls[last] - walls[first]) / (last - first)
        print(f"\n{walls[first] - first * each:.0f} ms, and {each:.2f} ms for each picture.")


if __name__ == "__main__":
    main()
