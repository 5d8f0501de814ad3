"""A TensorFlow graph to TensorFlow Lite: in floats, with half-precision weights, or int8.

`from_module` calls it. Whatever the kind, the result takes one picture of plain pixels, uint8 RGB
[1, side, side, 3], and gives probabilities, [1, classes]: float32, or uint8 for int8.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

from birdlite import engines
from birdlite.convert.captured_output import quiet
from birdlite.convert.graph import INPUT, OUTPUT, Graph
from birdlite.convert.plain_input import WHITE, Line, plain_input
from birdlite.convert.tensorflow_engine import TensorFlowEngine
from birdlite.convert.tensorflow_package import imported, reason
from birdlite.engines.contract import spell
from birdlite.errors import InvalidModel

Quantize = Literal["none", "float16", "int8"]


def to_tflite(graph: Graph, quantize: Quantize, pictures: Sequence[bytes] = ()) -> bytes:
    """Convert a graph of floats.

    `int8` takes the ranges of its activations from all of `pictures`, uint8 RGB [side, side, 3] each. Its weights have
    a scale for each channel. Operations that TensorFlow Lite has in floats only stay in floats.

    Raises:
        InvalidModel: TensorFlow Lite has no such operation, or the result does not take plain pixels.
        ValueError: int8 without pictures.
        EngineMissing: TensorFlow is not installed.
    """
    tensorflow = imported()
    from tensorflow.lite.python.convert_phase import ConverterError  # has no public name

    if quantize == "int8" and not pictures:
        raise ValueError("nothing to calibrate on")
    line = None
    if quantize == "int8":
        line = plain_input(graph)
        _check_finite(graph, pictures[0])
    try:
        with quiet():
            converter = _converter(tensorflow, graph, line)
            if line is not None:
                _ask_for_int8(tensorflow, converter, lambda: _representative(pictures, line, graph.side))
            elif quantize == "float16":
                converter.optimizations = [tensorflow.lite.Optimize.DEFAULT]
                converter.target_spec.supported_types = [tensorflow.float16]
            model = bytes(converter.convert())
    except (ConverterError, ValueError, RuntimeError, tensorflow.errors.OpError) as error:
        raise InvalidModel(f"the graph cannot become TensorFlow Lite: {_reason(error)}") from None
    _check(model, line, graph.side)
    return model


def _check_finite(graph: Graph, picture: bytes) -> None:
    """Refuse a network that gives no finite scores. Such ranges crash TensorFlow's quantiser and the whole process."""
    engine = TensorFlowEngine(graph)
    try:
        (scores,) = engine.run(picture)
    finally:
        engine.close()
    if not all(map(math.isfinite, scores)):
        raise InvalidModel("the network gives scores that are not finite")


def _converter(tensorflow: Any, graph: Graph, line: Line | None) -> Any:
    """TensorFlow's converter for the whole graph, or for the part behind the line."""
    v1 = tensorflow.compat.v1
    start, dtype = (INPUT, tensorflow.uint8) if line is None else (line.tensor, tensorflow.float32)

    def scores(pixels: Any) -> Any:
        return v1.import_graph_def(graph.definition, {start: pixels}, return_elements=[OUTPUT], name="")[0]

    holder = tensorflow.Module()
    shape = (1, graph.side, graph.side, 3)
    holder.function = v1.wrap_function(scores, [tensorflow.TensorSpec(shape, dtype, "pixels")])
    # Without a module that holds its functions, the converter takes a deprecated way.
    return tensorflow.lite.TFLiteConverter.from_concrete_functions([holder.function], holder)


def _ask_for_int8(tensorflow: Any, converter: Any, representative: Callable[[], Iterator[list[Any]]]) -> None:
    converter.optimizations = [tensorflow.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative
    converter.inference_input_type = converter.inference_output_type = tensorflow.uint8


def _representative(pictures: Sequence[bytes], line: Line, side: int) -> Iterator[list[Any]]:
    """The pictures as the network behind the line gets them.

    Two bytes of the first picture are made black and white, so that the range of the input covers every pixel.
    """
    import numpy as np

    for number, picture in enumerate(pictures):
        pixels = np.frombuffer(picture, np.uint8).reshape(1, side, side, 3).copy()
        if number == 0:
            pixels.flat[:2] = 0, WHITE
        yield [line.of(pixels)]


def _check(model: bytes, line: Line | None, side: int) -> None:
    """Check that the result takes plain pixels, bytes as they are."""
    input_, _ = engines.describe(model)
    fits = line is None or line.is_grid(input_.scale, input_.zero_point)
    if (input_.shape, input_.dtype) != ((1, side, side, 3), "uint8") or not fits:
        raise InvalidModel(f"TensorFlow Lite's converter made a model that takes {spell(input_)}: not plain pixels")


def _reason(error: Exception) -> str:
    missing = re.search(r"^Custom ops: (.+)$", str(error), re.MULTILINE)
    return f"it has no operation {missing[1]}" if missing else reason(error)
