"""A TensorFlow graph to ONNX in floats, by tf2onnx. `from_module` calls it."""

from __future__ import annotations

from typing import Any

from birdlite.convert.captured_output import quiet
from birdlite.convert.graph import INPUT, OUTPUT, PIXELS, PROBABILITIES, Graph
from birdlite.convert.onnx_graph import OPSET
from birdlite.convert.tensorflow_package import imported, reason
from birdlite.errors import InvalidModel, one_line

_BATCH = "N"  # the dimension that is the number of pictures


def to_onnx(graph: Graph) -> bytes:
    """Convert a graph to an ONNX ModelProto that takes `pixels` and gives `probabilities`.

    FakeQuants that are left in it become pairs of QuantizeLinear and DequantizeLinear.

    Raises:
        InvalidModel: tf2onnx does not know an operation of the graph, or makes an invalid model.
        EngineMissing: TensorFlow or tf2onnx is not installed.
    """
    tensorflow, tf2onnx = imported(), imported("tf2onnx")
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
        _name_batch(tensor)
    _check(model)
    return bytes(model.SerializeToString())


def _name_batch(tensor: Any) -> None:
    """Give the open first dimension of an input or output its name."""
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
        raise InvalidModel(f"tf2onnx made an invalid ONNX model: {one_line(error)}") from None
