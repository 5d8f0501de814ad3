"""A graph made ready for a converter: constants computed, FakeQuants folded into weights and stripped elsewhere.

Left in, a converter to TensorFlow Lite writes files that are not smaller, or that nothing can load, and ONNX gets pairs
of nodes that compute in floats. Their grids are kept: an int8 result takes its ranges from them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from birdlite.convert.saved_model import fake_quant
from birdlite.convert.saved_model.fake_quant import Grid
from birdlite.convert.saved_model.graph import Graph, constant_node, constant_of, inputs_of, reading
from birdlite.convert.saved_model.kernels import run
from birdlite.errors import InvalidModel

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_PASSING = frozenset({"Identity", "StopGradient"})


class Folded(NamedTuple):
    """A graph of plain floats, and where its source rounded."""

    graph: Graph  # no FakeQuant, no Identity; whatever does not depend on the input is one Const
    weights: dict[str, Grid]  # by the name of a Const: the grid that its values lie on
    activations: dict[str, Grid]  # by the name of a node: the grid to which the source rounds what it gives


def fold(graph: Graph) -> Folded:
    """Compute what does not depend on the pictures, and take the rounding out of what does.

    A node that is taken out is read by nobody any more; if it was the output, what it rounded is.

    Raises:
        UnknownOperation: a constant takes an operation that is not known here.
        InvalidModel: a value is rounded to two grids, or a range depends on the picture.
    """
    folding = _Folding(graph)
    for name, node in graph.nodes.items():
        folding.add(name, node)
    return folding.finish()


class _Folding:
    """One fold under way."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._constants: dict[str, Array] = {}
        self._nodes: dict[str, Any] = {}  # what depends on the pictures
        self._instead: dict[str, str] = {}  # of a node that is taken out, the one that gives the same
        self._weights: dict[str, Grid] = {}
        self._activations: dict[str, Grid] = {}

    def add(self, name: str, node: Any) -> None:
        """Take the next node, whose inputs were all added."""
        reads = [] if name == self._graph.input else inputs_of(node)
        if name != self._graph.input and all(read in self._constants for read in reads):
            self._add_constant(name, node, [self._constants[read] for read in reads])
            return
        if node.op in fake_quant.OPERATIONS:
            self._add_grid(self._instead.get(reads[0], reads[0]), self._grid_of(node, reads))
        if node.op in _PASSING or node.op in fake_quant.OPERATIONS:
            self._instead[name] = self._instead.get(reads[0], reads[0])
            return
        self._nodes[name] = reading(node, [self._instead.get(read, read) for read in reads])

    def _add_constant(self, name: str, node: Any, inputs: list[Array]) -> None:
        self._constants[name] = constant_of(node) if node.op == "Const" else run(node, inputs)
        if node.op in fake_quant.OPERATIONS:
            self._weights[name] = fake_quant.grid_of(node, inputs[1:])
        elif node.op in _PASSING and inputs_of(node)[0] in self._weights:
            self._weights[name] = self._weights[inputs_of(node)[0]]

    def _grid_of(self, node: Any, reads: list[str]) -> Grid:
        for read in reads[1:]:
            if read not in self._constants:
                raise InvalidModel(f"the range of {node.name} depends on the picture")
        return fake_quant.grid_of(node, [self._constants[read] for read in reads[1:]])

    def _add_grid(self, name: str, grid: Grid) -> None:
        known = self._activations.setdefault(name, grid)
        if not _same(known, grid):
            raise InvalidModel(f"what {name} gives is rounded to two different grids")

    def finish(self) -> Folded:
        """The graph, with those constants that are still read."""
        output = self._instead.get(self._graph.output, self._graph.output)
        nodes: dict[str, Any] = {}
        for name, node in self._nodes.items():
            for read in inputs_of(node):
                if read in self._constants and read not in nodes:
                    nodes[read] = constant_node(read, self._constants[read])
            nodes[name] = node
        weights = {name: grid for name, grid in self._weights.items() if name in nodes}
        graph = Graph(nodes, self._graph.input, output, self._graph.producer)
        return Folded(graph, weights, self._activations)


def _same(one: Grid, other: Grid) -> bool:
    import numpy as np

    return one[2:] == other[2:] and all(np.array_equal(a, b) for a, b in zip(one[:2], other[:2], strict=True))
