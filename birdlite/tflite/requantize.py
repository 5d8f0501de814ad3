"""A uint8 `.tflite` classifier becomes an int8 one, which runs about twice as fast, without TensorFlow or pictures.

`convert.proven` calls it, and `run.classifier` for models of the catalogue that are made on the user's machine. It
needs only Python, and the same source gives the same bytes everywhere, so the catalogue can name their checksum.

Old converters stored weights as uint8 with one scale and one zero point for all. XNNPACK has faster kernels for weights
without a zero point: int8, with a scale for each channel of the result. How each part is converted:

- activations: a uint8 on the grid (scale, zero point) is the int8, 128 less, on the grid (scale, zero point - 128).
  Nothing changes. A QUANTIZE behind the input and one before the output keep uint8 at the ends.
- weights: `stored - zero point` is a whole number within ±255. A channel of which none is beyond ±127 stays what it
  is. Another one gets a scale of its own, coarser by largest / 127, and is rounded anew: at most half a step.
- biases, which are sums of products of both: they keep their value, in steps of the new scale.

Of the official model's 18,021 channels 75 are rounded anew; searching for better scales for these did not bring the
answers nearer, because the rest is how such a network amplifies any difference (see `convert.onnx_forms.unrounded`).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

from birdlite.errors import InvalidModel
from birdlite.tflite import graph
from birdlite.tflite.graph import Graph, GraphTensor, Operator, Quantization, Walk
from birdlite.tflite.schema import SIGN
from birdlite.tflite.writer import write_graph

DESCRIPTION = "re-quantised to int8 by birdlite"

_FLIP = bytes(value ^ SIGN for value in range(256))  # a uint8 to the int8 that is 128 less, as a byte
LARGEST = 127  # of an int8 weight either way: kernels count on a symmetric range
_SCORES = Quantization((1 / 256,), (0,), 0)  # the only grid that the kernel of SOFTMAX gives


class Requantised(NamedTuple):
    """The result, and how much of it is the source's own."""

    model: bytes
    channels: int  # of all weights
    exact: int  # of them, those that kept their scale and so every weight


def tflite_to_int8(model: bytes) -> Requantised:
    """Re-quantise a model that takes uint8 pixels and rounds to uint8 throughout.

    Raises:
        InvalidModel: the source is damaged, is not uint8 throughout, or has an operator that is not known here.
    """
    return _Conversion(graph.read(model)).run()


class _Conversion(Walk[int]):
    """One conversion under way. The methods named for operators add these and give the index of their output."""

    def __init__(self, source: Graph) -> None:
        super().__init__(source, _OPERATORS, "not known here, so it cannot be made int8")
        self._tensors: list[GraphTensor] = []
        self._operators: list[Operator] = []
        self._channels = self._exact = 0

    def run(self) -> Requantised:
        source = self._source
        if any(tensor.dtype == "int8" and tensor.data is None for tensor in source.tensors):
            raise InvalidModel("the network is int8 already; use the model as it is")
        pixels = self._add(source.tensors[source.input])
        self._values[source.input] = self._operator("QUANTIZE", [pixels], self._activation(source.input))
        self._run_operators()
        if source.output not in self._values or source.output == source.input:
            raise InvalidModel("no operator gives the model's output")
        output = self._values[source.output]
        if self._tensors[output].dtype == "int8":
            scores = self._add(source.tensors[source.output])
            output = self._operator("QUANTIZE", [output], scores)
        graph = Graph(tuple(self._tensors), tuple(self._operators), pixels, output)
        return Requantised(write_graph(graph, DESCRIPTION), self._channels, self._exact)

    # Tensors

    def _add(self, tensor: GraphTensor) -> int:
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def _activation(self, index: int) -> int:
        """A tensor of the source as int8; for this operator to fill."""
        tensor = self._source.tensors[index]
        return self._add(_signed(tensor)._replace(name=f"{tensor.name}_int8"))

    # What an operator is given

    def _integers(self, operator: Operator, number: int = 0) -> int:
        """What an operator before it has made, as int8."""
        value = self._value(self._input(operator, number))
        if self._tensors[value].dtype != "int8":
            raise InvalidModel("reads floats, so it cannot be made int8")
        return value

    def _operand(self, operator: Operator, number: int) -> int:
        """The same, or a constant."""
        tensor = self._source.tensors[self._input(operator, number)]
        if tensor.data is None:
            return self._integers(operator, number)
        return self._add(_signed(tensor)._replace(data=memoryview(bytes(tensor.data).translate(_FLIP))))

    def _constant(self, operator: Operator, number: int) -> int:
        """A constant that says how, as it is."""
        tensor = self._source.tensors[self._input(operator, number)]
        tensor.whole_numbers()
        return self._add(tensor)

    def _operator(self, name: str, inputs: list[int], output: int, options: dict[str, Any] | None = None) -> int:
        self._operators.append(Operator(name, tuple(inputs), (output,), options or {}))
        return output

    # Operators

    def _weighted(self, operator: Operator, axis: int) -> int:
        """CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED; the channels of the results lie along `axis`."""
        value = self._integers(operator)
        weights = self._source.tensors[self._input(operator, 1)]
        bias = operator.inputs[2] if len(operator.inputs) > 2 else -1
        channels = list(channels_of(weights, axis))
        inputs = [value, self._add(joined(weights, axis, channels))]
        if bias >= 0:
            grid = self._tensors[value].grid()
            assert grid is not None  # noqa: S101 - every int8 tensor here was made by `_signed`
            inputs.append(self._add(rescaled_bias(self._source.tensors[bias], grid.scale, channels)))
        self._channels += len(channels)
        self._exact += sum(channel.factor == 1 for channel in channels)
        return self._operator(operator.name, inputs, self._activation(operator.outputs[0]), operator.options)

    def _convolution(self, operator: Operator) -> int:
        rank = len(self._source.tensors[self._input(operator, 1)].shape)
        if rank != 4 or len(self._source.tensors[self._input(operator, 0)].shape) != 4:
            raise InvalidModel("weights or input of other than four dimensions")
        return self._weighted(operator, 0 if operator.name == "CONV_2D" else 3)

    def _fully_connected(self, operator: Operator) -> int:
        shape = self._source.tensors[self._input(operator, 1)].shape
        if len(shape) != 2 or operator.options["WeightsFormat"] != 0:
            raise InvalidModel(f"weights {list(shape)} in the format {operator.options['WeightsFormat']}")
        if len(self._source.tensors[operator.outputs[0]].shape) != 2:
            raise InvalidModel("gives more than a row for each picture")
        return self._weighted(operator, 0)

    def _arithmetic(self, operator: Operator) -> int:
        operands = [self._operand(operator, 0), self._operand(operator, 1)]
        return self._operator(operator.name, operands, self._activation(operator.outputs[0]), operator.options)

    def _plain(self, operator: Operator) -> int:
        """Operators of one value, on which int8 changes nothing."""
        inputs = [self._integers(operator)] + ([self._constant(operator, 1)] if operator.name == "PAD" else [])
        return self._operator(operator.name, inputs, self._activation(operator.outputs[0]), operator.options)

    def _mean(self, operator: Operator) -> int:
        inputs = [self._integers(operator), self._constant(operator, 1)]
        output = self._activation(operator.outputs[0])
        keeps = len(self._tensors[output].shape) == len(self._tensors[inputs[0]].shape)
        return self._operator("MEAN", inputs, output, {"KeepDims": keeps})

    def _reshape(self, operator: Operator) -> int:
        """RESHAPE and SQUEEZE. The first dimension is left open, for several pictures at once."""
        value, output = self._integers(operator), self._activation(operator.outputs[0])
        before, after = self._tensors[value].shape, self._tensors[output].shape
        if before[:1] != after[:1] or math.prod(before) != math.prod(after):
            raise InvalidModel(f"{list(before)} to {list(after)}")
        name, data = f"{self._tensors[output].name}_shape", struct.pack(f"<{len(after)}i", -1, *after[1:])
        shape = self._add(GraphTensor((len(after),), "int32", None, memoryview(data), name))
        return self._operator("RESHAPE", [value, shape], output)

    def _softmax(self, operator: Operator) -> int:
        if self._source.tensors[operator.outputs[0]].quantization != _SCORES:
            raise InvalidModel("its scores are not in steps of 1/256 from 0")
        return self._plain(operator)

    def _dequantize(self, operator: Operator) -> int:
        """The scores of a model that gives floats."""
        value, (output,) = self._integers(operator), operator.outputs
        if self._source.tensors[output].dtype != "float32" or output != self._source.output:
            raise InvalidModel("is not the model's last, so it is not uint8 throughout")
        return self._operator("DEQUANTIZE", [value], self._add(self._source.tensors[output]))


_OPERATORS: dict[str, Callable[[_Conversion, Operator], int]] = {
    "ADD": _Conversion._arithmetic,
    "AVERAGE_POOL_2D": _Conversion._plain,
    "CONV_2D": _Conversion._convolution,
    "DEPTHWISE_CONV_2D": _Conversion._convolution,
    "DEQUANTIZE": _Conversion._dequantize,
    "FULLY_CONNECTED": _Conversion._fully_connected,
    "MAX_POOL_2D": _Conversion._plain,
    "MEAN": _Conversion._mean,
    "MUL": _Conversion._arithmetic,
    "PAD": _Conversion._plain,
    "QUANTIZE": _Conversion._plain,
    "RELU": _Conversion._plain,
    "RELU6": _Conversion._plain,
    "RESHAPE": _Conversion._reshape,
    "SOFTMAX": _Conversion._softmax,
    "SQUEEZE": _Conversion._reshape,
}


def _signed(tensor: GraphTensor) -> GraphTensor:
    """A tensor on the same grid, stored as int8.

    Raises:
        InvalidModel: it is no uint8 with one scale.
    """
    quantization = tensor.quantization
    if tensor.dtype != "uint8" or quantization is None or len(quantization.scales) != 1:
        raise InvalidModel(
            f"{tensor.dtype} {list(tensor.shape)} is no uint8 with one scale; only that can be made int8"
        )
    (zero_point,) = quantization.zero_points
    return tensor._replace(dtype="int8", quantization=quantization._replace(zero_points=(zero_point - SIGN,), axis=0))


class Channel(NamedTuple):
    """The weights for one channel of the results."""

    weights: bytes  # int8
    scale: float
    factor: float  # by how much the scale grew: 1 for one that is as it was


def channels_of(weights: GraphTensor, axis: int) -> Iterator[Channel]:
    """The weights, channel by channel, along the first or the last axis.

    Raises:
        InvalidModel: they are no constant of uint8, or their scales lie along another axis.
    """
    stored, quantization = bytes(weights.constant()), weights.quantization
    if weights.dtype == "int8":
        raise InvalidModel("its weights are int8 already")
    if weights.dtype != "uint8" or quantization is None:
        raise InvalidModel(f"its weights are {weights.dtype}; only uint8 with a scale can be made int8")
    if not stored:
        raise InvalidModel("it has no weights")
    one = len(quantization.scales) == 1
    if not one and quantization.axis != axis:
        raise InvalidModel(f"its weights have a scale for each index along {quantization.axis} instead of {axis}")
    count = weights.shape[axis]
    size = len(stored) // count
    for number in range(count):
        part = stored[number * size : (number + 1) * size] if axis == 0 else stored[number::count]
        which = 0 if one else number
        yield _channel(part, quantization.scales[which], quantization.zero_points[which])


def _channel(stored: bytes, scale: float, zero_point: int) -> Channel:
    largest = max(max(stored) - zero_point, zero_point - min(stored))
    if largest <= LARGEST:
        return Channel(stored.translate(_table(zero_point, LARGEST)), scale, 1)
    coarser = _float32(scale * largest / LARGEST)
    return Channel(stored.translate(_table(zero_point, largest)), coarser, coarser / scale)


@cache
def _table(zero_point: int, largest: int) -> bytes:
    """What each stored byte becomes where `largest` is to become 127, as a byte; halves are rounded away from 0."""
    new = (_rounded((stored - zero_point) * LARGEST, largest) for stored in range(256))
    return bytes(max(-LARGEST, min(LARGEST, value)) & 0xFF for value in new)


def _rounded(numerator: int, denominator: int) -> int:
    size = (abs(numerator) * 2 + denominator) // (denominator * 2)
    return size if numerator > 0 else -size


def joined(weights: GraphTensor, axis: int, channels: Sequence[Channel]) -> GraphTensor:
    """The tensor of these channels, with a scale for each."""
    if axis == 0:
        data = b"".join(channel.weights for channel in channels)
    else:
        whole = bytearray(len(weights.constant()))
        for number, channel in enumerate(channels):
            whole[number :: len(channels)] = channel.weights
        data = bytes(whole)
    quantization = Quantization(tuple(channel.scale for channel in channels), (0,) * len(channels), axis)
    return weights._replace(dtype="int8", quantization=quantization, data=memoryview(data))


def rescaled_bias(bias: GraphTensor, input_scale: float, channels: Sequence[Channel]) -> GraphTensor:
    """The same real values. Runtimes ignore the bias's scale in the file and use that of input times weights.

    Raises:
        InvalidModel: it is no constant of int32, or does not fit.
    """
    if bias.dtype != "int32" or bias.shape != (len(channels),):
        raise InvalidModel(f"its bias is {bias.dtype} {list(bias.shape)} instead of int32 [{len(channels)}]")
    stored = bias.whole_numbers()
    values = [round(value / channel.factor) for value, channel in zip(stored, channels, strict=True)]
    scales = tuple(_float32(input_scale * channel.scale) for channel in channels)
    data = memoryview(struct.pack(f"<{len(values)}i", *values))
    return bias._replace(quantization=Quantization(scales, (0,) * len(scales), 0), data=data)


def _float32(number: float) -> float:
    """The nearest number that a file can hold."""
    rounded: float = struct.unpack("<f", struct.pack("<f", number))[0]
    return rounded
