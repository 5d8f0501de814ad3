"""Does it pay to give a model several pictures at once? Inference a picture, by batch, beside that of one at a time.

    .venv/bin/python scripts/bench_batches.py [--batches 1,2,4,8] MODEL...

A MODEL is a name of the catalogue or a bundle's folder: TensorFlow Lite runs in LiteRT's Python interpreter, whose
input is resized, ONNX in onnxruntime; so it needs the extra `onnx`. Every model at every batch runs in turn on noise,
ROUNDS times, in one process and one thread; medians are printed, and the median of the ratios to batch 1, round by
round.
BIRDLITE_CACHE_DIR and BIRDLITE_MIRROR count as they do for the command.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from birdlite import Classifier, FetchSettings, Settings
from birdlite.models.model import Model
from birdlite.timing import clock

ROUNDS = 15

Pixels = np.ndarray[Any, Any]
Run = Callable[[], object]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", default="1,2,4,8", type=lambda text: [int(number) for number in text.split(",")])
    parser.add_argument("models", nargs="+", metavar="MODEL")
    values = parser.parse_args()
    batches: list[int] = sorted({1, *values.batches})
    names = list(dict.fromkeys(values.models))
    models = {name: _open(name) for name in names}
    runs = {(name, batch): _ready(model, batch) for name, model in models.items() for batch in batches}
    times = _measure(runs)
    print("| model | " + " | ".join(f"batch {batch}, ms a picture | ratio" for batch in batches) + " |")
    print("|---" * (1 + 2 * len(batches)) + "|")
    for name, model in models.items():
        cells = (f"{median(times[name, batch]):.2f} | {_ratio(times, name, batch):.2f}" for batch in batches)
        print(f"| {model.card.name} | " + " | ".join(cells) + " |")
    print(f"\nOne thread; medians of {ROUNDS} rounds; ratios are to batch 1 of the same model.")


def _open(name: str) -> Model:
    fetch = FetchSettings(mirror=os.environ.get("BIRDLITE_MIRROR"))
    settings = Settings(model=name, cache_dir=os.environ.get("BIRDLITE_CACHE_DIR"), fetch=fetch)
    with Classifier(settings) as classifier:
        return classifier.model


def _ready(model: Model, batch: int) -> Run:
    """The model loaded for `batch` pictures at once, with pictures."""
    side = model.card.side
    pixels = np.random.default_rng(batch).integers(0, 256, (batch, side, side, 3), dtype=np.uint8)
    return (_litert if model.card.format == "tflite" else _onnxruntime)(bytes(model.data), pixels)


def _litert(model: bytes, pixels: Pixels) -> Run:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model, num_threads=1)
    index = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(index, pixels.shape)
    interpreter.allocate_tensors()

    def run() -> None:
        interpreter.set_tensor(index, pixels)
        interpreter.invoke()

    return run


def _onnxruntime(model: bytes, pixels: Pixels) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4  # only what is fatal
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda: session.run(None, {name: pixels})


def _measure(runs: dict[tuple[str, int], Run]) -> dict[tuple[str, int], list[float]]:
    """Milliseconds a picture, of each in every round; a round before the first warms up."""
    times: dict[tuple[str, int], list[float]] = {key: [] for key in runs}
    for number in range(ROUNDS + 1):
        for (name, batch), run in runs.items():
            start = clock()
            run()
            if number:
                times[name, batch].append((clock() - start) * 1e3 / batch)
    return times


def _ratio(times: dict[tuple[str, int], list[float]], name: str, batch: int) -> float:
    return median(a / b for a, b in zip(times[name, batch], times[name, 1], strict=True))


if __name__ == "__main__":
    main()
