"""Where an int8 TensorFlow Lite model can begin, so that it takes plain pixels and computes nothing to make its input.

A graph makes floats of its pixels and then scales and moves them to what its network wants. All of that is one straight
line, value = scale * pixel + offset. A quantised tensor is a line too, real = scale * (stored - zero point). Where the
two lines are the same, nothing has to be computed: the pixel's byte is the stored input. `to_tflite` cuts the graph
there. In quantised arithmetic each of the steps before would round once more, and to one side for half of the pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from birdlite.convert.captured_output import quiet
from birdlite.convert.graph import INPUT, Graph
from birdlite.convert.tensorflow_package import imported
from birdlite.errors import InvalidModel

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

WHITE = 255  # the highest pixel

_HALF = 0.501  # of a step of the grid: a zero point is a whole number, so the line may be off by half a step
_CLOSE = 1e-5  # how exactly the values lie on the line, as a part of the largest: they are rounded to 32 bits


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
    """The line that all values lie on; None if there is none, or if it does not rise."""
    import numpy as np

    if values.shape != pixels.shape or values.dtype != np.float32 or not np.isfinite(values).all():
        return None
    black, white = values.flat[:2].astype(np.float64)
    line = Line(name, float(white - black) / WHITE, float(black))
    if line.scale <= 0 or np.abs(line.of(pixels) - values).max() > _CLOSE * np.abs(values).max():
        return None
    return line
