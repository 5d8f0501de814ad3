"""A graph made ready for a converter: constants computed, FakeQuants folded into weights and stripped elsewhere.

Left in, a converter to TensorFlow Lite writes files that are not smaller, or that nothing can load, and ONNX gets pairs
of nodes that compute in floats. Their grids are kept: an int8 result takes its ranges from them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from birdlite.convert.saved_model import fake_quant
from birdlite.convert.saved_model.fake_quant import Grid
from birdlite.convert.saved_model.graph import Graph, constant_node, inputs_of, reading
from birdlite.convert.saved_model.kernels import constants_of
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

    A node that is taken out is read by nobody any more; if it was the output, what it rounded is. Of two roundings in a
    row the last counts, if nothing reads what is between them: what readers get lies on its grid.

    Raises:
        UnknownOperation: a constant takes an operation that is not known here.
        InvalidModel: what nodes read is rounded to two grids, or to nothing, or a range depends on the picture.
    """
    folding = _Folding(graph)
    for name, node in graph.nodes.items():
        folding.add(name, node)
    return folding.finish()


class _Source(NamedTuple):
    """What stands for a node that is taken out."""

    name: str
    grid: Grid | None  # that readers of the node got its values on


class _Folding:
    """One fold under way."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._constants = constants_of(graph)
        self._nodes: dict[str, Any] = {}  # what depends on the pictures
        self._instead: dict[str, _Source] = {}  # by the name of a node that is taken out
        self._weights: dict[str, Grid] = {}
        self._activations: dict[str, Grid] = {}

    def add(self, name: str, node: Any) -> None:
        """Take the next node, whose inputs were all added."""
        reads = [] if name == self._graph.input else inputs_of(node)
        if name in self._constants:
            self._add_weights(name, node, reads)
        elif node.op in fake_quant.OPERATIONS and reads:
            self._instead[name] = _Source(self._source(reads[0]).name, self._grid_of(node, reads[1:]))
        elif node.op in _PASSING and reads:
            self._instead[name] = self._source(reads[0])
        else:
            self._nodes[name] = reading(node, [self._read(read) for read in reads])

    def _add_weights(self, name: str, node: Any, reads: list[str]) -> None:
        if node.op in fake_quant.OPERATIONS:
            self._weights[name] = _divisible(fake_quant.grid_of(node, [self._constants[read] for read in reads[1:]]))
        elif node.op in _PASSING and reads[0] in self._weights:
            self._weights[name] = self._weights[reads[0]]

    def _grid_of(self, node: Any, ranges: list[str]) -> Grid:
        import numpy as np

        for read in ranges:
            if read not in self._constants:
                raise InvalidModel(f"the range of {node.name} depends on the picture")
        grid = fake_quant.grid_of(node, [self._constants[read] for read in ranges])
        if not np.all(grid.scale):
            raise InvalidModel(f"{node.name} rounds all that it reads to 0, or channels of it")
        return grid

    def _source(self, name: str) -> _Source:
        return self._instead.get(name, _Source(name, None))

    def _read(self, name: str) -> str:
        """The name of what a node that is kept reads instead of `name`; notes the grid that it gets it on."""
        source = self._source(name)
        if source.grid is not None:
            self._add_grid(source.name, source.grid)
        return source.name

    def _add_grid(self, name: str, grid: Grid) -> None:
        known = self._activations.setdefault(name, grid)
        if not _same(known, grid):
            raise InvalidModel(f"what {name} gives is rounded to two different grids")

    def finish(self) -> Folded:
        """The graph, with those constants that are still read."""
        output = self._read(self._graph.output)
        nodes: dict[str, Any] = {}
        for name, node in self._nodes.items():
            for read in inputs_of(node):
                if read in self._constants and read not in nodes:
                    nodes[read] = constant_node(read, self._constants[read])
            nodes[name] = node
        weights = {name: grid for name, grid in self._weights.items() if name in nodes}
        graph = Graph(nodes, self._graph.input, output, self._graph.producer)
        return Folded(graph, weights, self._activations)


def _divisible(grid: Grid) -> Grid:
    """The grid with a scale for dead channels too. They are all zeros, which lie on any grid."""
    import numpy as np

    return grid._replace(scale=np.where(grid.scale > 0, grid.scale, grid.scale.max(initial=0) or np.float32(1)))


def _same(one: Grid, other: Grid) -> bool:
    import numpy as np

    return one[2:] == other[2:] and all(np.array_equal(a, b) for a, b in zip(one[:2], other[:2], strict=True))
