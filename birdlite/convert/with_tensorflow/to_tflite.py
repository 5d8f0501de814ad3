"""A graph to TensorFlow Lite: in floats, with weights of half their size, or in whole numbers.

`birdlite.convert.from_module` calls it. Whatever the kind, the result takes one picture of plain pixels, uint8 RGB
[1, side, side, 3], and gives probabilities, [1, classes]: float32, or uint8 for int8.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

from birdlite import engines
from birdlite.convert.saved_model.graph import Graph, graph_def
from birdlite.convert.saved_model.pixels import side_of
from birdlite.convert.with_tensorflow import imported
from birdlite.convert.with_tensorflow.chatter import quiet
from birdlite.convert.with_tensorflow.plain_input import WHITE, Line, plain_input
from birdlite.convert.with_tensorflow.reason import reason
from birdlite.convert.with_tensorflow.tensorflow_engine import TensorFlowEngine
from birdlite.engines.contract import spell
from birdlite.errors import InvalidModel

Quantize = Literal["none", "float16", "int8"]


def to_tflite(graph: Graph, quantize: Quantize, pictures: Sequence[bytes] = ()) -> bytes:
    """Convert a graph of floats that takes plain pixels, uint8 [n, side, side, 3], and gives probabilities.

    `int8` takes the ranges of its activations from all of `pictures`, uint8 RGB [side, side, 3] each; its weights have
    a scale for each channel, and all that it computes is int8.

    Raises:
        InvalidModel: TensorFlow Lite has no such operation, or the result does not take plain pixels.
        ValueError: int8 without pictures.
        EngineMissing: TensorFlow is not installed.
    """
    tensorflow = imported()
    from tensorflow.lite.python.convert_phase import ConverterError  # has no public name

    if quantize == "int8" and not pictures:
        raise ValueError("nothing to calibrate on")
    side = side_of(graph)
    line = None
    if quantize == "int8":
        line = plain_input(graph)
        _check_finite(graph, pictures[0])
    try:
        with quiet():
            converter = _converter(tensorflow, graph, line, side)
            if line is not None:
                _ask_for_int8(tensorflow, converter, lambda: _representative(pictures, line, side))
            elif quantize == "float16":
                converter.optimizations = [tensorflow.lite.Optimize.DEFAULT]
                converter.target_spec.supported_types = [tensorflow.float16]
            model = bytes(converter.convert())
    except (ConverterError, ValueError, RuntimeError, tensorflow.errors.OpError) as error:
        raise InvalidModel(f"the graph cannot become TensorFlow Lite: {_reason(error)}") from None
    _check(model, line, side)
    return model


def _check_finite(graph: Graph, picture: bytes) -> None:
    """Refuse a network that has diverged: ranges that are not finite crash TensorFlow's quantiser and the process."""
    engine = TensorFlowEngine(graph)
    try:
        (scores,) = engine.run(picture)
    finally:
        engine.close()
    if not all(map(math.isfinite, scores)):
        raise InvalidModel("the network gives scores that are not finite")


def _converter(tensorflow: Any, graph: Graph, line: Line | None, side: int) -> Any:
    """TensorFlow's converter, set on the graph: on all of it, or on what is behind the line."""
    v1 = tensorflow.compat.v1
    definition = v1.GraphDef.FromString(graph_def(graph))
    start, dtype = (graph.input, tensorflow.uint8) if line is None else (line.node, tensorflow.float32)

    def scores(pixels: Any) -> Any:
        ends = {f"{start}:0": pixels}
        return v1.import_graph_def(definition, input_map=ends, return_elements=[f"{graph.output}:0"], name="")[0]

    holder = tensorflow.Module()
    holder.function = v1.wrap_function(scores, [tensorflow.TensorSpec((1, side, side, 3), dtype, "pixels")])
    # Without the module that holds them, functions go a way that is deprecated.
    return tensorflow.lite.TFLiteConverter.from_concrete_functions([holder.function], holder)


def _ask_for_int8(tensorflow: Any, converter: Any, representative: Callable[[], Iterator[list[Any]]]) -> None:
    converter.optimizations = [tensorflow.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tensorflow.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.representative_dataset = representative
    converter.inference_input_type = converter.inference_output_type = tensorflow.uint8


def _representative(pictures: Sequence[bytes], line: Line, side: int) -> Iterator[list[Any]]:
    """The pictures as the network behind the line gets them.

    Two bytes of the first are made black and white: the range of the input has to be that of all pixels, whether these
    pictures go so far or not.
    """
    import numpy as np

    for number, picture in enumerate(pictures):
        pixels = np.frombuffer(picture, np.uint8).reshape(1, side, side, 3).copy()
        if number == 0:
            pixels.flat[:2] = 0, WHITE
        yield [line.of(pixels)]


def _check(model: bytes, line: Line | None, side: int) -> None:
    """Make sure that what the result takes are the plain pixels, bytes as they are."""
    input_, _ = engines.describe(model)
    fits = line is None or line.is_grid(input_.scale, input_.zero_point)
    if (input_.shape, input_.dtype) != ((1, side, side, 3), "uint8") or not fits:
        raise InvalidModel(f"TensorFlow Lite's converter made a model that takes {spell(input_)}: not plain pixels")


def _reason(error: Exception) -> str:
    missing = re.search(r"^Custom ops: (.+)$", str(error), re.MULTILINE)
    return f"it has no operation {missing[1]}" if missing else reason(error)
