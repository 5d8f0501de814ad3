"""Peak memory of `birdlite classify` on few and on many pictures: it must not grow with their number.

    .venv/bin/python scripts/bench_memory.py [MANY]

Runs the command on folders of 1, 20 and MANY (default 2000) copies of the demo's pictures, with the demo's model, each
in a process of its own, and prints its peak resident memory as the kernel saw it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from birdlite.demo import PICTURES_FOLDER, DemoServer
from birdlite.models.catalog import DEMO_MODEL


def main(many: int) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder, DemoServer() as server:
        environment = os.environ | {
            "BIRDLITE_MODEL": DEMO_MODEL,
            "BIRDLITE_MIRROR": server.mirror,
            "BIRDLITE_CACHE_DIR": os.path.join(folder, "cache"),
        }
        print("| pictures | peak MiB | more than for one |\n|---|---|---|")
        _peak(_pictures(Path(folder, "1"), 1), environment)  # fills the cache
        first = 0.0
        for count in (1, 20, many):
            peak = _peak(_pictures(Path(folder, str(count)), count), environment)
            first = first or peak
            print(f"| {count:,} | {peak:.1f} | {peak - first:+.1f} |")


def _pictures(folder: Path, count: int) -> Path:
    """A folder of so many links to the demo's pictures."""
    originals = sorted(Path(PICTURES_FOLDER).iterdir())
    folder.mkdir(exist_ok=True)
    for number in range(count):
        original = originals[number % len(originals)]
        link = folder / f"{number:06d}{original.suffix}"
        if not link.exists():
            link.symlink_to(original)
    return folder


def _peak(folder: Path, environment: dict[str, str]) -> float:
    """MiB. The process reports on itself, because a parent knows only the largest of its children."""
    code = (
        "import resource, sys; from birdlite.cli import main;"
        "code = main(['classify', sys.argv[1], '-q', '-o', '/dev/null', '--format', 'jsonl']);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss); sys.exit(code)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(folder)], env=environment, capture_output=True, text=True, check=True
    )
    unit = 1024**2 if sys.platform == "darwin" else 1024
    return int(run.stdout) / unit


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
