"""Classify a folder into a CSV file, and draw a progress bar of your own.

    python3 examples/progress_bar.py album birds.csv

`total` is None until the list of targets is read to its end. For a folder that is nearly at once.
"""

import sys

from birdlite import Progress, Runner, RunOptions, Settings, expand

if len(sys.argv) != 3:
    sys.exit(f"usage: python3 {sys.argv[0]} FOLDER OUTPUT")

folder, output = sys.argv[1:]
WIDTH = 30


def draw(progress: Progress) -> None:
    """Draw the bar anew after each picture."""
    if progress.total is None:
        line = f"{progress.done} pictures so far"
    else:
        full = WIDTH * progress.done // max(progress.total, 1)
        line = f"[{'#' * full}{'.' * (WIDTH - full)}] {progress.done} of {progress.total}"
    trouble = f", {progress.failed} failed" if progress.failed else ""
    print(f"\r{line}{trouble}", end="", flush=True)


report = Runner(Settings(), RunOptions(output=output)).run(expand([folder]), draw)
print(f"\n{report.output}: {report.summary.ok} pictures in {report.summary.wall_ms / 1000:.1f} s")
