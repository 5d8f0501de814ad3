"""Cold start: birdlite and other ways to do its job, as whole processes in turn. The tables of PERF.md.

    scripts/bench cold [OPTION]...

Four things are timed: one local picture and five URLs, each with a warm and with an empty cache. The URLs are answered
by a server on this machine that is `--round-trip` ms away, behind a line of `--bandwidth` Mbit/s. Compared are

- birdlite, the command at its defaults;
- the floor (scripts/cold/floor.py): the least work that gives the same answer;
- the plain way (scripts/cold/plain.py), on LiteRT's Interpreter and on onnxruntime;
- the task's original way (scripts/cold/original.py): TensorFlow and the Hub's model;
- curl, which only downloads the same files.

A way that is not installed is left out, with a line that says so; `--python onnx=PATH` names an interpreter that has
it. All ways must agree on the best name of each picture before anything is timed. Without `--birds FOLDER`, which holds
the real model and photographs, it is the demo's model and drawings that are classified.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from statistics import median

from birdlite.demo import FOLDER as DEMO_FOLDER
from birdlite.demo import HOST as DEMO_HOST
from birdlite.models.catalog import CATALOG, DEFAULT_MODEL, DEMO_MODEL
from birdlite.targets.expand import SAMPLES
from scripts.cold.measure import Cost, Way, in_turn, output, table
from scripts.cold.slow_server import running
from scripts.cold.ways import CURL, SCENARIOS, TITLES, Bench, World, runnable

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BIRDS = os.path.join(ROOT, "..", "shared", "birds")
PHOTO = "raw.githubusercontent.com/google-coral/test_data/master/parrot.jpg"
ARCHIVE = "www.kaggle.com/api/v1/models/google/aiy/tensorFlow1/vision-classifier-birds-v1/1/download"
DEMO_PICTURES = ("crested-emberling", "hovering-sipwing", "painted-puddler", "ribbon-tailed-fabler", "stilted-inkwader")
LOCAL = "localhost"  # HOST under which the server has what exists on this machine only


def main(argv: Sequence[str] | None = None) -> None:
    """Compare and print."""
    values = _options(argv)
    chosen = dict(text.split("=", 1) for text in values.python)
    with tempfile.TemporaryDirectory() as scratch:
        world = _world(values.birds, scratch, chosen.get("onnx", sys.executable))
        pythons, missing = runnable(world, chosen, sys.executable)
        if "original" in pythons and world.archive:
            world = world._replace(saved_model=_unpacked(os.path.join(world.folder, world.archive), scratch))
        with running(world.folder, values.round_trip, values.bandwidth) as server:
            bench = Bench(world, server, scratch, pythons)
            print(f"{world.name}; {values.rounds} rounds; {values.round_trip:g} ms, {values.bandwidth:g} Mbit/s.")
            print(f"{os.cpu_count()} CPUs, {platform.machine()}, Python {platform.python_version()}.")
            print("\n".join(missing))
            for scenario in SCENARIOS:
                ways = bench.ways(scenario)
                _agree(ways)
                costs = in_turn(ways, values.rounds)
                print(f"\n### {scenario.title}\n\n{table(costs)}", flush=True)
                _beside_curl(costs)


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--birds", metavar="FOLDER", default=BIRDS, help="default: ../shared/birds, if it is there")
    parser.add_argument("--round-trip", metavar="MS", type=float, default=40.0)
    parser.add_argument("--bandwidth", metavar="MBIT_S", type=float, default=50.0)
    parser.add_argument("--rounds", metavar="N", type=int, default=15)
    parser.add_argument("--python", metavar="WAY=PATH", action="append", default=[], help=f"WAY: {', '.join(TITLES)}")
    return parser.parse_args(argv)


def _world(birds: str, scratch: str, python: str) -> World:
    """The real birds if they are in that folder, else the demo's; links to all of it in one folder to serve."""
    folder = os.path.join(scratch, "world")
    os.mkdir(folder)
    mirror = os.path.join(birds, "mirror")
    if os.path.isdir(mirror):
        world = _real_world(folder)
        for host in os.listdir(mirror):
            os.symlink(os.path.abspath(os.path.join(mirror, host)), os.path.join(folder, host))
    else:
        world = _demo_world(folder)
        os.symlink(DEMO_FOLDER, os.path.join(folder, DEMO_HOST))
    model, labels = (os.path.join(folder, place) for place in (world.model, world.labels))
    return world._replace(onnx=_converted(model, labels, os.path.join(folder, LOCAL), python))


def _real_world(folder: str) -> World:
    pictures = tuple(url.removeprefix("https://") for url in SAMPLES)
    return World(folder, DEFAULT_MODEL, *_places(DEFAULT_MODEL), pictures, os.path.join(folder, PHOTO), archive=ARCHIVE)


def _demo_world(folder: str) -> World:
    pictures = tuple(f"{DEMO_HOST}/pictures/{name}.jpg" for name in DEMO_PICTURES)
    return World(folder, DEMO_MODEL, *_places(DEMO_MODEL), pictures, os.path.join(folder, pictures[0]))


def _places(model: str) -> tuple[str, str, str]:
    """Model, labels and names, each at its first source."""
    first = {name: sources[0].url.removeprefix("https://") for name, sources in CATALOG[model].sources.items()}
    return first["model.tflite"], first["labels.csv"], first["names.txt"]


def _converted(model: str, labels: str, folder: str, python: str) -> str | None:
    """The model as int8 ONNX, if the converter is installed there: its place in the world."""
    os.mkdir(folder)
    out = os.path.join(folder, "onnx")
    command = [python, "-m", "birdlite", "convert", model, "--labels", labels, "--quantize", "int8", "--force"]
    done = subprocess.run([*command, "-o", out], cwd=ROOT, capture_output=True)
    return None if done.returncode else f"{LOCAL}/onnx/model.onnx"


def _unpacked(archive: str, scratch: str) -> str:
    folder = os.path.join(scratch, "saved_model")
    with tarfile.open(archive) as opened:
        opened.extractall(folder)
    return folder


def _agree(ways: Sequence[Way]) -> None:
    """Compare the best names that all ways give.

    Raises:
        SystemExit: two ways differ.
    """
    answers = {}
    for way in ways:
        if way.name == "birdlite":
            records = output(way._replace(command=(*way.command, "--format", "jsonl"))).splitlines()
            answers[way.name] = [json.loads(record)["predictions"][0]["name"] for record in records]
        elif way.name in TITLES.values():
            answers[way.name] = [line.split("\t")[1] for line in output(way).splitlines()]
    if len({tuple(names) for names in answers.values()}) > 1:
        sys.exit(f"the ways do not agree: {answers}")


def _beside_curl(costs: dict[str, list[Cost | None]]) -> None:
    for name, theirs in costs.items():
        if name.startswith(CURL):
            pairs = zip(costs["birdlite"], theirs, strict=True)
            more = median(ours.wall - 1.15 * other.wall for ours, other in pairs if ours and other)
            print(f"\nbirdlite takes 1.15 times what curl takes, and {more:+.2f} s.")


if __name__ == "__main__":
    main()
