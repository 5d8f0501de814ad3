"""A classifier as a TensorFlow graph: it takes plain pixels, gives probabilities, and may be rid of its FakeQuants.

`module` makes these graphs of a SavedModel, `to_onnx` and `to_tflite` convert them, and `TensorFlowEngine` runs them:
it is the reference that a result is compared with. Every graph has the same two ends, `INPUT` and `OUTPUT`.

A FakeQuant is the rounding of quantisation-aware training, done in floats. Left in a graph, it makes converters write
files that are not smaller, or that nothing can load. So conversions start from one of two other forms of the network:
`floats`, without any FakeQuant, and `ranged`, where only those of activations are left and say the ranges for int8.
"""

from __future__ import annotations

import math
from contextlib import closing
from typing import Any, NamedTuple

from birdlite.convert.onnx_graph import PIXELS, PROBABILITIES
from birdlite.convert.tensorflow_package import imported, quiet, reason
from birdlite.engines import contract
from birdlite.engines.contract import Pixels
from birdlite.errors import EngineError, InvalidModel

INPUT, OUTPUT = f"{PIXELS}:0", f"{PROBABILITIES}:0"

_WHITE = 255  # the highest pixel
_LAST = 255  # the highest number of an 8-bit grid that begins at 0

_FAKE_QUANTS = {"FakeQuantWithMinMaxVars", "FakeQuantWithMinMaxVarsPerChannel", "FakeQuantWithMinMaxArgs"}
_GIVE_PROBABILITIES = {"Softmax", "Sigmoid"}
# Operations after which probabilities are still probabilities.
_HARMLESS = {"Identity", "StopGradient", "Reshape", "Squeeze", "Cast"} | _FAKE_QUANTS


class Graph(NamedTuple):
    """A function from `pixels`, uint8 RGB [n, side, side, 3], to `probabilities`, float32 [n, classes]."""

    definition: Any  # GraphDef, without variables and functions
    side: int  # px


class WithoutRounding(NamedTuple):
    """A network without the rounding of its training."""

    floats: Graph  # no FakeQuant at all
    ranged: Graph | None  # FakeQuants of activations only, 8 bits each; None if the source has none
    fake_quants: int  # that the source has


def published(source: Any, input_: str, output: str, side: int, input_range: tuple[float, float]) -> tuple[Graph, bool]:
    """Make `source`, a GraphDef that takes pictures at the tensor `input_`, take plain pixels and give probabilities.

    A source of floats gets its pictures in `input_range`, black to white. Logits get a softmax; the bool tells whether
    one was added.

    Raises:
        InvalidModel: TensorFlow does not accept the graph.
    """
    tensorflow = imported()
    v1 = tensorflow.compat.v1
    try:
        with quiet(), tensorflow.Graph().as_default() as whole:
            pixels = v1.placeholder("uint8", [None, side, side, 3], name=PIXELS)
            pictures = pixels if _takes_bytes(source, input_) else _scaled(tensorflow, pixels, *input_range)
            (scores,) = v1.import_graph_def(
                source, input_map={input_: pictures}, return_elements=[output], name="source"
            )
            logits = _maker_of(scores)[0].type not in _GIVE_PROBABILITIES
            tensorflow.identity(tensorflow.nn.softmax(scores) if logits else scores, name=PROBABILITIES)
            definition = _without_order(whole.as_graph_def())
            definition = v1.graph_util.extract_sub_graph(definition, [PROBABILITIES])
    except (ValueError, TypeError, tensorflow.errors.OpError) as error:
        raise InvalidModel(f"TensorFlow does not accept the graph: {reason(error)}") from None
    if PIXELS not in {node.name for node in definition.node}:
        raise InvalidModel(f"the output {output} does not depend on the input {input_}")
    return Graph(definition, side), logits


def _without_order(definition: Any) -> Any:
    """The graph without control dependencies: nothing in a classifier has side effects that a result must wait for."""
    for node in definition.node:
        data = [read for read in node.input if not read.startswith("^")]
        del node.input[:]
        node.input.extend(data)
    return definition


def _takes_bytes(source: Any, input_: str) -> bool:
    name = input_.partition(":")[0]
    uint8 = imported().uint8.as_datatype_enum
    return any(node.name == name and node.attr["dtype"].type == uint8 for node in source.node)


def _scaled(tensorflow: Any, pixels: Any, black: float, white: float) -> Any:
    import numpy as np

    value = tensorflow.cast(pixels, "float32") * np.float32((white - black) / _WHITE)
    return value + np.float32(black) if black else value


def without_rounding(graph: Graph) -> WithoutRounding:
    """Take the FakeQuants out of a graph: those of weights are computed, those of activations become Identities.

    Everything else that does not depend on the pixels is computed too.

    Raises:
        InvalidModel: TensorFlow cannot compute it.
    """
    tensorflow = imported()
    v1 = tensorflow.compat.v1
    try:
        with quiet(), tensorflow.Graph().as_default() as whole, v1.Session(graph=whole) as session:
            v1.import_graph_def(graph.definition, name="")
            moving = _moving(whole.get_operation_by_name(PIXELS))
            tensors = {tensor.name: tensor for operation in moving.values() for tensor in operation.inputs}
            fixed = [
                name
                for name, tensor in tensors.items()
                if tensor.op.name not in moving and tensor.dtype.is_numpy_compatible
            ]
            values = dict(zip(fixed, session.run(fixed), strict=True)) if fixed else {}
            ranges = _ranges(moving, values, _maker_of(whole.get_tensor_by_name(OUTPUT))[1])
    except (ValueError, TypeError, tensorflow.errors.OpError) as error:
        raise InvalidModel(f"TensorFlow cannot compute the constants of the graph: {reason(error)}") from None
    count = sum(node.op in _FAKE_QUANTS for node in graph.definition.node)
    return WithoutRounding(_rewritten(graph, values, {}), _rewritten(graph, values, ranges) if ranges else None, count)


def _moving(start: Any) -> dict[str, Any]:
    """The operations that depend on `start`, and itself, by name."""
    found = {start.name: start}
    ahead = [start]
    while ahead:
        for output in ahead.pop().outputs:
            for reader in output.consumers():
                if reader.name not in found:
                    found[reader.name] = reader
                    ahead.append(reader)
    return found


def _maker_of(scores: Any) -> tuple[Any, set[str]]:
    """The operation that computes scores, and the names of those behind it, which only change their form."""
    operation, behind = scores.op, set()
    while operation.type in _HARMLESS:
        behind.add(operation.name)
        operation = operation.inputs[0].op
    return operation, behind


def _ranges(moving: dict[str, Any], values: dict[str, Any], scores: set[str]) -> dict[str, tuple[float, float]]:
    """The range of each FakeQuant of activations that an int8 result can round to, by the name of the node.

    Those of `scores` are only a way to store them.
    """
    found = {}
    for name, operation in moving.items():
        if operation.type not in _FAKE_QUANTS or name in scores or operation.inputs[0].op.type == "Softmax":
            continue
        if operation.get_attr("num_bits") != 8 or operation.get_attr("narrow_range"):
            continue
        if operation.type == "FakeQuantWithMinMaxArgs":
            ends = [operation.get_attr("min"), operation.get_attr("max")]
        else:
            ends = [values.get(tensor.name) for tensor in operation.inputs[1:]]
        range_ = _on_grid(*ends)
        if range_:
            found[name] = range_
    return found


def _on_grid(low: Any, high: Any) -> tuple[float, float] | None:
    """A range moved so that 0 is one of its 256 values, as TensorFlow moves it; None for what is no range."""
    import numpy as np

    if low is None or high is None or np.ndim(low) or np.ndim(high):
        return None
    low, high = float(low), float(high)
    if not (math.isfinite(high - low) and low < high):
        return None
    scale = (high - low) / _LAST
    zero_point = max(0, min(_LAST, math.floor(0.5 - low / scale)))
    return -zero_point * scale, (_LAST - zero_point) * scale


def _rewritten(graph: Graph, values: dict[str, Any], ranges: dict[str, tuple[float, float]]) -> Graph:
    """The graph with constants for `values`, and its FakeQuants gone except those of `ranges`."""
    tensorflow = imported()
    v1 = tensorflow.compat.v1
    definition = v1.GraphDef()
    definition.CopyFrom(graph.definition)
    for node in definition.node:
        if node.op in _FAKE_QUANTS:
            _replace_fake_quant(node, ranges.get(node.name))
    with quiet(), tensorflow.Graph().as_default() as whole:
        constants = {
            name: tensorflow.constant(value, name=f"constant_{number}")
            for number, (name, value) in enumerate(values.items())
        }
        v1.import_graph_def(definition, constants, name="")
        return Graph(v1.graph_util.extract_sub_graph(whole.as_graph_def(), [PROBABILITIES]), graph.side)


def _replace_fake_quant(node: Any, range_: tuple[float, float] | None) -> None:
    """Make the node an Identity, or a FakeQuant that holds its range itself."""
    del node.input[1:]
    if range_ is None:
        node.op = "Identity"
        node.attr.clear()
        node.attr["T"].type = imported().float32.as_datatype_enum
    else:
        node.op = "FakeQuantWithMinMaxArgs"
        node.attr["min"].f, node.attr["max"].f = range_


class TensorFlowEngine:
    """Implements `Engine` for a graph. One thread does all the work, so scores do not depend on the number of cores."""

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


def scores_of(graph: Graph, picture: bytes) -> list[float]:
    """The scores for one picture."""
    with closing(TensorFlowEngine(graph)) as engine:
        return engine.run(picture)[0]
