"""A graph to ONNX by tf2onnx: the way for graphs with an operation that our own converter does not know."""

from __future__ import annotations

from typing import Any

from birdlite.convert.onnx_graph import OPSET, PIXELS, PROBABILITIES
from birdlite.convert.saved_model.graph import Graph, graph_def
from birdlite.convert.with_tensorflow import imported
from birdlite.convert.with_tensorflow.chatter import quiet
from birdlite.convert.with_tensorflow.reason import reason
from birdlite.engines.contract import one_line
from birdlite.errors import InvalidModel

_BATCH = "N"  # the dimension that is the number of pictures


def to_onnx(graph: Graph) -> bytes:
    """Convert a graph that takes plain pixels, uint8 [n, side, side, 3], and gives probabilities, float32 [n, classes].

    The result takes `pixels` and gives `probabilities`, as one that birdlite writes by itself.

    Raises:
        InvalidModel: tf2onnx does not know one of its operations, or makes something that is no valid model.
        EngineMissing: TensorFlow or tf2onnx is not installed.
    """
    tensorflow, tf2onnx = imported(), imported("tf2onnx")
    definition = tensorflow.compat.v1.GraphDef.FromString(graph_def(graph))
    try:
        with quiet():
            model, _ = tf2onnx.convert.from_graph_def(
                definition, input_names=[f"{graph.input}:0"], output_names=[f"{graph.output}:0"], opset=OPSET
            )
    except (ValueError, TypeError, KeyError, AssertionError, RuntimeError, tensorflow.errors.OpError) as error:
        raise InvalidModel(f"tf2onnx cannot convert the graph: {reason(error)}") from None
    _rename_ends(model.graph)
    _check(model)
    return bytes(model.SerializeToString())


def _rename_ends(graph: Any) -> None:
    """Give input and output our names, and their open dimension too."""
    (start,), (end,) = graph.input, graph.output
    names = {start.name: PIXELS, end.name: PROBABILITIES}
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for tensor in (start, end):
        tensor.name = names[tensor.name]
        for batch in tensor.type.tensor_type.shape.dim[:1]:
            if not batch.HasField("dim_value"):
                batch.dim_param = _BATCH


def _check(model: Any) -> None:
    import onnx

    unknown = {node.op_type for node in model.graph.node if not onnx.defs.has(node.op_type, OPSET, node.domain)}
    if unknown:
        raise InvalidModel(f"tf2onnx does not know {', '.join(sorted(unknown))}")
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise InvalidModel(f"the ONNX model that tf2onnx made contradicts itself: {one_line(error)}") from None
