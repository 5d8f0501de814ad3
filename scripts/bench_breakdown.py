"""Where every millisecond of a run goes: `birdlite classify`'s own breakdown, as medians of several whole processes.

    scripts/bench breakdown [--rounds N] [TARGET OR OPTION OF classify]...

Whatever else is given goes to `birdlite classify`; nothing is one of the demo's drawings with the demo's model. The
first round, which fills the cache, does not count. BIRDLITE_MIRROR, BIRDLITE_CACHE_DIR and so on count as ever:
`scripts.cold.slow_server` is a mirror that is as far away as one chooses.

`spent` is what all threads spent, `critical` what the run waited for: its medians add up to the wall time but for
rounding and the spread of the rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from birdlite.demo import PICTURES_FOLDER, DemoServer
from birdlite.models.catalog import DEMO_MODEL


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=21)
    values, words = parser.parse_known_args()
    with ExitStack() as stack:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        if not words:
            words = [str(min(Path(PICTURES_FOLDER).glob("*.jpg")))]
            environment |= {
                "BIRDLITE_MODEL": DEMO_MODEL,
                "BIRDLITE_MIRROR": stack.enter_context(DemoServer()).mirror,
                "BIRDLITE_CACHE_DIR": stack.enter_context(tempfile.TemporaryDirectory()),
            }
        timings = [_timing(words, environment) for _ in range(values.rounds + 1)][1:]
    print("| stage | times | spent ms | critical ms | share |\n|---|---|---|---|---|")
    wall = median(timing["wall_ms"] for timing in timings)
    for stage, count in {one["stage"]: one["count"] for timing in timings for one in timing["stages"]}.items():
        spent, critical = (
            median(_of(timing, stage, what) for timing in timings) for what in ("spent_ms", "critical_ms")
        )
        print(f"| {stage} | {count} | {spent:.1f} | {critical:.1f} | {critical / wall:.0%} |")
    other = median(timing["other_ms"] for timing in timings)
    print(f"| other | | | {other:.1f} | {other / wall:.0%} |\n| all | | | {wall:.1f} | |")


def _timing(words: Sequence[str], environment: dict[str, str]) -> Any:
    """The `timing` of one run's JSON."""
    command = os.path.join(os.path.dirname(sys.executable), "birdlite")
    done = subprocess.run(
        [command, "classify", *words, "--format", "json", "-q"], env=environment, stdout=subprocess.PIPE, check=True
    )
    return json.loads(done.stdout)["timing"]


def _of(timing: Any, stage: str, what: str) -> float:
    return next((float(one[what]) for one in timing["stages"] if one["stage"] == stage), 0.0)


if __name__ == "__main__":
    main()
