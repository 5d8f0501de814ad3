"""Other forms of an ONNX model: optimised, with half-precision weights, int8 by calibration, int8 without rounding."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import Any

from birdlite.convert.tensorflow_package import quiet
from birdlite.engines.onnx_engine import runtime
from birdlite.errors import InvalidModel

FEWEST = 1024
"""The fewest values of a constant that is halved. Biases are smaller: little to gain, so they stay exact."""

_LARGEST = 65504  # the largest number in half precision (IEEE 754)


def optimised(model: bytes) -> bytes:
    """The same network with fused operators. Every ONNX result is made so, and loads in half the time.

    The level EXTENDED is for every CPU. The level ALL would tie the file to the CPU that it was made on. So would a
    session that asks for exact products (`session.x64quantprecision`): without VNNI it makes the weights uint8, which
    are slower on other CPUs. The engine does both when it loads the model.

    Raises:
        EngineMissing: ONNX Runtime is not installed.
    """
    return _saved(model, "ORT_ENABLE_EXTENDED", {})


def fused(model: bytes) -> bytes:
    """The same network of floats, its biases and normalisations made part of its convolutions, before it becomes int8.

    Operators are standard ones; pairs of Q and DQ stay where they are.

    Raises:
        EngineMissing: ONNX Runtime is not installed.
    """
    return _saved(model, "ORT_ENABLE_BASIC", {"session.disable_quant_qdq": "1"})


def _saved(model: bytes, level: str, settings: dict[str, str]) -> bytes:
    onnxruntime = runtime()
    with tempfile.TemporaryDirectory(prefix="birdlite-convert-") as folder:
        path = os.path.join(folder, "model.onnx")
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
        options.optimized_model_filepath = path
        options.log_severity_level = 4  # only what is fatal
        for key, value in settings.items():
            options.add_session_config_entry(key, value)
        onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        with open(path, "rb") as file:
            return file.read()


def halved(model: bytes) -> bytes:
    """Store the float32 constants of at least `FEWEST` values as float16, each with a Cast behind it.

    The model is optimised already: the optimiser would write the weights as floats again. ONNX Runtime makes floats of
    them once, when it loads the model.

    Raises:
        InvalidModel: a constant has a value that half precision cannot store.
    """
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    whole = onnx.load_from_string(model)
    casts: list[Any] = []
    for constant in whole.graph.initializer:
        if constant.data_type != TensorProto.FLOAT or np.prod(constant.dims) < FEWEST:
            continue
        values, name = numpy_helper.to_array(constant), constant.name
        if not np.abs(values).max() <= _LARGEST:
            raise InvalidModel(f"{name} has values beyond {_LARGEST:,}, where half precision ends")
        constant.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
        casts.append(helper.make_node("Cast", [constant.name], [name], name=f"{name}_cast", to=TensorProto.FLOAT))
    nodes = [*casts, *whole.graph.node]
    del whole.graph.node[:]
    whole.graph.node.extend(nodes)
    return bytes(whole.SerializeToString())


def quantized(model: bytes, pictures: Iterable[bytes]) -> bytes:
    """Make a model of floats int8 with ranges measured on `pictures`, for sources that have no ranges themselves.

    The model takes uint8 RGB [N, side, side, 3]; the pictures, [side, side, 3] each, are read one at a time.

    ONNX Runtime's own quantiser adds pairs of QuantizeLinear and DequantizeLinear. Activations are uint8, from the
    lowest to the highest value seen; weights are int8 with a scale for each channel. Two parts stay floats, because
    rounding them costs more than it gains (on 18 pictures of birds a score was off by 0.015 instead of 0.018, and by
    0.025 where ranges were cut off at a percentile):
    - the beginning, up to the first convolution. Pixels have 256 values already, and other 256 would lie between them.
    - the scores, and the values that the softmax makes them of.
    """
    import numpy as np
    import onnx

    with quiet(), tempfile.TemporaryDirectory(prefix="birdlite-convert-") as folder:
        from onnxruntime import quantization

        plain, result = onnx.load_from_string(fused(model)), os.path.join(folder, "int8.onnx")
        input_, nodes = plain.graph.input[0], plain.graph.node
        side = input_.type.tensor_type.shape.dim[1].dim_value
        feeds = ({input_.name: np.frombuffer(pixels, np.uint8).reshape(1, side, side, 3)} for pixels in pictures)
        quantization.quantize_static(
            plain,
            result,
            SimpleNamespace(get_next=lambda: next(feeds, None)),
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            nodes_to_exclude=[*_beginning(nodes), *(node.name for node in nodes if node.op_type == "Softmax")],
            extra_options={"OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"]},
        )
        with open(result, "rb") as file:
            return file.read()


def _beginning(nodes: Sequence[Any]) -> list[str]:
    """The names of the nodes up to the first convolution; none if there is no convolution."""
    kinds = [node.op_type for node in nodes]
    return [node.name for node in nodes[: kinds.index("Conv") + 1]] if "Conv" in kinds else []


def unrounded(model: bytes) -> bytes:
    """An int8 model without its rounding: each QuantizeLinear becomes a Clip to the ends of its uint8 grid.

    The proofs compare it with a network in floats, because rounding makes deep quantised models chaotic. A float
    conversion of the official model is off by up to 0.066, and one that has lost the classifier's bias by no more than
    0.069. So a direct comparison cannot tell a fault from chaos. Two steps can. The int8 conversion answers as the
    source does, to a step of its scores. And the int8 conversion without rounding, which still saturates where it did,
    answers nearly as the float conversion does: within 0.016 on the official model and 1e-6 on the demo's, but 0.056
    and 0.003 without that bias.
    """
    import numpy as np
    import onnx
    from onnx import helper, numpy_helper

    whole = onnx.load_from_string(model)
    graph = whole.graph
    constants = {constant.name: constant for constant in graph.initializer}
    kept: list[Any] = []
    stored: set[str] = set()
    for node in graph.node:
        if node.op_type == "QuantizeLinear":
            scale, zero_point = (numpy_helper.to_array(constants[name]).astype(np.float32) for name in node.input[1:])
            ends = [f"{node.name}_from", f"{node.name}_to"]
            for name, end in zip(ends, (0, 255), strict=True):
                graph.initializer.append(
                    numpy_helper.from_array(np.asarray(scale * (end - zero_point), np.float32), name)
                )
            kept.append(helper.make_node("Clip", [node.input[0], *ends], [*node.output], name=node.name))
            stored.update(node.output)
        elif node.op_type == "DequantizeLinear" and node.input[0] in stored:
            kept.append(helper.make_node("Identity", [node.input[0]], [*node.output], name=node.name))
        else:
            kept.append(node)
    del graph.node[:]
    graph.node.extend(kept)
    return bytes(whole.SerializeToString())
