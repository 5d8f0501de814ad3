"""Small quantised networks, operator by operator: a real TFLite file for each thing that a converter must know.

A network takes uint8 pixels of [-1, 1) and gives a row of uint8. In the style `uint8` it is as old converters made it:
uint8 inside, weights with one scale. In the style `int8` as new ones do: int8 inside, weights with a scale a channel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import flatbuffers  # type: ignore[import-untyped]
import numpy as np
from ai_edge_litert import schema_py_generated as tfl

Style = Literal["uint8", "int8"]

PIXEL_SCALE = 1 / 128
WEIGHT_SCALE = 0.01
WEIGHT_ZERO_POINT = 120  # of uint8
_DTYPES = {"uint8": np.uint8, "int8": np.int8, "int32": np.int32, "float32": np.float32}


class Network:
    """A network under construction. Shapes are without the picture's number: (height, width, channels)."""

    def __init__(self, style: Style, side: int = 9, *, farthest: int = 255) -> None:
        """`farthest` is how far uint8 weights may be from their zero point."""
        self.style = style
        self._stored = (max(0, WEIGHT_ZERO_POINT - farthest), min(256, WEIGHT_ZERO_POINT + farthest + 1))
        self.side = side
        self._random = np.random.default_rng(side)
        self._tensors: list[Any] = []
        self._buffers = [tfl.BufferT()]  # number 0 is the empty one
        self._codes: list[Any] = []
        self._operators: list[Any] = []
        self.pixels = self.tensor([1, side, side, 3], "uint8", [PIXEL_SCALE], [128])
        self.entry = self.pixels
        if style == "int8":
            self.entry = self.activation([side, side, 3], PIXEL_SCALE)
            self.operator("QUANTIZE", [self.pixels], self.entry)

    def tensor(
        self,
        shape: Sequence[int],
        dtype: str,
        scales: Sequence[float] = (),
        zero_points: Sequence[int] = (),
        data: np.ndarray[Any, Any] | None = None,
        axis: int = 0,
    ) -> int:
        tensor = tfl.TensorT()
        tensor.name, tensor.shape, tensor.buffer = f"tensor {len(self._tensors)}", [*shape], 0
        tensor.type = getattr(tfl.TensorType, dtype.upper())
        if scales:
            quantization = tfl.QuantizationParametersT()
            quantization.scale, quantization.zeroPoint = [*scales], [*zero_points]
            quantization.quantizedDimension = axis
            tensor.quantization = quantization
        if data is not None:
            buffer = tfl.BufferT()
            buffer.data = [*data.astype(_DTYPES[dtype]).tobytes()]
            self._buffers.append(buffer)
            tensor.buffer = len(self._buffers) - 1
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def activation(self, shape: Sequence[int], scale: float, zero_point: int = 128) -> int:
        """A value between operators; the zero point is that of a uint8."""
        shift = 128 if self.style == "int8" else 0
        return self.tensor([1, *shape], self.style, [scale], [zero_point - shift])

    def weights(self, shape: Sequence[int], axis: int) -> int:
        """Random weights of up to about 1.3, whose results lie along `axis`."""
        if self.style == "uint8":
            return self.tensor(
                shape, "uint8", [WEIGHT_SCALE], [WEIGHT_ZERO_POINT], self._random.integers(*self._stored, shape)
            )
        results = shape[axis]
        scales = [WEIGHT_SCALE * (1 + i / results) / 2 for i in range(results)]
        return self.tensor(shape, "int8", scales, [0] * results, self._random.integers(-127, 128, shape), axis)

    def bias(self, results: int, input_scale: float) -> int:
        """Random biases of up to 3."""
        weights = self._tensors[-1].quantization.scale
        scales = np.broadcast_to(np.multiply(weights, input_scale), (results,))
        values = np.round(self._random.uniform(-3, 3, results) / scales)
        return self.tensor([results], "int32", [*scales][: len(weights)], [0] * len(weights), values)

    def constant(self, shape: Sequence[int], scale: float = 1 / 64) -> int:
        """A random constant of [-2, 2) that is no weight."""
        shift = 128 if self.style == "int8" else 0
        return self.tensor(shape, self.style, [scale], [128 - shift], self._random.integers(0, 256, shape) - shift)

    def whole_numbers(self, numbers: Sequence[Any]) -> int:
        array = np.asarray(numbers)
        return self.tensor(array.shape, "int32", data=array)

    def operator(self, name: str, inputs: Sequence[int], output: int, options: str = "", **fields: Any) -> int:
        """Add an operator, such as `"ADD", [a, b], c, "Add", fusedActivationFunction=1`; gives its output."""
        code = tfl.OperatorCodeT()
        number = getattr(tfl.BuiltinOperator, name)
        code.builtinCode, code.deprecatedBuiltinCode, code.version = number, min(number, 127), 1
        self._codes.append(code)
        operator = tfl.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = len(self._codes) - 1, [*inputs], [output]
        if options:
            operator.builtinOptionsType = getattr(tfl.BuiltinOptions, f"{options}Options")
            operator.builtinOptions = getattr(tfl, f"{options}OptionsT")()
            for field, value in fields.items():
                assert hasattr(operator.builtinOptions, field), field
                setattr(operator.builtinOptions, field, value)
        self._operators.append(operator)
        return output

    def row(self, tensor: int) -> bytes:
        """The finished model, which gives `tensor` as a row."""
        size = int(np.prod(self._tensors[tensor].shape))
        quantization = self._tensors[tensor].quantization
        if len(self._tensors[tensor].shape) != 2:
            (scale,), (zero_point,) = quantization.scale, quantization.zeroPoint
            flat = self.tensor([1, size], self.style, [scale], [zero_point])
            shape = self.whole_numbers([1, size])
            tensor = self.operator("RESHAPE", [tensor, shape], flat, "Reshape", newShape=[1, size])
        if self.style == "int8":
            (scale,), (zero_point,) = quantization.scale, quantization.zeroPoint
            last = self.tensor([1, size], "uint8", [scale], [zero_point + 128])
            tensor = self.operator("QUANTIZE", [tensor], last)
        return self.finish(tensor)

    def finish(self, output: int) -> bytes:
        """The finished model, which gives `output` as it is."""
        graph = tfl.SubGraphT()
        graph.tensors, graph.operators = self._tensors, self._operators
        graph.inputs, graph.outputs = [self.pixels], [output]
        model = tfl.ModelT()
        model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, self._codes, [graph], self._buffers
        builder = flatbuffers.Builder(4096)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())
