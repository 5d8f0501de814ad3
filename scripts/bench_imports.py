"""What imports cost at a cold start, beside what every run needs anyway: the figures behind docs/decisions 1, 2, 4, 5.

    scripts/bench imports [RUNS]

Each line is a whole process that imports Pillow's core, ctypes, threading, typing and hashlib, and one thing more; all
of them run in turn, RUNS times (default 15). Printed: median ms of the whole process, and its ratio to the one with
nothing more. What is not installed here is left out.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from statistics import median

BASE = "from __future__ import annotations\nimport PIL._imaging, ctypes, threading, typing, hashlib\n"
FIELDS = "    a: int\n    b: str\n    c: float = 1.0\n    d: int | None = None\n"


def twelve(head: str, base: str) -> str:
    """Twelve small classes of plain data."""
    return "".join(f"{head}class A{number}{base}:\n{FIELDS}" for number in range(12))


ADDED = {
    "nothing more": "",
    "argparse": "import argparse",
    "click": "import click",
    "platformdirs": "import platformdirs",
    "logging": "import logging",
    "pathlib": "import pathlib",
    "dataclasses": "import dataclasses",
    "12 frozen dataclasses": "import dataclasses\n" + twelve("@dataclasses.dataclass(frozen=True, slots=True)\n", ""),
    "12 named tuples of typing": "from typing import NamedTuple\n" + twelve("", "(NamedTuple)"),
    "12 named tuples of birdlite": "from birdlite.namedtuple import NamedTuple\n" + twelve("", "(NamedTuple)"),
    "PIL.Image": "import PIL.Image",
    "json": "import json",
    "csv": "import csv",
    "numpy": "import numpy",
    "birdlite's fetcher, without httpx": "import birdlite.http.fetcher",
    "the same and ssl": "import birdlite.http.fetcher, ssl",
    "birdlite's client, on httpx": "import birdlite.http.client",
    "http.client": "import http.client",
    "urllib3": "import urllib3",
    "httpcore": "import httpcore",
    "httpx": "import httpx",
}


def main(runs: int) -> None:
    """Measure and print."""
    codes = {name: BASE + code for name, code in ADDED.items() if _installed(code)}
    times: dict[str, list[float]] = {name: [] for name in codes}
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for run in range(runs + 1):
        for name, code in codes.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True, env=environment)
            if run:  # the first one compiles and warms the disk cache
                times[name].append((time.perf_counter() - start) * 1e3)
    base = times["nothing more"]
    print("| with | ms, whole process | ratio |\n|---|---|---|")
    for name, values in times.items():
        ratio = median(value / other for value, other in zip(values, base, strict=True))
        print(f"| {name} | {median(values):.1f} | {ratio:.2f} |")
    for name in ADDED.keys() - codes.keys():
        print(f"\n{name} is not installed here.")


def _installed(code: str) -> bool:
    words = code.replace(",", " ").split()
    return words[:1] != ["import"] or importlib.util.find_spec(words[1].partition(".")[0]) is not None


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
