"""Cold start: birdlite and other ways to do its job, as whole processes in turn. The tables of PERF.md.

    scripts/bench cold [OPTION]...

One local picture and five URLs are timed, each with a warm and with an empty cache. The URLs are answered by a server
on this machine that is `--round-trip` ms away, behind a line of `--bandwidth` Mbit/s, over http and over https (with a
certificate made on the spot; that needs the package trustme). Compared are

- birdlite, the command at its defaults;
- the floor (scripts/cold/floor.py): the least work that gives the same answer, http only;
- the plain way (scripts/cold/plain.py), on LiteRT's Interpreter and on onnxruntime;
- the task's original way (scripts/cold/original.py): TensorFlow and the Hub's model;
- curl, which only downloads the same files.

A way that is not installed is left out, with a line that says so; `--python onnx=PATH` names an interpreter that has
it. All ways must agree on the best name of each picture before anything is timed. Without real birds (`--birds FOLDER`)
the demo's model and drawings are classified.

`--against DIR` compares with the birdlite of another checkout, installed in DIR/.venv, and with nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from statistics import median

from birdlite.demo import FOLDER as DEMO_FOLDER
from birdlite.demo import HOST as DEMO_HOST
from birdlite.models.catalog import CATALOG, DEMO_MODEL
from birdlite.settings import DEFAULT_MODEL
from birdlite.targets.expand import SAMPLES
from scripts.cold.certificate import make_certificate
from scripts.cold.measure import Cost, Way, in_turn, output, table
from scripts.cold.slow_server import running
from scripts.cold.ways import CURL, SCENARIOS, TITLES, Bench, Scenario, World, runnable
from scripts.subjects import machine_in_words

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BIRDS = os.path.join(ROOT, "..", "shared", "birds")
PHOTO = "raw.githubusercontent.com/google-coral/test_data/master/parrot.jpg"
ARCHIVE = "www.kaggle.com/api/v1/models/google/aiy/tensorFlow1/vision-classifier-birds-v1/1/download"
# The upright ones: floor and plain do not turn pictures. There are four, so one is fetched twice.
DEMO_PICTURES = ("crested-emberling", "hovering-sipwing", "painted-puddler", "stilted-inkwader", "crested-emberling")
LOCAL = "localhost"  # HOST under which the server has what exists on this machine only


def main(argv: Sequence[str] | None = None) -> None:
    """Compare and print."""
    values = _options(argv)
    if values.against and not os.path.exists(os.path.join(values.against, ".venv", "bin", "birdlite")):
        sys.exit(f"--against {values.against}: birdlite is not installed in .venv there; scripts/birdlite does so")
    chosen = dict(text.split("=", 1) for text in values.python)
    with tempfile.TemporaryDirectory() as scratch:
        world = _world(values, scratch, chosen.get("onnx", sys.executable))
        pythons, missing = runnable(world, chosen, sys.executable)
        certificate = make_certificate(scratch)
        if certificate is None:
            missing.append("Left out: https; not installed: trustme.")
        if "original" in pythons and world.archive:
            world = world._replace(saved_model=_unpacked(os.path.join(world.folder, world.archive), scratch))
        print(f"{world.name}; {values.rounds} rounds; {values.round_trip:g} ms, {values.bandwidth:g} Mbit/s.")
        print(machine_in_words())
        print("\n".join([] if values.against else missing))
        for scenario in SCENARIOS:
            if values.only not in scenario.title or (scenario.secure and certificate is None):
                continue
            secured = certificate if scenario.secure else None
            line = (values.round_trip, values.bandwidth, secured and secured.server)
            with running(world.folder, *line) as server:
                bench = Bench(world, server, scratch, pythons, secured and secured.trust)
                _compare(bench, scenario, values)


def _compare(bench: Bench, scenario: Scenario, values: argparse.Namespace) -> None:
    ways = bench.against(scenario, values.against) if values.against else bench.ways(scenario)
    _agree(ways)
    costs = in_turn(ways, values.rounds)
    print(f"\n### {scenario.title}\n\n{table(costs)}", flush=True)
    _beside_curl(costs)


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    birds = parser.add_mutually_exclusive_group()
    birds.add_argument("--birds", metavar="FOLDER", help="real birds; default: ../shared/birds, if there")
    birds.add_argument("--demo", action="store_true", help="the demo's birds, even if there are real ones")
    parser.add_argument("--round-trip", metavar="MS", type=float, default=40.0)
    parser.add_argument("--bandwidth", metavar="MBIT_S", type=float, default=50.0)
    parser.add_argument("--rounds", metavar="N", type=int, default=15)
    parser.add_argument("--python", metavar="WAY=PATH", action="append", default=[], help=f"WAY: {', '.join(TITLES)}")
    parser.add_argument("--against", metavar="DIR", type=os.path.abspath, help="another checkout, with its .venv")
    parser.add_argument("--only", metavar="TEXT", default="", help="only what has TEXT in its title")
    return parser.parse_args(argv)


def _mirror(values: argparse.Namespace) -> str | None:
    """The mirror of the real birds; None for the demo's.

    Raises:
        SystemExit: `--birds` names a folder that holds none.
    """
    given = BIRDS if values.birds is None else values.birds
    for folder in () if values.demo else (os.path.join(given, "mirror"), given):
        if os.path.isfile(os.path.join(folder, _places(DEFAULT_MODEL)[0])):
            return folder
    if values.birds is not None:
        sys.exit(f"--birds {given}: no real birds there; give the folder that holds mirror/, or mirror/ itself")
    return None


def _world(values: argparse.Namespace, scratch: str, python: str) -> World:
    """The real birds or the demo's; links to all of it in one folder to serve."""
    mirror = _mirror(values)
    folder = os.path.join(scratch, "world")
    os.mkdir(folder)
    if mirror is not None:
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
        if way.name.startswith("birdlite"):
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
