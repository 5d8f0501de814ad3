"""A TensorFlow graph to ONNX by tf2onnx: in floats, or int8 with the ranges that its source was trained with.

`proven` calls it. For int8, the activations that the source rounds in training have a pair of QuantizeLinear and
DequantizeLinear (Q and DQ) already, and the weights are floats. What `with_trained_ranges` adds makes onnxruntime
choose its integer kernels:
- Pools and changes of shape keep the grid of what they read.
- The weights of convolutions and matrix products become int8 with a scale for each result, their biases int32.
What the source does not round stays floats, and so does whatever reads it, such as the first convolution.

Weights are int8 with the zero point 0, for which onnxruntime has its fastest kernels. The source's own weights lie on a
grid of up to 255 steps, but hardly a result uses the steps that are more than 127 away from 0 (of 17,989 results of the
birds model 80 do). So a result keeps the source's step where it can, and with it its exact values. One that reaches
farther gets a step of its own. So does one whose bias, counted in products of this step and the input's, would leave
too little of 32 bits for the sum; its weights are next to nothing beside the bias.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from birdlite.convert.graph import INPUT, OUTPUT, Graph
from birdlite.convert.onnx_forms import fused
from birdlite.convert.onnx_graph import OPSET, PIXELS, PROBABILITIES, OnnxGraph, checked
from birdlite.convert.tensorflow_package import imported, quiet, reason
from birdlite.errors import InvalidModel

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_FARTHEST = 127  # of an int8 weight either way
_MOST_STEPS = 256  # different values of weights that were rounded to 8 bits
_ON_GRID = 0.05  # of a step: how exactly rounded weights lie on their grid, computed in 32-bit floats
_MOST_BIAS = 2**30  # leaves half of an int32 to the sum of products

# Operators whose results lie between the values that they read.
_KEEP_GRID = {
    *("AveragePool", "GlobalAveragePool", "MaxPool", "GlobalMaxPool", "ReduceMean"),
    *("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose"),
}


def to_onnx(graph: Graph) -> bytes:
    """Convert a graph to an ONNX ModelProto that takes `pixels` and gives `probabilities`.

    FakeQuants that are left in it become pairs of QuantizeLinear and DequantizeLinear.

    Raises:
        InvalidModel: tf2onnx does not know an operation of the graph, or makes an invalid model.
        EngineMissing: TensorFlow or tf2onnx is not installed.
    """
    tensorflow, tf2onnx, onnx = imported(), imported("tf2onnx"), imported("onnx")
    try:
        with quiet():
            model, _ = tf2onnx.convert.from_graph_def(
                graph.definition,
                input_names=[INPUT],
                output_names=[OUTPUT],
                opset=OPSET,
                tensors_to_rename={INPUT: PIXELS, OUTPUT: PROBABILITIES},
            )
    except (ValueError, TypeError, KeyError, AssertionError, RuntimeError, tensorflow.errors.OpError) as error:
        raise InvalidModel(f"tf2onnx cannot convert the graph: {reason(error)}") from None
    for tensor in (*model.graph.input, *model.graph.output):
        for batch in tensor.type.tensor_type.shape.dim[:1]:
            if not batch.HasField("dim_value"):
                batch.dim_param = "N"  # the number of pictures
    unknown = {node.op_type for node in model.graph.node if not onnx.defs.has(node.op_type, OPSET, node.domain)}
    if unknown:
        raise InvalidModel(f"tf2onnx does not know {', '.join(sorted(unknown))}")
    return checked(model, "tf2onnx made an invalid ONNX model")


def with_trained_ranges(model: bytes) -> bytes:
    """Make a model int8 whose activations are rounded by pairs of Q and DQ.

    Raises:
        InvalidModel: its weights are not all finite.
        EngineMissing: ONNX Runtime is not installed.
    """
    import onnx

    whole = onnx.load_from_string(fused(model))
    _Rewriting(whole.graph).run()
    return bytes(whole.SerializeToString())


class _Rewriting:
    """One graph being rewritten, node by node."""

    def __init__(self, graph: Any) -> None:
        from onnx import numpy_helper

        self._graph = graph
        self._constants = {constant.name: numpy_helper.to_array(constant) for constant in graph.initializer}
        self._readers: dict[str, list[str]] = {}  # the operators that read a value
        for node in graph.node:
            for name in node.input:
                self._readers.setdefault(name, []).append(node.op_type)
        self._grids: dict[str, tuple[float, int]] = {}  # scale and zero point, by the name of a value
        self._made = OnnxGraph()

    def run(self) -> None:
        """Replace nodes and constants of the graph."""
        for node in self._graph.node:
            if node.op_type == "DequantizeLinear":
                self._note_grid(node)
            elif node.op_type in ("Conv", "Gemm", "MatMul"):
                self._make_integers(node)
            self._made.nodes.append(node)
            if node.op_type in _KEEP_GRID:
                self._keep_grid(node)
        read = {name for node in self._made.nodes for name in node.input}
        kept = [constant for constant in self._graph.initializer if constant.name in read]
        kept += self._made.constants.values()
        for field, values in ((self._graph.node, self._made.nodes), (self._graph.initializer, kept)):
            del field[:]
            field.extend(values)
        del self._graph.value_info[:]

    def _note_grid(self, node: Any) -> None:
        scale, zero_point = (self._constants.get(name) for name in node.input[1:])
        if scale is not None and scale.ndim == 0 and zero_point is not None:
            self._grids[node.output[0]] = float(scale), int(zero_point)

    def _keep_grid(self, node: Any) -> None:
        """Put the result of a node on the grid of its input, unless it is rounded anyway."""
        grid, result = self._grids.get(node.input[0]), node.output[0]
        if grid is None or set(self._readers.get(result, ())) <= {"QuantizeLinear"}:
            return
        node.output[0] = f"{result}_exact"
        self._made.rounded(node.output[0], *grid)
        self._made.nodes[-1].output[0] = result
        self._grids[result] = grid

    def _make_integers(self, node: Any) -> None:
        """Store weights and bias of a node as whole numbers, if its input lies on a grid."""
        import numpy as np

        grid, weights = self._grids.get(node.input[0]), self._constants.get(node.input[1])
        if grid is None or weights is None or weights.ndim < 2 or not _is_plain(node):
            return
        bias = self._constants.get(node.input[2]) if len(node.input) > 2 else None
        if len(node.input) > 2 and bias is None:
            return
        axis = 0 if node.op_type == "Conv" or _attribute(node, "transB", 0) else weights.ndim - 1
        scales = _scales(weights, axis)
        if bias is not None:
            scales = np.maximum(scales, np.abs(bias) / (grid[0] * _MOST_BIAS))
            node.input[2] = self._dequantized(f"{node.name}_bias", bias, grid[0] * scales, "int32", 0)
        node.input[1] = self._dequantized(f"{node.name}_weights", weights, scales, "int8", axis)

    def _dequantized(self, name: str, values: Array, scales: Array, dtype: str, axis: int) -> str:
        """Add whole numbers and their scales along `axis`; gives the name of the values that they stand for."""
        import numpy as np

        shape = [1] * values.ndim
        shape[axis] = -1
        stored = self._made.constant(name, np.rint(values / scales.reshape(shape)), dtype)
        return self._made.dequantized(stored, scales, np.zeros(scales.shape), dtype, axis=axis)


def _is_plain(node: Any) -> bool:
    """True if a Gemm is nothing but product plus bias."""
    return all(_attribute(node, name, usual) == usual for name, usual in (("alpha", 1), ("beta", 1), ("transA", 0)))


def _attribute(node: Any, name: str, default: Any) -> Any:
    from onnx import helper

    return next((helper.get_attribute_value(found) for found in node.attribute if found.name == name), default)


def _scales(weights: Array, axis: int) -> Array:
    """The step of the weights of each result, float64: that of their own grid where 127 of them reach far enough."""
    import numpy as np

    farthest = np.abs(weights.astype(np.float64)).max(tuple(other for other in range(weights.ndim) if other != axis))
    if not np.isfinite(farthest).all():
        raise InvalidModel("its weights are not all finite")
    scales = np.maximum(farthest / _FARTHEST, _step_of(weights))
    return np.where(scales > 0, scales, 1.0)


def _step_of(weights: Array) -> float:
    """The step of the grid that all weights lie on; 0 if they do not look rounded to 8 bits."""
    import numpy as np

    values = np.unique(weights)
    if not 1 < len(values) <= _MOST_STEPS:
        return 0.0
    step = float(np.diff(values).min())
    steps = values / step
    return step if np.abs(steps - np.rint(steps)).max() <= _ON_GRID else 0.0
