"""Draw two cold runs on five pictures, with an empty cache and with a warm one, as a picture for PERF.md.

    .venv/bin/python -m scripts.draw_waterfall -o docs/waterfall.svg [--round-trip MS] [--bandwidth MBIT_S] [--rounds N]

The pictures, the model and its labels come from a server on this machine that is as far away, behind a line as narrow,
as the options say. Each run is a process of its own, `birdlite classify --report`; what is drawn is the waterfall of
its page, from the run whose time is the median of the rounds. Without `--birds FOLDER`, which holds the real model and
photographs, it is the demo's model and drawings that are classified.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import NamedTuple

from birdlite.demo import FOLDER as DEMO_FOLDER
from birdlite.demo import HOST as DEMO_HOST
from birdlite.models.catalog import DEMO_MODEL
from birdlite.writers.output import open_output
from scripts.bench_cold import BIRDS, DEMO_PICTURES
from scripts.cold.slow_server import running

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MARGIN = 24  # units
TITLE = 34  # above each drawing

_DRAWING = re.compile(r'<svg class="waterfall" viewBox="0 0 (\d+) (\d+)".*?</svg>', re.DOTALL)
_STYLE = """svg{color:#23282b}.paper{fill:#fff;stroke:#d8d5cc}
@media (prefers-color-scheme:dark){svg{color:#e4e6e3}.paper{fill:#1c2124;stroke:#30373a}}"""


class Run(NamedTuple):
    """One run of birdlite."""

    wall_ms: float
    drawing: str  # an svg element
    width: int  # units
    height: int


def main(argv: Sequence[str] | None = None) -> None:
    """Run and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", metavar="FILE", required=True)
    parser.add_argument("--birds", metavar="FOLDER", default=BIRDS, help="default: ../shared/birds, if it is there")
    parser.add_argument("--round-trip", metavar="MS", type=float, default=40.0)
    parser.add_argument("--bandwidth", metavar="MBIT_S", type=float, default=50.0)
    parser.add_argument("--rounds", metavar="N", type=int, default=9)
    values = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as scratch:
        folder, words = _world(values.birds, scratch)
        with running(folder, values.round_trip, values.bandwidth) as server:
            empty = _median([_run(server, words, scratch, warm=False) for _ in range(values.rounds)])
            warm = _median([_run(server, words, scratch, warm=True) for _ in range(values.rounds)])
    line = f"five URLs, {values.round_trip:g} ms round trip, {values.bandwidth:g} Mbit/s"
    drawn = [
        (f"Empty cache: {empty.wall_ms:,.0f} ms ({line})", empty),
        (f"Warm cache: {warm.wall_ms:,.0f} ms (the same)", warm),
    ]
    with open_output(values.output, "text") as output:
        output.stream.write(picture(drawn))
    for title, _ in drawn:
        print(title)


def picture(drawn: Sequence[tuple[str, Run]]) -> str:
    """Put drawings below each other, on paper of their own: they are looked at on light pages and on dark ones."""
    width = max(run.width for _, run in drawn) + 2 * MARGIN
    parts, y = [], MARGIN
    for title, run in drawn:
        font = 'font-family="system-ui, sans-serif" font-size="15" font-weight="600" fill="currentColor"'
        parts.append(f'<text x="{MARGIN}" y="{y + 12}" {font}>{title}</text>')
        place = f'<svg x="{MARGIN}" y="{y + TITLE}" width="{run.width}" height="{run.height}" '
        parts.append(run.drawing.replace("<svg ", place, 1))
        y += TITLE + run.height + MARGIN
    paper = f'<rect class="paper" x=".5" y=".5" width="{width - 1}" height="{y - 1}" rx="8"/>'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y}" width="{width}" height="{y}">'
    return "\n".join([head, f"<style>{_STYLE}</style>", paper, *parts, "</svg>", ""])


def _world(birds: str, scratch: str) -> tuple[str, list[str]]:
    """A folder to serve as the whole Internet, and what to classify from there."""
    mirror = os.path.join(birds, "mirror")
    if os.path.isdir(mirror):
        return mirror, ["--samples"]
    folder = os.path.join(scratch, "world")
    os.mkdir(folder)
    os.symlink(DEMO_FOLDER, os.path.join(folder, DEMO_HOST))
    urls = [f"https://{DEMO_HOST}/pictures/{name}.jpg" for name in DEMO_PICTURES]
    return folder, ["--model", DEMO_MODEL, *urls]


def _run(server: str, words: Sequence[str], scratch: str, *, warm: bool) -> Run:
    """Classify once, as users do, and take the drawing from the page.

    Every host is one host here, so as many connections are allowed as all hosts together would be.
    """
    cache, page = os.path.join(scratch, "cache"), os.path.join(scratch, "report.html")
    if not warm:
        shutil.rmtree(cache, ignore_errors=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "BIRDLITE_"))}
    environment = kept | {"BIRDLITE_MIRROR": server, "BIRDLITE_CACHE_DIR": cache, "BIRDLITE_PER_HOST": "16"}
    environment["PYTHONPATH"] = ROOT  # this checkout, whatever is installed
    command = os.path.join(os.path.dirname(sys.executable), "birdlite")
    start = (command,) if os.path.exists(command) else (sys.executable, "-m", "birdlite")
    arguments = [*start, "classify", *words, "--format", "json", "-q", "--report", page]
    done = subprocess.run(arguments, env=environment, stdout=subprocess.PIPE, check=True)
    with open(page, encoding="utf-8") as file:
        found = _DRAWING.search(file.read())
    assert found is not None
    return Run(json.loads(done.stdout)["timing"]["wall_ms"], found[0], int(found[1]), int(found[2]))


def _median(runs: Sequence[Run]) -> Run:
    """The run in the middle; the very first, which warms the file cache, counts like the others."""
    return sorted(runs, key=lambda run: run.wall_ms)[len(runs) // 2]


if __name__ == "__main__":
    main()
