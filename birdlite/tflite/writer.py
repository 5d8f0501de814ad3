"""Writes a graph as a `.tflite` file, which `graph` reads. `requantize` calls it.

Operators get the versions that a converter gives them, for 8-bit tensors, and the file says from which release of
TensorFlow on a runtime knows them all (tensorflow/lite/tools/versioning, op_version.cc and runtime_version.cc).
"""

from __future__ import annotations

from typing import Any

from birdlite.tflite import schema
from birdlite.tflite.flatbuffer import Fields, write
from birdlite.tflite.graph import Graph, GraphTensor, Operator

# operator -> its version for int8, and the first release of TensorFlow that had it
_VERSIONS = {
    "ADD": (2, "1.14.0"),
    "AVERAGE_POOL_2D": (2, "1.14.0"),
    "CONV_2D": (3, "1.14.0"),
    "DEPTHWISE_CONV_2D": (3, "1.14.0"),
    "DEQUANTIZE": (2, "1.14.0"),
    "FULLY_CONNECTED": (4, "1.14.0"),
    "MAX_POOL_2D": (2, "1.14.0"),
    "MEAN": (2, "1.14.0"),
    "MUL": (2, "1.14.0"),
    "PAD": (2, "1.14.0"),
    "QUANTIZE": (1, "1.14.0"),
    "RELU": (2, "2.1.0"),
    "RELU6": (2, "1.14.0"),
    "RESHAPE": (1, "1.5.0"),
    "SOFTMAX": (2, "1.14.0"),
}
_GROUPED = (6, "2.9.0")  # CONV_2D whose weights are for some of the channels each
_WITHOUT_BIAS = (6, "2.1.0")  # FULLY_CONNECTED
_GROWING = (3, "1.15.0")  # MUL whose product has a coarser grid than its result

_RELEASE_KEY, _RELEASE_BYTES = "min_runtime_version", 16  # as converters write it, filled up with zeros


def write_graph(graph: Graph, description: str) -> bytes:
    """The file. The same graph gives the same bytes; every operator must be one that can be int8 here."""
    versions = [_version(graph, operator) for operator in graph.operators]
    used = [(operator.name, version) for operator, (version, _) in zip(graph.operators, versions, strict=True)]
    codes = list(dict.fromkeys(used))
    buffers: list[Fields] = [{}]  # number 0 is the empty one
    tensors = [_tensor(tensor, buffers) for tensor in graph.tensors]
    operators = [_operator(operator, codes.index(code)) for operator, code in zip(graph.operators, used, strict=True)]
    release = max((first for _, first in versions), key=_as_numbers, default="1.5.0")
    buffers.append({"data": release.encode().ljust(_RELEASE_BYTES, b"\0")})
    subgraph = {
        "tensors": tensors,
        "inputs": [graph.input],
        "outputs": [graph.output],
        "operators": operators,
        "name": "main",
    }
    return write(
        {
            "version": schema.VERSION,
            "operator_codes": [_code(name, version) for name, version in codes],
            "subgraphs": [subgraph],
            "description": description,
            "buffers": buffers,
            "metadata": [{"name": _RELEASE_KEY, "buffer": len(buffers) - 1}],
        }
    )


def _version(graph: Graph, operator: Operator) -> tuple[int, str]:
    tensors = [graph.tensors[index] for index in operator.inputs if index >= 0]
    if operator.name == "CONV_2D" and tensors[0].shape[-1] != tensors[1].shape[-1]:
        return _GROUPED
    if operator.name == "FULLY_CONNECTED" and len(tensors) == 2:
        return _WITHOUT_BIAS
    if operator.name == "MUL":
        first, second, result = (_scale(tensor) for tensor in (*tensors, graph.tensors[operator.outputs[0]]))
        if first * second >= result:
            return _GROWING
    return _VERSIONS[operator.name]


def _scale(tensor: GraphTensor) -> float:
    return tensor.quantization.scales[0] if tensor.quantization else 1.0


def _as_numbers(release: str) -> tuple[int, ...]:
    return tuple(map(int, release.split(".")))


def _code(name: str, version: int) -> Fields:
    number = schema.OPERATORS.index(name)
    return {"old_code": min(number, schema.LAST_OLD_OPERATOR), "version": version, "code": number}


def _tensor(tensor: GraphTensor, buffers: list[Fields]) -> Fields:
    """A tensor; its constant, if it is one, goes to the end of `buffers`."""
    fields: dict[str, Any] = {
        "shape": tensor.shape,
        "type": schema.TENSOR_TYPES.index(tensor.dtype),
        "buffer": 0 if tensor.data is None else len(buffers),
        "name": tensor.name,
    }
    if tensor.data is not None:
        buffers.append({"data": tensor.data})
    if tensor.quantization is not None:
        scales, zero_points, axis = tensor.quantization
        fields["quantization"] = {"scale": scales, "zero_point": zero_points, "dimension": axis}
    return fields


def _operator(operator: Operator, code: int) -> Fields:
    fields: dict[str, Any] = {"code_index": code, "inputs": operator.inputs, "outputs": operator.outputs}
    kind = schema.OPTIONS_OF.get(operator.name)
    return fields if kind is None else {**fields, "options_type": kind, "options": operator.options}
