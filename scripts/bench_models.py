"""The table of artefacts: size, load, inference and answers of several models beside those of the first.

    .venv/bin/python scripts/bench_models.py [--pictures PATH]... MODEL...

A MODEL is a name of the catalogue or a bundle's folder, for instance one that `birdlite convert` wrote. All models are
loaded and run in turn, ROUNDS times, in one process; medians are printed. The answers are compared on the pictures
given, else on the demo's drawings, which mean something to the demo's model only. BIRDLITE_CACHE_DIR and
BIRDLITE_MIRROR count as they do for the command.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from statistics import median
from typing import TypeVar

from birdlite import Classifier, FetchSettings, Settings, engines
from birdlite.convert.compare import compare
from birdlite.convert.pictures import drawn_pictures, named_pictures
from birdlite.models.bundle import MODEL_FILES
from birdlite.models.model import Model
from birdlite.timing import clock

ROUNDS = 15
MAX_BYTES = 1 << 26
THREADS = (1, 2)

Result = TypeVar("Result")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", action="append", default=[])
    parser.add_argument("models", nargs="+", metavar="MODEL")
    values = parser.parse_args()
    models = [_open(name) for name in values.models]
    side = models[0].card.side
    named = values.pictures
    pictures = list(named_pictures(named, side, MAX_BYTES) if named else drawn_pictures(side))
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


def _open(name: str) -> Model:
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
    """One load and one run, warm. The weight cache is left out: it would serve one engine only."""
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
