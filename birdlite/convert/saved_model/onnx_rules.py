"""What a conversion to ONNX asks of a graph: what becomes of the pixels, what is a bias, where values are rounded.

`to_onnx` and the rooms beside it ask. These are rules of TensorFlow's graphs, and know nothing of ONNX.
"""

from __future__ import annotations

import math
from collections.abc import Container
from typing import Any, NamedTuple

from birdlite.convert.saved_model import fake_quant
from birdlite.convert.saved_model.graph import Graph, attribute, constant_of, inputs_of
from birdlite.errors import InvalidModel
from birdlite.tflite import rules
from birdlite.tflite.rules import Grid, Limits, Window

_LAST = 255  # the highest uint8
_FLOAT32_STEP = 2.0**-23  # between 1 and the next float32

_MOST_SCALE = 1e12  # far inside of what a 32-bit float can hold, also with a few more factors
_MOST_PIXELS = 1 << 16  # that a window may be wide, or move
_PADDINGS = {"SAME": 0, "VALID": 1, "EXPLICIT": 1}  # in TensorFlow Lite; the last is VALID on a larger picture
_RESHAPING = ("Squeeze", "Reshape")
_ADDITIONS = ("BiasAdd", "Add", "AddV2")
_WITH_BIAS = ("Conv2D", "DepthwiseConv2dNative", "MatMul")


class Pixels(NamedTuple):
    """What becomes of a pixel: scale * (pixel - zero_point) + offset. The offset is 0 if the zero point says it."""

    nodes: tuple[str, ...]  # that do it; the last one gives the result
    scale: float
    zero_point: int
    offset: float


def pixels_of(graph: Graph, rounded: Container[str]) -> Pixels:
    """Compose the sums and products with single numbers at the beginning of a graph, up to a node in `rounded`."""
    readers = _readers(graph)
    nodes, scale, offset = [graph.input], 1.0, 0.0
    while len(readers.get(nodes[-1], ())) == 1 and nodes[-1] not in rounded:
        (node,) = readers[nodes[-1]]
        after = _after(graph, node, nodes[-1], scale, offset)
        if after is None or not 1 / _MOST_SCALE < after[0] < _MOST_SCALE or not abs(after[1]) < _MOST_SCALE:
            break
        nodes.append(node.name)
        scale, offset = after
    zero_point = round(-offset / scale)
    # The zero point may stand for the offset if it is off by no more than a float32 is off at the brightest pixel.
    if 0 <= zero_point <= _LAST and abs(zero_point * scale + offset) <= _FLOAT32_STEP * _LAST * scale:
        return Pixels(tuple(nodes), scale, zero_point, 0.0)
    return Pixels(tuple(nodes), scale, 0, offset)


def _after(graph: Graph, node: Any, found: str, scale: float, offset: float) -> tuple[float, float] | None:
    """Scale and offset of the result of a node that reads `found`; None if that is not all there is to it."""
    inputs = inputs_of(node)
    if node.op in ("Cast", "Identity"):
        return (scale, offset) if attribute(node, "DstT", "float32") == "float32" else None
    if len(inputs) != 2 or node.op not in ("Mul", "Add", "AddV2", "Sub", "RealDiv"):
        return None
    number = _number(graph, inputs[inputs[0] == found])
    if number is None:
        return None
    if node.op == "Mul":
        return scale * number, offset * number
    if node.op in ("Add", "AddV2"):
        return scale, offset + number
    if inputs[0] != found:  # a number minus the pixels, or divided by them
        return None
    if node.op == "Sub":
        return scale, offset - number
    return (scale / number, offset / number) if number else None


def _number(graph: Graph, name: str) -> float | None:
    """A constant of one value, however many dimensions up to those of a batch of pictures."""
    node = graph.nodes.get(name)
    if node is None or node.op != "Const":
        return None
    array = constant_of(node)
    return float(array.item()) if array.size == 1 and array.ndim <= 4 else None


def biases_of(graph: Graph, rounded: Container[str]) -> dict[str, str]:
    """Which node adds a constant to what a convolution or a MatMul gives, and is the only one that reads it.

    By the name of the one whose bias it may be. Nothing is added behind a node in `rounded`.
    """
    readers = _readers(graph)
    found: dict[str, str] = {}
    for name, node in graph.nodes.items():
        if node.op not in _WITH_BIAS or name in rounded or len(readers.get(name, ())) != 1:
            continue
        (reader,) = readers[name]
        others = [other for other in inputs_of(reader) if other != name]
        adds = reader.op in _ADDITIONS and attribute(reader, "data_format", "NHWC") == "NHWC"
        if adds and len(others) == 1 and graph.nodes[others[0]].op == "Const":
            found[name] = reader.name
    return found


def _readers(graph: Graph) -> dict[str, list[Any]]:
    """The nodes that read a node, by its name; one that reads it twice is there twice."""
    readers: dict[str, list[Any]] = {}
    for name, node in graph.nodes.items():
        for read in () if name == graph.input else inputs_of(node):
            readers.setdefault(read, []).append(node)
    return readers


def roundings_of(graph: Graph, grids: dict[str, fake_quant.Grid]) -> dict[str, fake_quant.Grid]:
    """Of the grids that a graph rounds to, by the names of nodes, those that an int8 result can lie on.

    Where only the shape of a value is changed before it is rounded, it is rounded before its shape is changed: there
    onnxruntime makes one kernel of the rounding and of what computes the value. Scores stay floats: where the source
    rounds them too, that is its way to store them, no more.
    """
    readers = _readers(graph)
    found: dict[str, fake_quant.Grid] = {}
    for last, grid in grids.items():
        name = last
        while graph.nodes[name].op in _RESHAPING:
            (before, *_) = inputs_of(graph.nodes[name])
            if before in grids or len(readers[before]) != 1:
                break
            name = before
        if graph.output not in (last, name) and graph.nodes[name].op != "Softmax" and grid_of(grid):
            found[name] = grid
    return found


def grid_of(grid: fake_quant.Grid) -> Grid | None:
    """The grid of an activation as ONNX's uint8 has it; None if it has several scales, or more than 256 values."""
    if grid.scale.ndim or grid.highest > _LAST:
        return None
    scale, zero_point = float(grid.scale), int(grid.zero_point)
    if not (math.isfinite(scale) and scale > 0) or not 0 <= zero_point <= _LAST:
        raise InvalidModel(f"the graph rounds to a grid of scale {scale:g} and zero point {zero_point}")
    return Grid(scale, zero_point)


def limits_on(limits: Limits, grid: fake_quant.Grid) -> Limits:
    """What a node of its own must cut off before values, cut off at `limits` in the source, are put on its `grid`.

    Rounding to a uint8 cuts off at 0 and 255. So nothing is needed where the limit is not inside the grid, unless the
    grid has fewer values than a uint8.
    """
    scale, zero_point = float(grid.scale), int(grid.zero_point)
    lower, upper = limits
    if lower is None or zero_point + round(lower / scale) <= grid.lowest:
        lower = (grid.lowest - zero_point) * scale if grid.lowest > 0 else None
    if upper is None or zero_point + round(upper / scale) >= grid.highest:
        upper = (grid.highest - zero_point) * scale if grid.highest < _LAST else None
    return Limits(lower, upper)


def alike(grid: Grid, other: Grid) -> bool:
    """Whether two grids have the same values but for what 32-bit floats make of them."""
    return grid.zero_point == other.zero_point and abs(grid.scale / other.scale - 1) <= 4 * _FLOAT32_STEP


def window_of(node: Any, kernel: tuple[int, int], size: tuple[int, int]) -> Window:
    """How the window of a convolution or a pool moves over a picture of `size` px. Pairs are (height, width).

    Raises:
        InvalidModel: it cannot be moved so.
    """
    strides, dilations = sides_of(node, "strides"), sides_of(node, "dilations")
    padding = attribute(node, "padding")
    if not isinstance(padding, str) or padding not in _PADDINGS:
        raise InvalidModel(f"padding {padding!r}")
    pads = whole_numbers(node, "explicit_paddings") if padding == "EXPLICIT" else [0] * 8
    if len(pads) != 8 or min(pads) < 0 or any(pads[:2] + pads[6:]):
        raise InvalidModel(f"pads {pads}")
    before, after = (pads[2], pads[4]), (pads[3], pads[5])
    height, width = (sum(pixels) for pixels in zip(before, size, after, strict=True))
    options = {"StrideH": strides[0], "StrideW": strides[1], "Padding": _PADDINGS[padding]}
    window = rules.window_of(options, (height, width), kernel, dilations)
    if min(window.out) < 1:
        raise InvalidModel(f"a window of {list(kernel)} is larger than the picture of {list(size)}")
    return window._replace(before=before, after=after) if padding == "EXPLICIT" else window


def sides_of(node: Any, key: str) -> tuple[int, int]:
    """Height and width of an attribute that has four numbers; 1 where it is left out.

    Raises:
        InvalidModel: there are more or fewer, or those for pictures and channels are not 1.
    """
    numbers = whole_numbers(node, key) or [1, 1, 1, 1]
    if len(numbers) != 4 or [numbers[0], numbers[3]] != [1, 1]:
        raise InvalidModel(f"{key} {numbers}")
    return numbers[1], numbers[2]


def whole_numbers(node: Any, key: str) -> list[int]:
    """An attribute that is a list of whole numbers; an empty one where it is left out.

    Raises:
        InvalidModel: it is something else, or one of them is absurd.
    """
    numbers = attribute(node, key, [])
    if not isinstance(numbers, list) or not all(isinstance(n, int) and abs(n) <= _MOST_PIXELS for n in numbers):
        raise InvalidModel(f"{key} {numbers}")
    return numbers
