"""Tiny real TFLite models, built from nothing by the tests of the engines: each odd in one way, or in none.

They measure colours: score number i is how far the mean of colour i % 3 (red, green, blue) lies above 128, divided by
128, and 0 below. So what a picture of one colour must score is known without running anything.
"""

from __future__ import annotations

import struct
from typing import Literal

import flatbuffers  # type: ignore[import-untyped]
from ai_edge_litert import schema_py_generated as tfl

from birdlite.models.card import Card, FileFact, Tensor

Dtype = Literal["uint8", "int8", "float32", "int16"]

SIDE = 8  # px
CLASSES = 5
PIXELS = Tensor((1, SIDE, SIDE, 3), "uint8", 1 / 128, 128)
SCORES = Tensor((1, CLASSES), "uint8", 1 / 256, 0)

_TYPES = {
    "uint8": tfl.TensorType.UINT8,
    "int8": tfl.TensorType.INT8,
    "float32": tfl.TensorType.FLOAT32,
    "int16": tfl.TensorType.INT16,
}


def picture(red: int, green: int, blue: int, side: int = SIDE) -> bytes:
    """A picture of one colour."""
    return bytes((red, green, blue)) * (side * side)


def scores(red: int, green: int, blue: int, classes: int = CLASSES) -> list[float]:
    """What a picture of that colour must score."""
    return [max(0, (red, green, blue)[i % 3] - 128) / 128 for i in range(classes)]


def card(input_: Tensor = PIXELS, output: Tensor = SCORES, sha256: str = "5" * 64) -> Card:
    return Card("tiny", "tflite", input_, output, {"model.tflite": FileFact(0, sha256)}, source="made by a test")


def model(
    *,
    side: int = SIDE,
    width: int | None = None,
    classes: int = CLASSES,
    takes: Dtype = "uint8",
    gives: Dtype = "uint8",
    input_scale: float = 1 / 128,
    batch: int = 1,
    signatures: int = 0,
    inputs: int = 1,
    outputs: int = 1,
    flat: bool = True,
    custom_op: str | None = None,
    after: tuple[str, ...] = (),
) -> bytes:
    """The model, with what the test wants to be odd about it.

    `batch` -1 is any size, `flat` makes the scores a row, `after` names operations on scores that are floats.
    """
    graph = _Graph()
    width = width or side
    shape = [abs(batch), side, width, 3]
    pixels = graph.tensor("pixels", shape, "uint8", input_scale, 128, any_batch=batch < 0)
    entry = pixels
    if takes != "uint8":
        scale, zero_point = (0.0, 0) if takes == "float32" else (1 / 128, 0)
        entry = graph.tensor("entry", shape, takes, scale, zero_point)
        graph.op(tfl.BuiltinOperator.QUANTIZE, [entry], [pixels])
    # One filter as large as the picture for each class: 1 on its colour, 0 on the others, times 1 / area.
    filters = bytes(
        int(channel == row % 3) for row in range(classes) for _ in range(side * width) for channel in range(3)
    )
    weight_scale = 1 / (side * width)
    weights = graph.tensor("weights", [classes, side, width, 3], "uint8", weight_scale, 0, filters)
    bias = graph.tensor("bias", [classes], "int32", weight_scale * input_scale, 0, bytes(4 * classes))
    column = graph.tensor("column", [abs(batch), 1, 1, classes], "uint8", 1 / 256, 0, any_batch=batch < 0)
    conv = tfl.Conv2DOptionsT()
    conv.padding, conv.strideH, conv.strideW = tfl.Padding.VALID, 1, 1
    graph.op(tfl.BuiltinOperator.CONV_2D, [pixels, weights, bias], [column], tfl.BuiltinOptions.Conv2DOptions, conv)
    row = column
    if flat:
        row = graph.tensor("row", [abs(batch), classes], "uint8", 1 / 256, 0, any_batch=batch < 0)
        reshape = tfl.ReshapeOptionsT()
        reshape.newShape = [-1, classes]
        new_shape = graph.tensor("shape", [2], "int32", 0.0, 0, struct.pack("<ii", -1, classes))
        graph.op(tfl.BuiltinOperator.RESHAPE, [column, new_shape], [row], tfl.BuiltinOptions.ReshapeOptions, reshape)
    if custom_op is not None:
        last = graph.tensor("custom", [abs(batch), classes], "uint8", 1 / 256, 0)
        graph.op(tfl.BuiltinOperator.CUSTOM, [row], [last], custom=custom_op)
        row = last
    ends = [row]
    if gives == "float32":
        ends = [graph.tensor("scores", [abs(batch), classes], "float32", 0.0, 0)]
        graph.op(tfl.BuiltinOperator.DEQUANTIZE, [row], ends)
        for step in after:
            source, ends = ends, [graph.tensor(step, [abs(batch), classes], "float32", 0.0, 0)]
            graph.op(getattr(tfl.BuiltinOperator, step), source, ends)
    elif gives != "uint8":
        zero_point = -128 if gives == "int8" else 0
        ends = [graph.tensor("scores", [abs(batch), classes], gives, 1 / 256, zero_point)]
        graph.op(tfl.BuiltinOperator.QUANTIZE, [row], ends)
    entries = [entry] + [graph.tensor(f"extra {i}", shape, "uint8", 1.0, 0) for i in range(1, inputs)]
    return graph.finish(entries, [*ends, column][:outputs], signatures)


class _Graph:
    """A model under construction."""

    def __init__(self) -> None:
        self._tensors: list[tfl.TensorT] = []
        self._buffers: list[tfl.BufferT] = [tfl.BufferT()]  # number 0 is the empty one
        self._codes: list[tfl.OperatorCodeT] = []
        self._ops: list[tfl.OperatorT] = []

    def tensor(
        self,
        name: str,
        shape: list[int],
        dtype: str,
        scale: float,
        zero_point: int,
        data: bytes | None = None,
        *,
        any_batch: bool = False,
    ) -> int:
        tensor = tfl.TensorT()
        tensor.name, tensor.shape = name, shape
        tensor.shapeSignature = [-1, *shape[1:]] if any_batch else None
        tensor.type = tfl.TensorType.INT32 if dtype == "int32" else _TYPES[dtype]
        if scale:
            tensor.quantization = tfl.QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.zeroPoint = [scale], [zero_point]
        tensor.buffer = 0
        if data is not None:
            buffer = tfl.BufferT()
            buffer.data = list(data)
            self._buffers.append(buffer)
            tensor.buffer = len(self._buffers) - 1
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def op(
        self,
        code: int,
        inputs: list[int],
        outputs: list[int],
        options_type: int = tfl.BuiltinOptions.NONE,
        options: object = None,
        custom: str | None = None,
    ) -> None:
        kind = tfl.OperatorCodeT()
        kind.builtinCode, kind.deprecatedBuiltinCode, kind.version = code, min(code, 127), 1
        kind.customCode = custom
        self._codes.append(kind)
        op = tfl.OperatorT()
        op.opcodeIndex, op.inputs, op.outputs = len(self._codes) - 1, inputs, outputs
        op.builtinOptionsType, op.builtinOptions = options_type, options
        self._ops.append(op)

    def finish(self, inputs: list[int], outputs: list[int], signatures: int) -> bytes:
        subgraph = tfl.SubGraphT()
        subgraph.tensors, subgraph.operators = self._tensors, self._ops
        subgraph.inputs, subgraph.outputs = inputs, outputs
        whole = tfl.ModelT()
        whole.version, whole.description = 3, "made by a test of birdlite"
        whole.operatorCodes, whole.subgraphs, whole.buffers = self._codes, [subgraph], self._buffers
        whole.signatureDefs = [self._signature(f"serve {i}", inputs, outputs) for i in range(signatures)] or None
        builder = flatbuffers.Builder(4096)
        builder.Finish(whole.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _signature(self, key: str, inputs: list[int], outputs: list[int]) -> tfl.SignatureDefT:
        signature = tfl.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = key, 0
        signature.inputs = [_named(f"in {i}", tensor) for i, tensor in enumerate(inputs)]
        signature.outputs = [_named(f"out {i}", tensor) for i, tensor in enumerate(outputs)]
        return signature


def _named(name: str, tensor: int) -> tfl.TensorMapT:
    mapping = tfl.TensorMapT()
    mapping.name, mapping.tensorIndex = name, tensor
    return mapping
