"""The contract of a model baked into its graph: plain pixels in, probabilities out. `module` does it at once."""

from __future__ import annotations

from typing import Any

from birdlite.convert.saved_model import fake_quant
from birdlite.convert.saved_model.graph import Graph, attribute, constant_node, inputs_of, node, reading
from birdlite.errors import InvalidModel

PIXELS, PROBABILITIES = "pixels", "probabilities"

_LAST = 255  # the highest uint8

# What a result can go through without ceasing to be probabilities.
_HARMLESS = frozenset({"Identity", "StopGradient", "Reshape", "Squeeze", "Cast"}) | fake_quant.OPERATIONS
_GIVE_PROBABILITIES = frozenset({"Softmax", "Sigmoid"})


def side_of(graph: Graph) -> int:
    """Height and width, px, of the pictures that a graph takes.

    Raises:
        InvalidModel: it does not take plain pixels.
    """
    start = graph.nodes[graph.input]
    shape: tuple[int, ...] = attribute(start, "shape") or ()
    dtype = attribute(start, "dtype")
    if dtype != "uint8" or len(shape) != 4 or shape[1] != shape[2] or shape[1] < 1 or shape[3] != 3:
        raise InvalidModel(
            f"the graph takes {dtype} {list(shape)}; only uint8 [n, side, side, 3] can be run or converted"
        )
    return int(shape[1])


def take_pixels(graph: Graph, side: int, low: float = 0.0, high: float = 1.0) -> Graph:
    """Let a graph take `pixels`, uint8 RGB [n, side, side, 3].

    One that takes floats gets them between `low`, for black, and `high`, for white.
    """
    import numpy as np

    renamed = _out_of_the_way(graph, {PIXELS, PROBABILITIES})
    whole = attribute(graph.nodes[graph.input], "dtype") == "uint8"
    nodes: dict[str, Any] = {PIXELS: node(PIXELS, "Placeholder", [], dtype="uint8", shape=(-1, side, side, 3))}
    value = PIXELS
    if not whole:
        scale = constant_node(f"{PIXELS}/scale", np.array((high - low) / _LAST, np.float32))
        cast = node(f"{PIXELS}/cast", "Cast", [PIXELS], SrcT="uint8", DstT="float32")
        scaled = node(f"{PIXELS}/scaled", "Mul", [cast.name, scale.name], T="float32")
        nodes |= {made.name: made for made in (cast, scale, scaled)}
        value = scaled.name
        if low:
            offset = constant_node(f"{PIXELS}/offset", np.array(low, np.float32))
            moved = node(f"{PIXELS}/moved", "AddV2", [value, offset.name], T="float32")
            nodes |= {made.name: made for made in (offset, moved)}
            value = moved.name
    for name, made in renamed.nodes.items():
        if name != renamed.input:
            nodes[name] = reading(made, [value if read == renamed.input else read for read in inputs_of(made)])
    output = value if renamed.output == renamed.input else renamed.output
    return Graph(nodes, PIXELS, output, graph.producer)


def give_probabilities(graph: Graph) -> tuple[Graph, bool]:
    """Let a graph end in probabilities: a Softmax is added to one that gives logits. Also tells whether it was."""
    name = graph.output
    while graph.nodes[name].op in _HARMLESS:
        name = inputs_of(graph.nodes[name])[0]
    if graph.nodes[name].op in _GIVE_PROBABILITIES:
        return graph, False
    softmax = node(PROBABILITIES, "Softmax", [graph.output], T="float32")
    return Graph({**graph.nodes, PROBABILITIES: softmax}, graph.input, PROBABILITIES, graph.producer), True


def _out_of_the_way(graph: Graph, taken: set[str]) -> Graph:
    """The graph without nodes of these names, or below them: they get others."""

    def other(name: str) -> str:
        return f"source/{name}" if name.split("/")[0] in taken else name

    nodes = {}
    for name, made in graph.nodes.items():
        copy = reading(made, [] if name == graph.input else [other(read) for read in inputs_of(made)])
        copy.name = other(name)
        nodes[copy.name] = copy
    return Graph(nodes, other(graph.input), other(graph.output), graph.producer)
