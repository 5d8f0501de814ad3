"""A quantised `.tflite` classifier becomes ONNX, in floats or in whole numbers, without TensorFlow.

`proven` calls it, also for its proofs. It needs the packages `onnx`, `onnxruntime` and `numpy`. Whatever the source is,
the result takes plain pixels and gives probabilities, for any number of pictures at once.

Pictures are [1, height, width, channels] in TFLite and [N, channels, height, width] in ONNX: they are transposed once,
at the start, and every weight to fit. Everything else about a tensor, its shape above all, is kept as the source says
it (`GraphTensor.shape`), and each operator checks that its output has the shape that follows from its inputs.

`none`: ONNX Runtime dequantises the weights to 32-bit floats. What the source's 8-bit tensors cut off is cut off by an
explicit Clip where it is an activation, see `tflite.schema`.
`int8`: every activation is put on the source's own grid by a pair of QuantizeLinear and DequantizeLinear, from which
onnxruntime makes integer kernels. Activations are uint8 and weights int8, the pair that has the fastest kernels;
int8 activations and uint8 weights are moved by 128, which changes no real value.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from birdlite.convert.onnx_forms import fused
from birdlite.convert.onnx_graph import OnnxGraph, require_onnx
from birdlite.errors import InvalidModel
from birdlite.tflite import graph
from birdlite.tflite.graph import GraphTensor, Operator, Walk
from birdlite.tflite.schema import (
    ELSEWHERE,
    NOWHERE,
    RELU,
    SIGN,
    limits_in_floats,
    limits_in_integers,
    window_of,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike

Quantize = Literal["none", "int8"]

_TO_PLANES = (0, 3, 1, 2)  # [n, height, width, channels] -> [n, channels, height, width]
_TO_PIXELS = (0, 2, 3, 1)  # and back
_DEFAULT_FORMAT = 0  # of the weights of FULLY_CONNECTED: [outputs, inputs]


def tflite_to_onnx(model: bytes, *, quantize: Quantize) -> bytes:
    """Convert a model that takes uint8 pixels to an ONNX ModelProto (opset 17).

    It takes `pixels`, uint8 RGB [N, side, side, 3], and gives `probabilities`, float32 [N, classes].

    Raises:
        InvalidModel: the source is damaged, takes something else, or has an operator that is not known here.
        EngineMissing: a package is not installed. The message names what to install.
    """
    require_onnx()
    return _Conversion(graph.read(model), quantize).run()


class _Conversion(Walk[str]):
    """One conversion under way. The methods named for operators give the name of their output in ONNX.

    Of a tensor of rank 4 that is the name of its planes.
    """

    def __init__(self, graph: graph.Graph, quantize: Quantize) -> None:
        super().__init__(graph, _OPERATORS, f"not known here{ELSEWHERE}")
        self._tensors = graph.tensors
        self._integers = quantize == "int8"
        self._side = self._check_input()
        self._onnx = OnnxGraph()

    def run(self) -> bytes:
        scale, zero_point = self._tensors[self._source.input].grid() or (1.0, 0)
        self._values[self._source.input] = self._onnx.pixels(scale, zero_point)
        self._run_operators()
        shape = self._tensors[self._source.output].shape
        if len(shape) != 2 or self._source.output not in self._values or not self._source.operators:
            raise InvalidModel(f"the model gives {list(shape)}; only [1, classes] can be converted")
        model = self._onnx.finish(self._values[self._source.output], self._side, shape[1])
        return model if self._integers else fused(model)

    def _check_input(self) -> int:
        """The side of the pictures."""
        tensor = self._tensors[self._source.input]
        shape = tensor.shape
        if tensor.dtype != "uint8" or tensor.quantization is None:
            raise InvalidModel(f"the model takes {tensor.dtype} {list(shape)}; only quantised uint8 can be converted")
        if len(shape) != 4 or shape[0] != 1 or shape[1] != shape[2] or shape[3] != 3:
            raise InvalidModel(f"the model takes {list(shape)}; only [1, side, side, 3] can be converted")
        return shape[1]

    def _picture(self, index: int) -> tuple[int, int, int]:
        """Height, width and channels of a value that must be a picture."""
        shape = self._tensors[index].shape
        if len(shape) != 4 or shape[0] != 1 or 0 in shape:
            raise InvalidModel(f"reads {list(shape)}; only [1, height, width, channels] can be converted")
        return shape[1], shape[2], shape[3]

    def _expect(self, operator: Operator, shape: tuple[int, ...]) -> None:
        stated = self._tensors[operator.outputs[0]].shape
        if stated != shape:
            raise InvalidModel(f"gives {list(stated)}, but {list(shape)} follows from its inputs")

    def _done(self, real: str, output: int, fused: int | None = None) -> str:
        """Cut off what the activation cuts off, and round to the grid of the output where the result is int8.

        `fused` is None for operators whose results cannot leave the range of their inputs.
        """
        grid = self._tensors[output].grid()
        limits = NOWHERE
        if fused is not None:
            limits = limits_in_integers(fused, grid) if self._integers else limits_in_floats(fused, grid)
        if limits == RELU:
            real = self._onnx.node("Relu", [real], f"{real}_clipped")
        elif limits != NOWHERE:
            ends = ["" if end is None else self._onnx.constant(f"end_{end}", end, "float32") for end in limits]
            real = self._onnx.node("Clip", [real, *ends], f"{real}_clipped")
        return self._onnx.rounded(real, *grid) if self._integers and grid else real

    # Operators

    def _convolution(self, operator: Operator) -> str:
        """CONV_2D and DEPTHWISE_CONV_2D, whose weights differ in their order, and whose groups in their size."""
        source, options = self._input(operator), operator.options
        weights = self._tensors[self._input(operator, 1)].shape
        height, width, channels = self._picture(source)
        if len(weights) != 4 or 0 in weights:
            raise InvalidModel(f"weights of shape {list(weights)}")
        if operator.name == "CONV_2D":
            axis, permutation, results, groups = 0, _TO_PLANES, weights[0], channels // weights[3]
            fit = groups * weights[3] == channels
        else:
            axis, permutation, results, groups = 3, (3, 0, 1, 2), weights[3], channels
            fit = weights[0] == 1
        if not fit or results % groups:
            raise InvalidModel(f"weights of shape {list(weights)} for {channels} channels")
        dilations = (options["DilationHFactor"], options["DilationWFactor"])
        window = window_of(options, (height, width), (weights[1], weights[2]), dilations)
        self._expect(operator, (1, *window.out, results))
        real = self._onnx.node(
            "Conv",
            [self._value(source), *self._weights(operator, axis, permutation)],
            self._place,
            dilations=dilations,
            group=groups,
            kernel_shape=weights[1:3],
            pads=(*window.before, *window.after),
            strides=window.strides,
        )
        return self._done(real, operator.outputs[0], options["FusedActivationFunction"])

    def _pool(self, operator: Operator) -> str:
        source, options = self._input(operator), operator.options
        height, width, channels = self._picture(source)
        kernel = (options["FilterHeight"], options["FilterWidth"])
        window = window_of(options, (height, width), kernel, (1, 1))
        self._expect(operator, (1, *window.out, channels))
        value, pads = [self._value(source)], (*window.before, *window.after)
        average = operator.name == "AVERAGE_POOL_2D"
        if average and kernel == (height, width) and window.out == (1, 1) and not any(pads):
            real = self._onnx.node("GlobalAveragePool", value, self._place)
        else:
            # Neither format counts the padding into an average.
            kind = "AveragePool" if average else "MaxPool"
            real = self._onnx.node(kind, value, self._place, kernel_shape=kernel, pads=pads, strides=window.strides)
        return self._done(real, operator.outputs[0], options["FusedActivationFunction"] or None)

    def _mean(self, operator: Operator) -> str:
        source, output = self._input(operator), operator.outputs[0]
        _, _, channels = self._picture(source)
        axes = {axis % 4 for axis in self._tensors[self._input(operator, 1)].whole_numbers()}
        if axes != {1, 2}:
            raise InvalidModel(f"over the axes {sorted(axes)}; only height and width can be converted{ELSEWHERE}")
        real = self._onnx.node("GlobalAveragePool", [self._value(source)], self._place)
        keeps = len(self._tensors[output].shape) == 4
        self._expect(operator, (1, 1, 1, channels) if keeps else (1, channels))
        # The grid comes before the change of shape, so that onnxruntime finds it beside the mean.
        real = self._done(real, output)
        return real if keeps else self._flat(real, (1, 1, 1, channels), output)

    def _fully_connected(self, operator: Operator) -> str:
        source, options = self._input(operator), operator.options
        weights = self._tensors[self._input(operator, 1)].shape
        shape = self._tensors[source].shape
        if len(weights) != 2 or 0 in shape or shape[:1] != (1,) or math.prod(shape) != weights[1]:
            raise InvalidModel(f"weights of shape {list(weights)} for {list(shape)}")
        if options["WeightsFormat"] != _DEFAULT_FORMAT:
            raise InvalidModel(f"weights in the format {options['WeightsFormat']}{ELSEWHERE}")
        self._expect(operator, (1, weights[0]))
        value = self._value(source)
        if len(shape) != 2:
            value = self._flat(value, shape, source)
        real = self._onnx.node("Gemm", [value, *self._weights(operator, 0, (1, 0))], self._place)
        return self._done(real, operator.outputs[0], options["FusedActivationFunction"])

    def _reshape(self, operator: Operator) -> str:
        """RESHAPE and SQUEEZE: the shape that follows is that of the output."""
        source, output = self._input(operator), operator.outputs[0]
        before, after = self._tensors[source].shape, self._tensors[output].shape
        value = self._value(source)
        if before == after:
            return value
        if len(after) != 2 or (before[:1], after[:1]) != ((1,), (1,)) or math.prod(before) != math.prod(after):
            raise InvalidModel(f"{list(before)} to {list(after)}; only [1, n] can be converted{ELSEWHERE}")
        return self._flat(value, before, output)

    def _flat(self, value: str, shape: tuple[int, ...], output: int) -> str:
        """A row for each picture, in the source's order. Planes of more than a pixel are transposed back for it."""
        if len(shape) == 4 and shape[1:3] != (1, 1):
            value = self._onnx.node("Transpose", [value], f"{self._place}_pixels", perm=_TO_PIXELS)
        row = self._onnx.constant(f"{self._place}_shape", (0, math.prod(shape)), "int64")  # 0: as many as there are
        return self._done(self._onnx.node("Reshape", [value, row], f"{self._place}_row"), output)

    def _arithmetic(self, operator: Operator) -> str:
        import numpy as np

        first, second = self._input(operator, 0), self._input(operator, 1)
        shapes = self._tensors[first].shape, self._tensors[second].shape
        operands = [self._operand(index, max(map(len, shapes))) for index in (first, second)]
        try:
            self._expect(operator, np.broadcast_shapes(*shapes))
        except ValueError:
            raise InvalidModel(f"{list(shapes[0])} and {list(shapes[1])} do not fit") from None
        real = self._onnx.node("Add" if operator.name == "ADD" else "Mul", operands, self._place)
        return self._done(real, operator.outputs[0], operator.options["FusedActivationFunction"])

    def _operand(self, index: int, rank: int) -> str:
        """A value, or a constant made as long in dimensions as the value that it goes with."""
        tensor = self._tensors[index]
        if tensor.data is None:
            if len(tensor.shape) != rank or tensor.shape[0] != 1:
                raise InvalidModel(f"tensor {index} of shape {list(tensor.shape)} is stretched{ELSEWHERE}")
            return self._value(index)
        array = array_of(tensor)
        array = array.reshape((1,) * (rank - array.ndim) + array.shape)
        if array.shape[:1] != (1,):
            raise InvalidModel(f"tensor {index} has a value for each of {array.shape[0]} pictures")
        array = array.transpose(_TO_PLANES) if rank == 4 else array
        name, grid = f"{self._place}_{index}", self._tensors[index].grid()
        if grid is None:
            return self._onnx.constant(name, array, "float32")
        stored = array.astype("int16") + SIGN * (tensor.dtype == "int8")
        return self._onnx.dequantized(self._onnx.constant(name, stored, "uint8"), *grid, "uint8")

    def _pad(self, operator: Operator) -> str:
        source = self._input(operator)
        shape = (1, *self._picture(source))
        amounts = self._tensors[self._input(operator, 1)].whole_numbers()
        if len(amounts) != 8 or min(amounts) < 0 or any(amounts[:2]):
            raise InvalidModel(f"pads {amounts}")
        before, after = amounts[::2], amounts[1::2]
        self._expect(operator, tuple(sum(sizes) for sizes in zip(before, shape, after, strict=True)))
        pads = [amounts_of[axis] for amounts_of in (before, after) for axis in _TO_PLANES]
        constant = self._onnx.constant(f"{self._place}_pads", pads, "int64")
        real = self._onnx.node("Pad", [self._value(source), constant], self._place)
        return self._done(real, operator.outputs[0])

    def _same(self, operator: Operator) -> str:
        """RELU and RELU6; QUANTIZE and DEQUANTIZE, which only store the same real values in another way."""
        source, output = self._input(operator), operator.outputs[0]
        self._expect(operator, self._tensors[source].shape)
        fused = {"RELU": 1, "RELU6": 3}.get(operator.name)
        if fused is None and self._tensors[source].grid() == self._tensors[output].grid():
            return self._value(source)
        return self._done(self._value(source), output, fused)

    def _softmax(self, operator: Operator) -> str:
        """Probabilities stay floats also in int8: the source's steps of 1/256 are its way to store them, no more."""
        source = self._input(operator)
        self._expect(operator, self._tensors[source].shape)
        if operator.options["Beta"] != 1:
            raise InvalidModel(f"beta is {operator.options['Beta']:g} instead of 1{ELSEWHERE}")
        axis = 1 if len(self._tensors[source].shape) == 4 else -1
        return self._onnx.node("Softmax", [self._value(source)], self._place, axis=axis)

    def _weights(self, operator: Operator, axis: int, permutation: tuple[int, ...]) -> list[str]:
        """Add the weights, and the bias if there is one; gives their names.

        `permutation` is the new order of their dimensions. Results, and scales if there are several, lie along `axis`.
        """
        import numpy as np

        weights, grid = self._tensors[self._input(operator, 1)], self._tensors[self._input(operator)].grid()
        stored, name = array_of(weights).transpose(permutation), f"{self._place}_weights"
        if weights.dtype == "float32" and not self._integers:
            return [self._onnx.constant(name, stored, "float32"), *self._bias(operator, weights.shape[axis], None)]
        quantization = weights.quantization
        if quantization is None or grid is None:
            raise InvalidModel(f"its weights, {weights.dtype}, or what they are for are not quantised{ELSEWHERE}")
        one = len(quantization.scales) == 1
        if not one and quantization.axis != axis:
            raise InvalidModel(f"its weights have a scale for each index along {quantization.axis} instead of {axis}")
        scale, zero_point = (quantization.scales[0], quantization.zero_points[0]) if one else quantization[:2]
        shift = SIGN if weights.dtype == "uint8" else 0
        added = self._onnx.dequantized(
            self._onnx.constant(name, stored.astype("int16") - shift, "int8"),
            scale,
            np.subtract(zero_point, shift),
            "int8",
            axis=permutation.index(axis),
        )
        return [added, *self._bias(operator, weights.shape[axis], np.multiply(grid.scale, scale))]

    def _bias(self, operator: Operator, results: int, scale: ArrayLike | None) -> list[str]:
        """Its scale is input's times weights', whatever the file says, as for runtimes; None for floats."""
        import numpy as np

        index = operator.inputs[2] if len(operator.inputs) > 2 else -1
        if index < 0:
            return []
        bias, dtype = self._tensors[index], "float32" if scale is None else "int32"
        if bias.dtype != dtype or bias.shape != (results,):
            raise InvalidModel(f"its bias is {bias.dtype} {list(bias.shape)} instead of {dtype} [{results}]")
        name = self._onnx.constant(f"{self._place}_bias", array_of(bias), dtype)
        return [name if scale is None else self._onnx.dequantized(name, scale, np.zeros(np.shape(scale)), "int32")]


def array_of(tensor: GraphTensor) -> np.ndarray[Any, Any]:
    """A constant as it is stored, read-only.

    Raises:
        InvalidModel: it is no constant.
    """
    import numpy as np

    return np.frombuffer(tensor.constant(), tensor.dtype).reshape(tensor.shape)


_OPERATORS: dict[str, Callable[[_Conversion, Operator], str]] = {
    "ADD": _Conversion._arithmetic,
    "AVERAGE_POOL_2D": _Conversion._pool,
    "CONV_2D": _Conversion._convolution,
    "DEPTHWISE_CONV_2D": _Conversion._convolution,
    "DEQUANTIZE": _Conversion._same,
    "FULLY_CONNECTED": _Conversion._fully_connected,
    "MAX_POOL_2D": _Conversion._pool,
    "MEAN": _Conversion._mean,
    "MUL": _Conversion._arithmetic,
    "PAD": _Conversion._pad,
    "QUANTIZE": _Conversion._same,
    "RELU": _Conversion._same,
    "RELU6": _Conversion._same,
    "RESHAPE": _Conversion._reshape,
    "SOFTMAX": _Conversion._softmax,
    "SQUEEZE": _Conversion._reshape,
}
