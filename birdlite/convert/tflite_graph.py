"""A `.tflite` file as plain values: its tensors, constants, scales and operators, in the order in which they run.

`tflite_to_onnx` reads its source through this. The file is not trusted: the flatbuffers package follows whatever
offsets it finds, so everything that is read is bounded here, and what does not hold together is an `InvalidModel`.
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

from birdlite.errors import InvalidModel

if TYPE_CHECKING:
    import numpy as np

# The official model has 175 tensors and 65 operators; a network ten times as deep is still far below.
MOST_TENSORS = 16_384
MOST_OPERATORS = 8_192
MOST_ENDS = 16  # inputs or outputs of one operator
MOST_DIMENSIONS = 8
MOST_ELEMENTS = 1 << 28  # of one tensor; the largest of the official model has 1.2 million
MOST_CHARACTERS = 60  # of a custom operator's name, in a message
LARGEST_SCALE = 1e12  # products of two scales and 32 bits stay far inside a 32-bit float

# Constants may be shared. A small file in which thousands of operators share one large constant is a bomb.
MOST_SHARING = 4

ITEM_BYTES = {"float32": 4, "int32": 4, "uint8": 1, "int8": 1, "int64": 8, "float16": 2, "bool": 1}
STORED_RANGES = {"uint8": (0, 255), "int8": (-128, 127)}

# What the flatbuffers package raises when an offset, a length or a string of the file is wrong.
_DAMAGE = (struct.error, IndexError, TypeError, ValueError, AttributeError, OverflowError)

_CONVOLUTION = (
    "Padding",
    "StrideH",
    "StrideW",
    "DilationHFactor",
    "DilationWFactor",
    "FusedActivationFunction",
)
_POOL = ("Padding", "StrideH", "StrideW", "FilterHeight", "FilterWidth", "FusedActivationFunction")

# operator -> the table in the schema that holds its options, and those of its fields that matter
_OPTIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "CONV_2D": ("Conv2DOptions", _CONVOLUTION),
    "DEPTHWISE_CONV_2D": ("DepthwiseConv2DOptions", _CONVOLUTION),
    "AVERAGE_POOL_2D": ("Pool2DOptions", _POOL),
    "MAX_POOL_2D": ("Pool2DOptions", _POOL),
    "FULLY_CONNECTED": ("FullyConnectedOptions", ("FusedActivationFunction", "WeightsFormat")),
    "ADD": ("AddOptions", ("FusedActivationFunction",)),
    "MUL": ("MulOptions", ("FusedActivationFunction",)),
    "SOFTMAX": ("SoftmaxOptions", ("Beta",)),
}


class Quantization(NamedTuple):
    """real value = scale * (stored value - zero point), with one of each, or one for each index along `axis`."""

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int


class GraphTensor(NamedTuple):
    """One tensor. Shapes are as in the file: pictures are [1, height, width, channels]."""

    shape: tuple[int, ...]
    dtype: str  # as NumPy calls it
    quantization: Quantization | None  # of uint8 and int8
    data: memoryview | None  # the bytes of a constant, within the file's own

    def array(self) -> np.ndarray[Any, Any]:
        """The constant as it is stored, read-only.

        Raises:
            InvalidModel: it is no constant.
        """
        import numpy as np

        if self.data is None:
            raise InvalidModel(f"a {self.dtype} {list(self.shape)} that must be constant is not")
        return np.frombuffer(self.data, self.dtype).reshape(self.shape)

    def whole_numbers(self) -> list[int]:
        """A constant that says how, such as the axes of MEAN.

        Raises:
            InvalidModel: it is no constant, or of another type.
        """
        if self.dtype not in ("int32", "int64"):
            raise InvalidModel(f"a {self.dtype} {list(self.shape)} that must be int32 or int64 is not")
        return [int(number) for number in self.array().ravel()]


class Operator(NamedTuple):
    """One step. Tensors are given by their index; an input of -1 is left out."""

    name: str  # as the schema spells it: CONV_2D
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[str, Any]  # by the schema's names; empty for operators that have none or are not known here


class Graph(NamedTuple):
    """A model with one input and one output."""

    tensors: tuple[GraphTensor, ...]
    operators: tuple[Operator, ...]
    input: int
    output: int


def read(model: bytes) -> Graph:
    """Read a model. Needs the package `tflite`.

    Raises:
        InvalidModel: it is no whole TFLite model, or not one function with one input and one output.
    """
    if model[4:8] != b"TFL3":
        raise InvalidModel("not a TFLite model: it does not have TFL3 in its first 8 bytes")
    try:
        return _Reader(model).graph()
    except _DAMAGE as error:
        raise InvalidModel(f"the TFLite model is damaged: {type(error).__name__}: {_one_line(error)}") from None


class _Reader:
    """Follows the offsets of one file. Whatever is wrong with them raises one of `_DAMAGE`."""

    def __init__(self, model: bytes) -> None:
        import tflite

        self._schema: Any = tflite
        self._bytes = memoryview(model)
        self._model = tflite.Model.GetRootAsModel(model, 0)
        self._types = _names(tflite.TensorType)
        self._codes = _names(tflite.BuiltinOperator)

    def graph(self) -> Graph:
        if self._model.SubgraphsLength() != 1:
            raise ValueError(f"{self._model.SubgraphsLength()} graphs instead of one")
        graph = self._model.Subgraphs(0)
        tensors = tuple(
            self._tensor(graph.Tensors(i), i) for i in range(_bounded(graph.TensorsLength(), MOST_TENSORS, "tensors"))
        )
        self._check_sharing(sum(len(tensor.data or b"") for tensor in tensors))
        operators = tuple(
            self._operator(graph.Operators(i), len(tensors))
            for i in range(_bounded(graph.OperatorsLength(), MOST_OPERATORS, "operators"))
        )
        used = (tensors[i].data for operator in operators for i in operator.inputs if i >= 0)
        self._check_sharing(sum(len(data or b"") for data in used))
        ends = (graph.InputsLength(), graph.OutputsLength())
        if ends != (1, 1):
            raise ValueError(f"{ends[0]} inputs and {ends[1]} outputs; a classifier has one of each")
        (input_,) = _indices((graph.Inputs(0),), len(tensors))
        (output,) = _indices((graph.Outputs(0),), len(tensors))
        return Graph(tensors, operators, input_, output)

    def _check_sharing(self, constants: int) -> None:
        """Bound how much larger than the file its constants become when each is written out where it is used."""
        if constants > MOST_SHARING * len(self._bytes):
            raise ValueError(f"{constants} bytes of constants in a file of {len(self._bytes)}")

    def _tensor(self, tensor: Any, index: int) -> GraphTensor:
        dtype = self._types.get(tensor.Type(), f"type {tensor.Type()}").lower()
        rank = _bounded(tensor.ShapeLength(), MOST_DIMENSIONS, f"dimensions of tensor {index}")
        shape = tuple(int(tensor.Shape(i)) for i in range(rank))
        if min(shape, default=1) < 0 or math.prod(shape) > MOST_ELEMENTS:
            raise ValueError(f"tensor {index} has the shape {list(shape)}")
        if tensor.Sparsity() is not None:
            raise ValueError(f"tensor {index} is sparse, which no image classifier is")
        data = self._data(tensor.Buffer())
        if data is not None and len(data) != math.prod(shape) * ITEM_BYTES.get(dtype, 0):
            raise ValueError(f"tensor {index}, {dtype} {list(shape)}, has {len(data)} bytes")
        stored = tensor.Quantization() if dtype in STORED_RANGES else None
        if stored is None or stored.ScaleLength() == 0:
            return GraphTensor(shape, dtype, None, data)
        return GraphTensor(shape, dtype, _quantization(stored, index, shape, dtype), data)

    def _data(self, index: int) -> memoryview | None:
        """The bytes of a buffer, in the file's table or, with newer writers, behind it; None where there are none."""
        if not 0 <= index < self._model.BuffersLength():
            raise ValueError(f"buffer {index} of {self._model.BuffersLength()}")
        buffer = self._model.Buffers(index)
        if buffer.Offset() > 1:
            start, size = buffer.Offset(), buffer.Size()
            if start + size > len(self._bytes):
                raise ValueError(f"buffer {index} lies outside of the file")
            return self._bytes[start : start + size]
        return memoryview(buffer.DataAsNumpy()) if buffer.DataLength() else None

    def _operator(self, operator: Any, tensors: int) -> Operator:
        code = self._model.OperatorCodes(
            _bounded(operator.OpcodeIndex(), self._model.OperatorCodesLength() - 1, "code")
        )
        number = code.BuiltinCode()  # from the newer of two fields, or in old files the older: the package knows
        name = self._codes.get(number, f"operator code {number}")
        if name == "CUSTOM":
            name += f" {_printable(code.CustomCode() or b'')}"
        inputs = [operator.Inputs(i) for i in range(_bounded(operator.InputsLength(), MOST_ENDS, "inputs"))]
        outputs = [operator.Outputs(i) for i in range(_bounded(operator.OutputsLength(), MOST_ENDS, "outputs"))]
        return Operator(
            name,
            _indices(inputs, tensors, optional=True),
            _indices(outputs, tensors),
            self._options(operator, name),
        )

    def _options(self, operator: Any, name: str) -> dict[str, Any]:
        if name not in _OPTIONS:
            return {}
        table, fields = _OPTIONS[name]
        if operator.BuiltinOptionsType() != getattr(self._schema.BuiltinOptions, table):
            raise ValueError(f"{name} without {table}")
        stored, options = operator.BuiltinOptions(), getattr(self._schema, table)()
        options.Init(stored.Bytes, stored.Pos)
        return {field: getattr(options, field)() for field in fields}


def _quantization(stored: Any, index: int, shape: tuple[int, ...], dtype: str) -> Quantization:
    axis = int(stored.QuantizedDimension())
    lengths = (stored.ScaleLength(), stored.ZeroPointLength())
    if lengths != (1, 1) and (not 0 <= axis < len(shape) or lengths != (shape[axis], shape[axis])):
        raise ValueError(f"tensor {index} of shape {list(shape)} has {lengths[0]} scales, {lengths[1]} zero points")
    scales = tuple(float(scale) for scale in stored.ScaleAsNumpy())
    zero_points = tuple(int(zero_point) for zero_point in stored.ZeroPointAsNumpy())
    if not all(0 < scale < LARGEST_SCALE for scale in scales):
        raise ValueError(f"tensor {index} has a scale that is not above 0 and below {LARGEST_SCALE:g}")
    lowest, highest = STORED_RANGES[dtype]
    if not all(lowest <= zero_point <= highest for zero_point in zero_points):
        raise ValueError(f"tensor {index} has a zero point that is no {dtype}")
    return Quantization(scales, zero_points, axis)


def _names(numbers: Any) -> dict[int, str]:
    """What the numbers of one of the schema's enumerations are called."""
    return {number: name for name, number in vars(numbers).items() if isinstance(number, int)}


def _bounded(number: int, most: int, what: str) -> int:
    if not 0 <= number <= most:
        raise ValueError(f"{number} {what}; at most {most} can be")
    return number


def _indices(numbers: Any, tensors: int, *, optional: bool = False) -> tuple[int, ...]:
    indices = tuple(int(number) for number in numbers)
    for index in indices:
        if not (0 <= index < tensors or (optional and index == -1)):
            raise ValueError(f"tensor {index} of {tensors}")
    return indices


def _printable(name: bytes) -> str:
    return ascii(name[:MOST_CHARACTERS].decode("latin-1"))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
