"""What a pod of the Job takes of memory and of a processor: what the requests and limits in k8s/base/job.yaml rest on.

    scripts/bench pod [--pictures N] [--model MODEL]

Runs `birdlite classify` with the settings of k8s/base/settings.env, one worker and `--memory 1G` (what it takes from a
pod's limits by itself), over lists of URLs whose server is as far away and as narrow as the table says. Prints the peak
resident memory, and the processor time as a share of the time that the run took. The pictures are made photographs
(scripts/subjects.py). Without --model, the demo's own model runs. BIRDLITE_MIRROR and BIRDLITE_CACHE_DIR count as they
do for the command.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

from scripts.cold.slow_server import running
from scripts.process_cost import Cost, cost
from scripts.subjects import photographs, pod_variables, workplace

NOT_HERE = {"BIRDLITE_FROM", "BIRDLITE_RESUME", "BIRDLITE_RETRY_FAILED"}  # they need the Job's list and its volume


class Line(NamedTuple):
    """How far the pictures' server is."""

    round_trip: float  # ms
    bandwidth: float  # Mbit/s; 0: no limit

    def __str__(self) -> str:
        """For a table's cell."""
        width = f"{self.bandwidth:g} Mbit/s" if self.bandwidth else "no limit"
        return f"{width}, {self.round_trip:g} ms"


NEAR, ORDINARY, NARROW = Line(0, 0), Line(40, 50), Line(80, 12)
CASES = ((0.3, NEAR), (0.3, ORDINARY), (0.3, NARROW), (1, ORDINARY), (12, NEAR), (12, ORDINARY), (24, NEAR), (48, NEAR))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=48, help="so many in each list")
    parser.add_argument("--model")
    values = parser.parse_args()
    with workplace(values.model) as (folder, environment):
        environment |= {name: value for name, value in pod_variables("base").items() if name not in NOT_HERE}
        originals = {size: photographs(folder, size) for size in {size for size, _ in CASES}}
        cost(["classify", str(originals[1][0]), "-o", "/dev/null", "--format", "jsonl"], environment)  # fills the cache
        environment.pop("BIRDLITE_MIRROR", None)  # the pictures' server is the one that is measured
        print("| pictures | MB each | line | peak MiB | s | of a processor |\n|---|---|---|---|---|---|")
        for size, line in CASES:
            files = originals[size]
            weight = sum(file.stat().st_size for file in files) / len(files) / 1e6
            peak, cpu, wall = _run(files, line, folder, environment, values.pictures)
            print(
                f"| {size:g} Mpx | {weight:.1f} | {line} | {peak:.0f} | {wall:.1f} | {100 * cpu / wall:.0f} % |",
                flush=True,
            )


def _run(files: list[Path], line: Line, folder: Path, environment: dict[str, str], count: int) -> Cost:
    """Classify a list of so many URLs, all of them of that server."""
    with running(str(folder), line.round_trip, line.bandwidth) as url:
        lines = folder / "list.txt"
        lines.write_text("".join(f"{url}/{files[at % len(files)].name}?{at}\n" for at in range(count)))
        opened = environment | {"BIRDLITE_ALLOW_HOST": url.partition("://")[2]}  # the settings allow public ones only
        return cost(["classify", "--from", str(lines), "-o", "/dev/null", "--format", "jsonl"], opened)


if __name__ == "__main__":
    main()
