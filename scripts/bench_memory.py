"""Peak memory of `birdlite classify`: by the number of pictures, with which it must not grow, and of workers.

    scripts/bench memory [--many N] [--megapixels M] [--model MODEL] [--threads N]

Runs the command on folders of 1, 20 and MANY pictures with THREADS workers, then on WORKER_PICTURES pictures with more
and more workers, each in a process of its own. Prints the peak resident memory as the kernel saw it, and for workers
the processor time: each has an engine of its own, with its own packed weights. The pictures are links to a few
photographs of M megapixels (scripts/subjects.py), or without M to the demo's drawings. Without --model, the demo's
own model runs. BIRDLITE_MIRROR and BIRDLITE_CACHE_DIR count as they do for the command.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from birdlite.demo import PICTURES_FOLDER
from scripts.process_cost import Cost, cost
from scripts.subjects import links, photographs, workplace

WORKERS = (1, 2, 4, 8, 16)
WORKER_PICTURES = 64  # enough that the largest number of workers all start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--many", type=int, default=2000)
    parser.add_argument("--megapixels", type=float)
    parser.add_argument("--model")
    parser.add_argument("--threads", type=int, default=2)
    values = parser.parse_args()
    with workplace(values.model) as (folder, environment):
        environment["BIRDLITE_THREADS"] = str(values.threads)
        originals = _originals(folder, values.megapixels)
        print("| pictures | peak MiB | more than for one |\n|---|---|---|")
        _cost(links(folder / "1", originals, 1), environment)  # fills the cache
        first = 0.0
        for count in (1, 20, values.many):
            peak = _cost(links(folder / str(count), originals, count), environment).peak_mib
            first = first or peak
            print(f"| {count:,} | {peak:.1f} | {peak - first:+.1f} |", flush=True)
        print(f"\n{WORKER_PICTURES} pictures\n\n| workers | peak MiB | CPU s |\n|---|---|---|")
        pictures = links(folder / "workers", originals, WORKER_PICTURES)
        for workers in WORKERS:
            peak, cpu, _ = _cost(pictures, environment | {"BIRDLITE_THREADS": str(workers)})
            print(f"| {workers} | {peak:.1f} | {cpu:.2f} |", flush=True)


def _originals(folder: Path, megapixels: float | None) -> list[Path]:
    return sorted(Path(PICTURES_FOLDER).iterdir()) if megapixels is None else photographs(folder, megapixels)


def _cost(folder: Path, environment: dict[str, str]) -> Cost:
    return cost(["classify", str(folder), "-q", "-o", "/dev/null", "--format", "jsonl"], environment)


if __name__ == "__main__":
    main()
