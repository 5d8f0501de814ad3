"""A uint8 `.tflite` classifier becomes an int8 one, which runs about twice as fast, without TensorFlow or pictures.

`convert.from_tflite` calls it, and `run.classifier` for models of the catalogue that are made on the user's machine. It
needs only Python, and the same source gives the same bytes everywhere, so the catalogue can name their checksum.

Old converters stored weights as uint8 with one scale and one zero point for all. XNNPACK has faster kernels for weights
without a zero point: int8, with a scale for each channel of the result. How each part is converted:

- activations: a uint8 on the grid (scale, zero point) is the int8, 128 less, on the grid (scale, zero point - 128).
  Nothing changes. A QUANTIZE behind the input and one before the output keep uint8 at the ends.
- weights: `stored - zero point` is a whole number within ±255. A channel of which none is beyond ±127 stays what it
  is. Another one gets a scale of its own, coarser by largest / 127, and is rounded anew: at most half a step.
- biases, which are sums of products of both: they keep their value, in steps of the new scale.

Of the official model's 18,021 channels 75 are rounded anew; searching for better scales for these did not bring the
answers nearer, because the rest is how such a network amplifies any difference (see `convert.unrounded`).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from birdlite.errors import InvalidModel
from birdlite.tflite import graph
from birdlite.tflite.graph import Graph, GraphTensor, Operator, Quantization
from birdlite.tflite.int8_weights import channels_of, joined, rescaled_bias
from birdlite.tflite.rules import SIGN
from birdlite.tflite.writer import write_graph

DESCRIPTION = "re-quantised to int8 by birdlite"

_FLIP = bytes(value ^ SIGN for value in range(256))  # a uint8 to the int8 that is 128 less, as a byte
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


class _Conversion:
    """One conversion under way. The methods named for operators add theirs and those of its constants."""

    def __init__(self, source: Graph) -> None:
        self._source = source
        self._tensors: list[GraphTensor] = []
        self._operators: list[Operator] = []
        self._values: dict[int, int] = {}  # a tensor of the source -> that with the same real values here
        self._channels = self._exact = 0

    def run(self) -> Requantised:
        source = self._source
        pixels = self._add(source.tensors[source.input])
        self._operator("QUANTIZE", [pixels], self._activation(source.input))
        for number, operator in enumerate(source.operators):
            try:
                self._convert(operator)
            except InvalidModel as error:
                raise InvalidModel(f"operator {number}, {operator.name}: {error}") from None
        if source.output not in self._values or source.output == source.input:
            raise InvalidModel("no operator gives the model's output")
        output = self._values[source.output]
        if self._tensors[output].dtype == "int8":
            scores = self._add(source.tensors[source.output])
            output = self._operator("QUANTIZE", [output], scores)
        graph = Graph(tuple(self._tensors), tuple(self._operators), pixels, output)
        return Requantised(write_graph(graph, DESCRIPTION), self._channels, self._exact)

    def _convert(self, operator: Operator) -> None:
        convert = _OPERATORS.get(operator.name)
        if convert is None:
            raise InvalidModel("not known here, so it cannot be made int8")
        if len(operator.outputs) != 1:
            raise InvalidModel(f"{len(operator.outputs)} outputs")
        (output,) = operator.outputs
        if output in self._values or self._source.tensors[output].data is not None:
            raise InvalidModel(f"its output, tensor {output}, has a value already")
        convert(self, operator)

    # Tensors

    def _add(self, tensor: GraphTensor) -> int:
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def _activation(self, index: int) -> int:
        """A tensor of the source as int8; for this operator to fill."""
        tensor = self._source.tensors[index]
        self._values[index] = self._add(_signed(tensor)._replace(name=f"{tensor.name}_int8"))
        return self._values[index]

    def _whole_numbers(self, name: str, numbers: tuple[int, ...]) -> int:
        data = memoryview(struct.pack(f"<{len(numbers)}i", *numbers))
        return self._add(GraphTensor((len(numbers),), "int32", None, data, name))

    # What an operator is given

    def _index(self, operator: Operator, number: int) -> int:
        if number >= len(operator.inputs) or operator.inputs[number] < 0:
            raise InvalidModel(f"input {number} is missing")
        return operator.inputs[number]

    def _value(self, operator: Operator, number: int = 0) -> int:
        """What an operator before it has made."""
        index = self._index(operator, number)
        if index not in self._values:
            raise InvalidModel(f"reads tensor {index}, which no operator before it makes")
        if self._tensors[self._values[index]].dtype != "int8":
            raise InvalidModel("reads floats, so it cannot be made int8")
        return self._values[index]

    def _operand(self, operator: Operator, number: int) -> int:
        """The same, or a constant."""
        tensor = self._source.tensors[self._index(operator, number)]
        if tensor.data is None:
            return self._value(operator, number)
        return self._add(_signed(tensor)._replace(data=memoryview(bytes(tensor.data).translate(_FLIP))))

    def _constant(self, operator: Operator, number: int) -> int:
        """A constant that says how, as it is."""
        tensor = self._source.tensors[self._index(operator, number)]
        tensor.whole_numbers()
        return self._add(tensor)

    def _operator(self, name: str, inputs: list[int], output: int, options: dict[str, Any] | None = None) -> int:
        self._operators.append(Operator(name, tuple(inputs), (output,), options or {}))
        return output

    # Operators

    def _weighted(self, operator: Operator, axis: int) -> None:
        """CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED; the channels of the results lie along `axis`."""
        value = self._value(operator)
        weights = self._source.tensors[self._index(operator, 1)]
        bias = operator.inputs[2] if len(operator.inputs) > 2 else -1
        channels = list(channels_of(weights, axis))
        inputs = [value, self._add(joined(weights, axis, channels))]
        if bias >= 0:
            (scale,) = self._quantization(value).scales
            inputs.append(self._add(rescaled_bias(self._source.tensors[bias], scale, channels)))
        self._channels += len(channels)
        self._exact += sum(channel.factor == 1 for channel in channels)
        self._operator(operator.name, inputs, self._activation(operator.outputs[0]), operator.options)

    def _quantization(self, value: int) -> Quantization:
        quantization = self._tensors[value].quantization
        assert quantization is not None  # noqa: S101 - every int8 tensor here was made by `_signed`
        return quantization

    def _convolution(self, operator: Operator) -> None:
        rank = len(self._source.tensors[self._index(operator, 1)].shape)
        if rank != 4 or len(self._source.tensors[self._index(operator, 0)].shape) != 4:
            raise InvalidModel("weights or input of other than four dimensions")
        self._weighted(operator, 0 if operator.name == "CONV_2D" else 3)

    def _fully_connected(self, operator: Operator) -> None:
        shape = self._source.tensors[self._index(operator, 1)].shape
        if len(shape) != 2 or operator.options["WeightsFormat"] != 0:
            raise InvalidModel(f"weights {list(shape)} in the format {operator.options['WeightsFormat']}")
        if len(self._source.tensors[operator.outputs[0]].shape) != 2:
            raise InvalidModel("gives more than a row for each picture")
        self._weighted(operator, 0)

    def _arithmetic(self, operator: Operator) -> None:
        operands = [self._operand(operator, 0), self._operand(operator, 1)]
        self._operator(operator.name, operands, self._activation(operator.outputs[0]), operator.options)

    def _plain(self, operator: Operator) -> None:
        """Operators of one value, on which int8 changes nothing."""
        value = self._value(operator)
        self._operator(operator.name, [value], self._activation(operator.outputs[0]), operator.options)

    def _pad(self, operator: Operator) -> None:
        inputs = [self._value(operator), self._constant(operator, 1)]
        self._operator("PAD", inputs, self._activation(operator.outputs[0]))

    def _mean(self, operator: Operator) -> None:
        inputs = [self._value(operator), self._constant(operator, 1)]
        output = self._activation(operator.outputs[0])
        keeps = len(self._tensors[output].shape) == len(self._tensors[inputs[0]].shape)
        self._operator("MEAN", inputs, output, {"KeepDims": keeps})

    def _reshape(self, operator: Operator) -> None:
        """RESHAPE and SQUEEZE. The first dimension is left open, for several pictures at once."""
        value, output = self._value(operator), self._activation(operator.outputs[0])
        before, after = self._tensors[value].shape, self._tensors[output].shape
        if before[:1] != after[:1] or math.prod(before) != math.prod(after):
            raise InvalidModel(f"{list(before)} to {list(after)}")
        shape = self._whole_numbers(f"{self._tensors[output].name}_shape", (-1, *after[1:]))
        self._operator("RESHAPE", [value, shape], output)

    def _softmax(self, operator: Operator) -> None:
        if self._source.tensors[operator.outputs[0]].quantization != _SCORES:
            raise InvalidModel("its scores are not in steps of 1/256 from 0")
        self._plain(operator)

    def _dequantize(self, operator: Operator) -> None:
        """The scores of a model that gives floats."""
        value, (output,) = self._value(operator), operator.outputs
        if self._source.tensors[output].dtype != "float32" or output != self._source.output:
            raise InvalidModel("is not the model's last, so it is not uint8 throughout")
        self._values[output] = self._operator("DEQUANTIZE", [value], self._add(self._source.tensors[output]))


_OPERATORS: dict[str, Callable[[_Conversion, Operator], None]] = {
    "ADD": _Conversion._arithmetic,
    "AVERAGE_POOL_2D": _Conversion._plain,
    "CONV_2D": _Conversion._convolution,
    "DEPTHWISE_CONV_2D": _Conversion._convolution,
    "DEQUANTIZE": _Conversion._dequantize,
    "FULLY_CONNECTED": _Conversion._fully_connected,
    "MAX_POOL_2D": _Conversion._plain,
    "MEAN": _Conversion._mean,
    "MUL": _Conversion._arithmetic,
    "PAD": _Conversion._pad,
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
    if tensor.dtype == "int8":
        raise InvalidModel(f"{list(tensor.shape)} is int8 already")
    quantization = tensor.quantization
    if tensor.dtype != "uint8" or quantization is None or len(quantization.scales) != 1:
        raise InvalidModel(
            f"{tensor.dtype} {list(tensor.shape)} is no uint8 with one scale; only that can be made int8"
        )
    (zero_point,) = quantization.zero_points
    return tensor._replace(dtype="int8", quantization=quantization._replace(zero_points=(zero_point - SIGN,), axis=0))
