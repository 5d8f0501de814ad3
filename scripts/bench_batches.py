"""Whether it pays to run several pictures through a model at once: inference ms a picture by the size of the batch.

    .venv/onnx/bin/python -m scripts.bench_batches MODEL...

A MODEL is a name of the catalogue or a bundle's folder. They run on the runtimes' own Python packages, for birdlite
itself runs one picture at a time: ai_edge_litert's Interpreter, which resizes its input, and onnxruntime; one thread
each. All run in turn, ROUNDS times, on noise; medians are printed, and their ratio to batches of one. Needs the extra
`onnx`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from statistics import median
from typing import TYPE_CHECKING, Any

from birdlite.models.bundle import Model
from birdlite.models.card import ModelBytes
from birdlite.timing import clock
from scripts.bench_models import open_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIZES = (1, 2, 4, 8)
ROUNDS = 15


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL")
    models = [open_model(name) for name in parser.parse_args().models]
    runs = {(model.card.name, size): _ready(model, size) for model in models for size in SIZES}
    times: dict[tuple[str, int], list[float]] = {key: [] for key in runs}
    for round_ in range(ROUNDS + 1):
        for key, run in runs.items():
            began = clock()
            run()
            if round_:  # the first one warms up
                times[key].append((clock() - began) * 1e3 / key[1])
    print("| model | " + " | ".join(f"batch {size}, ms a picture" if size == 1 else f"{size}" for size in SIZES) + " |")
    print("|---" * (len(SIZES) + 1) + "|")
    for name in dict.fromkeys(name for name, _ in runs):
        cells = [
            f"{median(times[name, size]):.2f} ({_ratio(times[name, size], times[name, 1]):.2f}x)" for size in SIZES
        ]
        print(f"| {name} | {' | '.join(cells)} |")


def _ready(model: Model, size: int) -> Callable[[], Any]:
    """A model that is loaded and has a batch of noise before it."""
    return _onnx(model.data, size) if model.card.format == "onnx" else _tflite(model.data, size)


def _tflite(data: ModelBytes, size: int) -> Callable[[], Any]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=bytes(data), num_threads=1)
    (detail,) = interpreter.get_input_details()
    shape = (size, *detail["shape"][1:])
    interpreter.resize_tensor_input(detail["index"], shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(detail["index"], _noise(shape))
    return lambda: interpreter.invoke()


def _onnx(data: ModelBytes, size: int) -> Callable[[], Any]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(bytes(data), options, providers=["CPUExecutionProvider"])
    (detail,) = session.get_inputs()
    feeds = {detail.name: _noise((size, *detail.shape[1:]))}
    return lambda: session.run(None, feeds)


def _noise(shape: tuple[int, ...]) -> NDArray[Any]:
    import numpy

    return numpy.random.default_rng(0).integers(0, 256, shape, dtype=numpy.uint8)


def _ratio(times: list[float], others: list[float]) -> float:
    """Median of the ratios round by round."""
    return median(a / b for a, b in zip(times, others, strict=True))


if __name__ == "__main__":
    main()
