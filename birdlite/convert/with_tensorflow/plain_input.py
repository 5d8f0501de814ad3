"""Where an int8 model can begin, so that it takes plain pixels and computes nothing to make its input of them.

A graph makes floats of its pixels and goes on with what its network wants: a scale, an offset. All of that is one
straight line, value = scale * pixel + offset, and a quantised tensor is one too, real = scale * (stored - zero point).
Where they are the same line, nothing has to be computed: a pixel's byte is the stored input as it is. `to_tflite` cuts
there. In quantised arithmetic the steps before would round once more each, and to one side for one half of the pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from birdlite.convert.saved_model.graph import Graph, attribute, constant_of, inputs_of
from birdlite.errors import InvalidModel

if TYPE_CHECKING:
    import numpy as np

WHITE = 255  # the highest pixel

_HALF = 0.501  # of a step of the grid: a zero point is a whole number, so the line may be off by half a step


class Line(NamedTuple):
    """The first output of a node as a function of the pixel: scale * pixel + offset."""

    node: str
    scale: float
    offset: float

    def of(self, pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """The values, float32, of plain pixels, uint8."""
        import numpy as np

        return pixels * np.float32(self.scale) + np.float32(self.offset)

    def is_grid(self, scale: float, zero_point: int) -> bool:
        """Whether scale * (pixel - zero_point) is this line, as exactly as a whole zero point can make it."""
        return all(
            abs(scale * (pixel - zero_point) - (self.scale * pixel + self.offset)) <= _HALF * self.scale
            for pixel in (0, WHITE)
        )


def plain_input(graph: Graph) -> Line:
    """The last of the graph's first steps whose values a quantised tensor can have for plain pixels.

    Raises:
        InvalidModel: the graph, which takes uint8, does not begin with a cast to float32.
    """
    readers: dict[str, list[Any]] = {}
    for node in graph.nodes.values():
        if node.name != graph.input:
            for name in inputs_of(node):
                readers.setdefault(name, []).append(node)
    first = readers.get(graph.input, [])
    if len(first) != 1 or first[0].op != "Cast" or attribute(first[0], "DstT") != "float32":
        raise InvalidModel("int8 takes a graph that makes floats of its pixels before all else; this one does not")
    found = line = Line(first[0].name, 1.0, 0.0)
    while len(readers.get(line.node, [])) == 1:
        following = _step(graph, line, readers[line.node][0])
        if following is None:
            break
        line = following
        if line.scale > 0 and 0 <= -line.offset / line.scale <= WHITE:
            found = line
    return found


def _step(graph: Graph, line: Line, node: Any) -> Line | None:
    """The line one step on, or None if the step is none that a line goes through."""
    reads = inputs_of(node)
    if len(reads) != 2 or reads[0] == reads[1]:
        return None
    ahead = reads[0] == line.node  # of the constant: the order of a subtraction matters
    number = _number(graph.nodes[reads[1] if ahead else reads[0]])
    if number is None:
        return None
    if node.op == "Mul":
        return Line(node.name, line.scale * number, line.offset * number)
    if node.op in ("Add", "AddV2"):
        return Line(node.name, line.scale, line.offset + number)
    if node.op == "Sub" and ahead:
        return Line(node.name, line.scale, line.offset - number)
    if node.op in ("Div", "RealDiv") and ahead and number:
        return Line(node.name, line.scale / number, line.offset / number)
    return None


def _number(node: Any) -> float | None:
    """The value of a constant that is the same for every pixel and colour."""
    if node.op != "Const":
        return None
    array = constant_of(node)
    if array.size not in (1, 3) or array.ndim > 1 or array.min() != array.max():
        return None
    return float(array.flat[0])
