"""An engine that runs a graph in TensorFlow: the reference that a converted SavedModel is compared with.

One thread does all the work, so its scores do not depend on the number of cores.
"""

from __future__ import annotations

from typing import Any

from birdlite.convert.captured_output import quiet
from birdlite.convert.graph import INPUT, OUTPUT, Graph
from birdlite.convert.tensorflow_package import imported, reason
from birdlite.engines import contract
from birdlite.engines.contract import Pixels
from birdlite.errors import EngineError, InvalidModel


class TensorFlowEngine:
    """Implements `Engine` for a graph."""

    name = "tensorflow"

    def __init__(self, graph: Graph) -> None:
        """Make the graph ready to run.

        Raises:
            InvalidModel: TensorFlow does not accept it.
            EngineMissing: TensorFlow is not installed.
        """
        self._side = graph.side
        self._tensorflow = tensorflow = imported()
        v1 = tensorflow.compat.v1
        threads = v1.ConfigProto(
            intra_op_parallelism_threads=1, inter_op_parallelism_threads=1, use_per_session_threads=True
        )
        try:
            with quiet(), tensorflow.Graph().as_default() as whole:
                v1.import_graph_def(graph.definition, name="")
                self._session: Any = v1.Session(graph=whole, config=threads)
                self._run = self._session.make_callable(OUTPUT, [INPUT])
        except (ValueError, tensorflow.errors.OpError) as error:
            raise InvalidModel(f"TensorFlow does not accept the graph: {reason(error)}") from None

    def run(self, pixels: Pixels, n: int = 1) -> list[list[float]]:
        """See `Engine.run`."""
        if self._session is None:
            raise EngineError("this engine was closed")
        return [self._run_one(picture) for picture in contract.pictures(pixels, n, self._side)]

    def close(self) -> None:
        """See `Engine.close`."""
        if self._session is not None:
            with quiet():
                self._session.close()
            self._session = None

    def _run_one(self, picture: memoryview) -> list[float]:
        import numpy

        data = numpy.frombuffer(picture, numpy.uint8).reshape(1, self._side, self._side, 3)
        try:
            with quiet():
                found = self._run(data)
        except (ValueError, self._tensorflow.errors.OpError) as error:
            raise EngineError(f"TensorFlow could not run the graph: {reason(error)}") from None
        if found.ndim != 2 or found.shape[0] != 1:
            raise EngineError(f"the graph gives {list(found.shape)} for one picture instead of [1, classes]")
        scores: list[float] = found[0].tolist()
        return scores
