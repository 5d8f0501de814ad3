"""The table of artefacts: size, load, inference and answers of several models beside those of the first.

    .venv/bin/python -m scripts.bench_models [--make FOLDER [--source SOURCE]] [--pictures PATH]... MODEL...

A MODEL is a name of the catalogue or a bundle's folder. With --make, every artefact of a SOURCE (default: the Hub's
birds_V1) is converted into FOLDER first, as `birdlite convert` does, and takes part; those that are there are kept. All
models are loaded and run in turn, ROUNDS times, in one process; medians are printed. The answers are compared on the
pictures given, which int8 is calibrated on too; else on the demo's drawings, which mean something to the demo's model
only. BIRDLITE_CACHE_DIR and BIRDLITE_MIRROR count as they do for the command.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from statistics import median
from typing import TypeVar

from birdlite import Classifier, FetchSettings, Settings, engines
from birdlite.cli import main as birdlite
from birdlite.convert.hub import DEFAULT_HANDLE
from birdlite.convert.pictures import choose
from birdlite.convert.proof import compare
from birdlite.models.bundle import MODEL_FILES, Model
from birdlite.timing import clock

ROUNDS = 15
THREADS = (1, 2)
ARTEFACTS = [(to, quantize) for to in ("tflite", "onnx") for quantize in ("none", "float16", "int8")]

Result = TypeVar("Result")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--make", metavar="FOLDER")
    parser.add_argument("--source", default=DEFAULT_HANDLE)
    parser.add_argument("--pictures", action="append", default=[])
    parser.add_argument("models", nargs="+", metavar="MODEL")
    values = parser.parse_args()
    made = _make(values.make, values.source, values.pictures) if values.make else []
    models = [open_model(name) for name in values.models + made]
    pictures = choose(values.pictures, models[0].card.side, FetchSettings(), birds=False)
    loads: dict[tuple[str, int], list[float]] = {}
    runs: dict[tuple[str, int], list[float]] = {}
    for _ in range(ROUNDS + 1):
        for model in models:
            for threads in THREADS:
                _measure(model, threads, pictures[0], loads, runs)
    columns = [
        "model",
        "bytes",
        "load ms",
        "ratio",
        "infer ms, 1 thread",
        "ratio",
        "2 threads",
        "max difference",
        "top-1",
    ]
    print("| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))
    for model in models:
        print("| " + " | ".join(_row(model, models[0], pictures, loads, runs)) + " |")
    print(f"\n{len(pictures)} pictures; ratios, differences and top-1 are to the first model.")


def _make(folder: str, source: str, pictures: list[str]) -> list[str]:
    """Convert SOURCE to every kind of artefact; gives the bundles' folders."""
    bundles = []
    shown = [word for path in pictures for word in ("--calibrate", path)]
    for to, quantize in ARTEFACTS:
        bundle = os.path.join(folder, f"{to}-{quantize}")
        if not os.path.exists(bundle):
            code = birdlite(["convert", source, "--to", to, "--quantize", quantize, *shown, "-o", bundle])
            if code:
                raise SystemExit(code)
        bundles.append(bundle)
    return bundles


def open_model(name: str) -> Model:
    """A model by its name in the catalogue or its bundle's folder, fetched or made if need be."""
    fetch = FetchSettings(mirror=os.environ.get("BIRDLITE_MIRROR"))
    settings = Settings(model=name, cache_dir=os.environ.get("BIRDLITE_CACHE_DIR"), fetch=fetch)
    with Classifier(settings) as classifier:
        return classifier.model


def _measure(
    model: Model,
    threads: int,
    pixels: bytes,
    loads: dict[tuple[str, int], list[float]],
    runs: dict[tuple[str, int], list[float]],
) -> None:
    """One load and one run, warm."""
    loading, engine = _timed(lambda: engines.load(model.data, model.card, threads=threads))
    engine.run(pixels)
    running, _ = _timed(lambda: engine.run(pixels))
    engine.close()
    loads.setdefault((model.card.name, threads), []).append(loading)
    runs.setdefault((model.card.name, threads), []).append(running)


def _timed(work: Callable[[], Result]) -> tuple[float, Result]:
    start = clock()
    done = work()
    return (clock() - start) * 1e3, done


def _row(
    model: Model,
    first: Model,
    pictures: list[bytes],
    loads: dict[tuple[str, int], list[float]],
    runs: dict[tuple[str, int], list[float]],
) -> list[str]:
    card = model.card
    reference, engine = engines.load(first.data, first.card), engines.load(model.data, card)
    distance = compare(reference, engine, pictures)
    reference.close()
    engine.close()
    name = card.name
    return [
        name,
        f"{card.files[MODEL_FILES[card.format]].bytes:,}",
        f"{median(loads[name, 1][1:]):.1f}",
        f"{_ratio(loads[name, 1], loads[first.card.name, 1]):.2f}",
        f"{median(runs[name, 1][1:]):.2f}",
        f"{_ratio(runs[name, 1], runs[first.card.name, 1]):.2f}",
        f"{median(runs[name, 2][1:]):.2f}",
        f"{distance.max_difference:.4f}",
        f"{distance.top1:.0%}",
    ]


def _ratio(times: list[float], others: list[float]) -> float:
    """Median of the ratios round by round; the first round warms up and does not count."""
    return median(a / b for a, b in zip(times[1:], others[1:], strict=True))


if __name__ == "__main__":
    main()
