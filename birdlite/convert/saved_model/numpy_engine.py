"""A graph run as it is, operation by operation, in NumPy: the reference that a conversion is held against.

It is slow and shares no code with any converter. `module.reference` makes one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from birdlite.convert.saved_model.graph import Graph, inputs_of
from birdlite.convert.saved_model.kernels import check_known, run
from birdlite.convert.saved_model.pixels import side_of
from birdlite.engines.base import Pixels
from birdlite.engines.contract import whole
from birdlite.errors import EngineError, InvalidModel

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


class NumpyEngine:
    """An engine for a graph that takes plain pixels, uint8 [n, side, side, 3]."""

    name = "numpy"

    def __init__(self, graph: Graph) -> None:
        """Compute the constants.

        Raises:
            UnknownOperation: an operation is not known here.
            InvalidModel: it takes something else, or a constant cannot be computed.
        """
        self._graph = graph
        self._side = side_of(graph)
        self._constants: dict[str, Array] = {}
        self._steps: list[tuple[str, Any, list[str]]] = []
        self._last_reader: dict[str, str] = {}
        self._closed = False
        for name, node in graph.nodes.items():
            if name == graph.input:
                continue
            check_known(node)
            reads = inputs_of(node)
            if all(read in self._constants for read in reads):
                self._constants[name] = run(node, [self._constants[read] for read in reads])
            else:
                self._steps.append((name, node, reads))
                self._last_reader.update(dict.fromkeys(reads, name))
        read_later = {read for _, _, reads in self._steps for read in reads}
        self._constants = {name: array for name, array in self._constants.items() if name in read_later}

    def run(self, pixels: Pixels, n: int = 1) -> list[list[float]]:
        """Classify. See `Engine.run`."""
        import numpy as np

        if self._closed:
            raise EngineError("the engine is closed")
        shape = (n, self._side, self._side, 3)
        values: dict[str, Array] = {self._graph.input: np.frombuffer(whole(pixels, n, self._side), np.uint8)}
        values[self._graph.input] = values[self._graph.input].reshape(shape)
        for name, node, reads in self._steps:
            values[name] = run(
                node, [self._constants[read] if read in self._constants else values[read] for read in reads]
            )
            for read in reads:
                if self._last_reader[read] == name:
                    values.pop(read, None)
        scores = values[self._graph.output]
        if scores.ndim != 2 or scores.shape[0] != n:
            raise InvalidModel(f"the model gives {list(scores.shape)}; a classifier gives [n, classes]")
        result: list[list[float]] = scores.astype(float).tolist()
        return result

    def close(self) -> None:
        """Let go of the constants."""
        self._closed = True
        self._constants = {}
