"""A network on its way to ONNX: what its nodes gave so far, on which grids it lies, and how a node gets at all that.

`to_onnx` makes one, and hands it to each of the `onnx_operations` in turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from birdlite.convert.onnx_graph import OnnxGraph
from birdlite.convert.saved_model import fake_quant
from birdlite.convert.saved_model.fold import Folded
from birdlite.convert.saved_model.graph import attribute, constant_of, inputs_of
from birdlite.convert.saved_model.kernels import UnknownOperation
from birdlite.convert.saved_model.onnx_rules import alike, biases_of, grid_of, limits_on, pixels_of
from birdlite.errors import InvalidModel
from birdlite.tflite.rules import NOWHERE, RELU, Grid, Limits

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

TO_PLANES = (0, 3, 1, 2)  # [n, height, width, channels] -> [n, channels, height, width]
TO_PIXELS = (0, 2, 3, 1)  # and back

_MOST_NUMBERS = 64  # in a constant that says how, such as axes

Shape = tuple[int, ...]


class Value(NamedTuple):
    """What a node gives."""

    name: str  # in ONNX
    shape: Shape  # of one picture, as TensorFlow has it: (height, width, channels), or (channels,) for a row
    grid: Grid | None = None  # that it lies on, where the result is int8


class Network:
    """One conversion under way."""

    def __init__(self, folded: Folded, rounded: dict[str, fake_quant.Grid]) -> None:
        """Begin one. `rounded` are the grids of activations, by the names of nodes, that the result is to lie on."""
        self.graph = folded.graph
        self.weight_grids = folded.weights
        self._rounded = rounded
        self.biases = biases_of(self.graph, rounded)
        self.added: set[str] = set()  # nodes that add what is a bias already
        self.values: dict[str, Value] = {}  # by the name of the node
        self._side = self._read_side()
        self.onnx = OnnxGraph(self._side)
        self.place = ""  # of the current node, the beginning of the names that it makes

    def take_pixels(self) -> tuple[str, ...]:
        """Make the pixels what the network wants them to be; gives the nodes that are done with it."""
        pixels = pixels_of(self.graph, self._rounded)
        node, shape = self.graph.nodes[pixels.nodes[-1]], (self._side, self._side, 3)
        self.place = "pixels"
        real, grid = self.onnx.pixels(pixels.scale, pixels.zero_point), None
        if pixels.offset:
            offset = self.onnx.constant("pixels_offset", pixels.offset, "float32")
            real = self.onnx.node("Add", [real, offset], "pixels_moved")
        elif self._rounded:
            grid = Grid(pixels.scale, pixels.zero_point)
        self.values[node.name] = self.done(node, Value(real, shape, grid))
        return pixels.nodes

    def _read_side(self) -> int:
        placeholder = self.graph.nodes[self.graph.input]
        dtype, shape = attribute(placeholder, "dtype"), attribute(placeholder, "shape")
        if (
            dtype != "uint8"
            or not isinstance(shape, tuple)
            or len(shape) != 4
            or not shape[1] == shape[2] > 0
            or shape[3] != 3
        ):
            raise InvalidModel(f"the graph takes {dtype} {shape}; only uint8 [n, side, side, 3] can be converted")
        return int(shape[1])

    # What a node is given

    def read(self, node: Any, number: int) -> Any:
        """The node that is its input."""
        inputs = inputs_of(node)
        if not 0 <= number < len(inputs) or inputs[number] not in self.graph.nodes:
            raise InvalidModel(f"input {number} is missing")
        return self.graph.nodes[inputs[number]]

    def value(self, node: Any, number: int = 0) -> Value:
        """An input that depends on the picture."""
        read = self.read(node, number)
        if read.name not in self.values:
            raise UnknownOperation(node if read.op == "Const" else read)
        return self.values[read.name]

    def picture(self, node: Any) -> Value:
        """The first input, which must be a picture."""
        value = self.value(node)
        if len(value.shape) != 3:
            raise InvalidModel(f"reads {spelt(value.shape)} instead of pictures")
        if attribute(node, "data_format", "NHWC") != "NHWC":
            raise UnknownOperation(node)
        return value

    def constant(self, node: Any, number: int) -> Array:
        """An input that is the same for all pictures."""
        read = self.read(node, number)
        if read.op != "Const":
            raise UnknownOperation(node)
        return constant_of(read)

    def whole_numbers(self, node: Any, number: int) -> list[int]:
        """A constant input that says how, such as axes."""
        array = self.constant(node, number)
        if array.dtype.kind != "i" or array.size > _MOST_NUMBERS:
            raise InvalidModel(f"input {number} is {array.dtype} {list(array.shape)}")
        return [int(element) for element in array.ravel()]

    # What a node gives

    def done(self, node: Any, value: Value, limits: Limits = NOWHERE, kept: Grid | None = None) -> Value:
        """Cut off what is outside `limits`, and round as the source does behind this node, or else to `kept`."""
        source = self._rounded.get(node.name)
        grid = grid_of(source) if source else kept
        if source:
            limits = limits_on(limits, source)
        real = value.name
        if limits == RELU:
            real = self.onnx.node("Relu", [real], f"{self.place}_clipped")
        elif limits != NOWHERE:
            ends = ["" if end is None else self.onnx.constant(f"end_{end}", end, "float32") for end in limits]
            real = self.onnx.node("Clip", [real, *ends], f"{self.place}_clipped")
        if grid is None:
            return value._replace(name=real, grid=value.grid if limits == NOWHERE else None)
        if value.grid and alike(grid, value.grid) and limits == NOWHERE:
            return value
        return Value(self.onnx.rounded(real, *grid, self.place), value.shape, grid)


def spelt(shape: Shape) -> str:
    """A shape in a message."""
    return f"[{', '.join(map(str, ('n', *shape)))}]"
