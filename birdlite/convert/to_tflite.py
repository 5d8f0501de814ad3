"""A TensorFlow graph to TensorFlow Lite: in floats, with half-precision weights, or int8.

`proven` calls it. Whatever the kind, the result takes one picture of plain pixels, uint8 RGB [1, side, side, 3], and
gives probabilities, [1, classes]: float32, or uint8 for int8.

An int8 model must compute nothing to make its input. A graph makes floats of its pixels and then scales and moves them
to what its network wants. All of that is one straight line, value = scale * pixel + offset. A quantised tensor is a
line too, real = scale * (stored - zero point). Where the two lines are the same, the pixel's byte is the stored input,
and the graph is cut there. In quantised arithmetic each of the steps before would round once more, and to one side for
half of the pixels.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from birdlite import engines
from birdlite.convert.graph import INPUT, OUTPUT, Graph, scores_of
from birdlite.convert.proof import Quantize
from birdlite.convert.tensorflow_package import imported, quiet, reason
from birdlite.errors import InvalidModel
from birdlite.models.card import spell

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

WHITE = 255  # the highest pixel

_HALF = 0.501  # of a step of the grid: a zero point is a whole number, so the line may be off by half a step
_CLOSE = 1e-5  # how exactly the values lie on the line, as a part of the largest: they are rounded to 32 bits


def to_tflite(graph: Graph, quantize: Quantize, pictures: Sequence[bytes] = ()) -> bytes:
    """Convert a graph of floats.

    `int8` takes the ranges of its activations from all of `pictures`, uint8 RGB [side, side, 3] each. Its weights have
    a scale for each channel. Operations that TensorFlow Lite has in floats only stay in floats.

    Raises:
        InvalidModel: TensorFlow Lite has no such operation, or the result does not take plain pixels.
        EngineMissing: TensorFlow is not installed.
    """
    tensorflow = imported()
    from tensorflow.lite.python.convert_phase import ConverterError  # has no public name

    line = None
    if quantize == "int8":
        line = plain_input(graph)
        # Ranges that are not finite crash TensorFlow's quantiser and the whole process.
        if not all(map(math.isfinite, scores_of(graph, pictures[0]))):
            raise InvalidModel("the network gives scores that are not finite")
    try:
        with quiet():
            converter = _converter(tensorflow, graph, line)
            if quantize != "none":
                converter.optimizations = [tensorflow.lite.Optimize.DEFAULT]
            if line is not None:
                converter.representative_dataset = lambda: _representative(pictures, line, graph.side)
                converter.inference_input_type = converter.inference_output_type = tensorflow.uint8
            elif quantize == "float16":
                converter.target_spec.supported_types = [tensorflow.float16]
            model = bytes(converter.convert())
    except (ConverterError, ValueError, RuntimeError, tensorflow.errors.OpError) as error:
        raise InvalidModel(f"the graph cannot become TensorFlow Lite: {_reason(error)}") from None
    _check(model, line, graph.side)
    return model


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


class Line(NamedTuple):
    """A tensor as a function of the pixel: scale * pixel + offset."""

    tensor: str
    scale: float
    offset: float

    def of(self, pixels: Array) -> Array:
        """The values, float32, for plain pixels, uint8."""
        import numpy as np

        return pixels * np.float32(self.scale) + np.float32(self.offset)

    def is_grid(self, scale: float, zero_point: int) -> bool:
        """True if scale * (pixel - zero_point) is this line, as exactly as a whole zero point can make it."""
        return all(
            abs(scale * (pixel - zero_point) - (self.scale * pixel + self.offset)) <= _HALF * self.scale
            for pixel in (0, WHITE)
        )


def plain_input(graph: Graph) -> Line:
    """The last of the graph's first steps whose values a quantised tensor can have for plain pixels.

    The steps are found by running them on noise.

    Raises:
        InvalidModel: the graph does not begin with a cast of its pixels to float32.
    """
    import numpy as np

    tensorflow = imported()
    v1 = tensorflow.compat.v1
    pixels = np.random.RandomState(0).randint(0, WHITE + 1, (1, graph.side, graph.side, 3)).astype(np.uint8)
    pixels.flat[:2] = 0, WHITE
    found = None
    with quiet(), tensorflow.Graph().as_default() as whole, v1.Session(graph=whole) as session:
        v1.import_graph_def(graph.definition, name="")
        tensor = whole.get_tensor_by_name(INPUT)
        while (tensor := _only_reader(tensor)) is not None:
            if tensor.dtype == tensorflow.uint8:  # an Identity
                continue
            line = _line(tensor.name, pixels, session.run(tensor, {INPUT: pixels}))
            if line is None or (found is None and line[1:] != (1.0, 0.0)):
                break
            if 0 <= -line.offset / line.scale <= WHITE:
                found = line
    if found is None:
        raise InvalidModel("int8 needs a graph that first casts its pixels to float32; this one does not")
    return found


def _only_reader(tensor: Any) -> Any:
    """What the one operation that reads `tensor` gives; None if there are more, or it gives more."""
    readers = tensor.consumers()
    return readers[0].outputs[0] if len(readers) == 1 and len(readers[0].outputs) == 1 else None


def _line(name: str, pixels: Array, values: Array) -> Line | None:
    """The line that all values lie on; None if they lie on no line, or if it does not rise."""
    import numpy as np

    if values.shape != pixels.shape or values.dtype != np.float32 or not np.isfinite(values).all():
        return None
    black, white = values.flat[:2].astype(np.float64)
    line = Line(name, float(white - black) / WHITE, float(black))
    if line.scale <= 0 or np.abs(line.of(pixels) - values).max() > _CLOSE * np.abs(values).max():
        return None
    return line
