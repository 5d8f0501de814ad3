"""What one run of birdlite costs: peak memory and processor time, as the process itself reports them."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import NamedTuple

# What a parent is told of its child is at least what the parent has itself: so the child tells.
_CODE = (
    "import sys; from birdlite.cli import main;"
    "code = main(sys.argv[1:]);"
    "from birdlite.bench import peak_memory_bytes;"
    "import time; print(peak_memory_bytes(), time.process_time()); sys.exit(code)"
)


class Cost(NamedTuple):
    """Of one process, from its start to its end."""

    peak_mib: float
    cpu_s: float
    wall_s: float


def cost(arguments: list[str], environment: dict[str, str]) -> Cost:
    """Run `birdlite` with these arguments, which must print nothing to stdout.

    Raises:
        RuntimeError: it ended with another code than 0.
    """
    start = time.monotonic()
    command = [sys.executable, "-c", _CODE, *arguments]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    wall = time.monotonic() - start
    if run.returncode:
        raise RuntimeError(f"birdlite {' '.join(arguments)} ended with {run.returncode}: {run.stderr.strip()}")
    peak, cpu = run.stdout.split()
    return Cost(int(peak) / 2**20, float(cpu), wall)
