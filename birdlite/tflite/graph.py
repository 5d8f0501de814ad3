"""A `.tflite` file as plain values: its tensors, constants, scales and operators, in the order in which they run.

`requantize` and `convert.tflite_to_onnx` read their source through this. The file is not trusted: everything that is
read is bounded here, and whatever contradicts itself is an `InvalidModel`.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

from birdlite import log
from birdlite.errors import InvalidModel, one_line
from birdlite.tflite import schema
from birdlite.tflite.flatbuffer import Table, root
from birdlite.tflite.schema import ELSEWHERE, SIGN, Grid

# The official model has 175 tensors and 65 operators; a network ten times as deep is still far below.
MOST_TENSORS = 16_384
MOST_OPERATORS = 8_192
MOST_ENDS = 16  # inputs or outputs of one operator
MOST_DIMENSIONS = 8
MOST_ELEMENTS = 1 << 28  # of one tensor; the largest of the official model has 1.2 million
MOST_CHARACTERS = 60  # of a custom operator's name, in a message
MOST_NAME = 200  # bytes of a tensor's name, which only people read
LARGEST_SCALE = 1e12  # products of two scales and 32 bits stay far inside a 32-bit float

# Constants may be shared. A small file in which thousands of operators share one large constant is a bomb.
MOST_SHARING = 4

ITEM_BYTES = {"float32": 4, "int32": 4, "uint8": 1, "int8": 1, "int64": 8, "float16": 2, "bool": 1}
STORED_RANGES = {"uint8": (0, 255), "int8": (-128, 127)}

# What `flatbuffer` raises when an offset, a length or a string of the file is wrong.
_DAMAGE = (struct.error, IndexError, TypeError, ValueError, AttributeError, OverflowError)

# Operators whose options say nothing that matters here: shapes and inputs say it.
_WITHOUT_OPTIONS = {"RESHAPE", "PAD", "MEAN", "DEQUANTIZE", "QUANTIZE"}


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
    name: str = ""

    def constant(self) -> memoryview:
        """The bytes of the constant.

        Raises:
            InvalidModel: it is no constant.
        """
        if self.data is None:
            raise InvalidModel(f"a {self.dtype} {list(self.shape)} that must be constant is not")
        return self.data

    def whole_numbers(self) -> list[int]:
        """A constant that says how, such as the axes of MEAN.

        Raises:
            InvalidModel: it is no constant, or of another type.
        """
        if self.dtype not in ("int32", "int64"):
            raise InvalidModel(f"a {self.dtype} {list(self.shape)} that must be int32 or int64 is not")
        count, code = math.prod(self.shape), "i" if self.dtype == "int32" else "q"
        return [*struct.unpack(f"<{count}{code}", self.constant())]

    def grid(self) -> Grid | None:
        """The grid of an activation, an int8 moved to uint8; None for a tensor of floats.

        Raises:
            InvalidModel: it is stored in some other way.
        """
        if self.dtype == "float32":
            return None
        if self.quantization is None or len(self.quantization.scales) != 1:
            raise InvalidModel(f"{self.dtype} {list(self.shape)} without one scale cannot be converted{ELSEWHERE}")
        return Grid(self.quantization.scales[0], self.quantization.zero_points[0] + SIGN * (self.dtype == "int8"))


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
    """Read a model.

    Raises:
        InvalidModel: it is no whole TFLite model, or not one function with one input and one output.
    """
    if model[4:8] != schema.IDENTIFIER:
        raise InvalidModel("not a TFLite model: it does not have TFL3 in its first 8 bytes")
    try:
        return _Reader(model).graph()
    except _DAMAGE as error:
        raise InvalidModel(f"the TFLite model is damaged: {type(error).__name__}: {one_line(error)}") from None


Made = TypeVar("Made")


class Walk(Generic[Made]):
    """Goes through a graph's operators, for converters. A converter is a subclass with a method for each operator."""

    def __init__(self, source: Graph, operators: Mapping[str, Callable[[Any, Operator], Made]], unknown: str) -> None:
        """`operators` are the methods by name; they give what stands for the operator's output in the result."""
        self._source = source
        self._methods = operators
        self._unknown = unknown  # what to say of any other operator
        self._values: dict[int, Made] = {}  # what stands for a tensor of the source, by its index
        self._place = ""  # of the current operator, for names

    def _run_operators(self) -> None:
        for number, operator in enumerate(self._source.operators):
            self._place = f"{number}_{operator.name.lower()}"
            try:
                self._run(operator)
            except InvalidModel as error:
                raise InvalidModel(f"operator {number}, {operator.name}: {error}") from None

    def _run(self, operator: Operator) -> None:
        method = self._methods.get(operator.name)
        if method is None:
            raise InvalidModel(self._unknown)
        if len(operator.outputs) != 1:
            raise InvalidModel(f"{len(operator.outputs)} outputs")
        (output,) = operator.outputs
        if output in self._values or self._source.tensors[output].data is not None:
            raise InvalidModel(f"its output, tensor {output}, has a value already")
        self._values[output] = method(self, operator)

    def _input(self, operator: Operator, number: int = 0) -> int:
        """The index of an input that must be there."""
        if number >= len(operator.inputs) or operator.inputs[number] < 0:
            raise InvalidModel(f"input {number} is missing")
        return operator.inputs[number]

    def _value(self, index: int) -> Made:
        """What stands for a tensor."""
        if index not in self._values:
            raise InvalidModel(f"reads tensor {index}, which no operator before it makes")
        return self._values[index]


class _Reader:
    """Follows the offsets of one file. Whatever is wrong with them raises one of `_DAMAGE`."""

    def __init__(self, model: bytes) -> None:
        self._bytes = memoryview(model)
        self._model = root(self._bytes)

    def graph(self) -> Graph:
        subgraphs = self._model.length("subgraphs")
        if subgraphs != 1:
            raise ValueError(f"{subgraphs} graphs instead of one")
        graph = self._model.element("subgraphs", 0)
        count = _bounded(graph.length("tensors"), MOST_TENSORS, "tensors")
        tensors = tuple(self._tensor(graph.element("tensors", i), i) for i in range(count))
        self._check_sharing(sum(len(tensor.data or b"") for tensor in tensors))
        steps = _bounded(graph.length("operators"), MOST_OPERATORS, "operators")
        operators = tuple(self._operator(graph.element("operators", i), count) for i in range(steps))
        used = (tensors[i].data for operator in operators for i in operator.inputs if i >= 0)
        self._check_sharing(sum(len(data or b"") for data in used))
        ends = (graph.length("inputs"), graph.length("outputs"))
        if ends != (1, 1):
            has = f"{log.counted(ends[0], 'input')} and {log.counted(ends[1], 'output')}"
            raise ValueError(f"{has}; a classifier has one of each")
        (input_,), (output,) = (_indices(graph.get(end), count) for end in ("inputs", "outputs"))
        return Graph(tensors, operators, input_, output)

    def _check_sharing(self, constants: int) -> None:
        """Bound how much larger than the file its constants become when each is written out where it is used."""
        if constants > MOST_SHARING * len(self._bytes):
            raise ValueError(f"{constants} bytes of constants in a file of {len(self._bytes)}")

    def _tensor(self, tensor: Table, index: int) -> GraphTensor:
        number = tensor.get("type")
        dtype = schema.TENSOR_TYPES[number] if 0 <= number < len(schema.TENSOR_TYPES) else f"type {number}"
        _bounded(tensor.length("shape"), MOST_DIMENSIONS, f"dimensions of tensor {index}")
        shape = tensor.get("shape")
        if min(shape, default=1) < 0 or math.prod(shape) > MOST_ELEMENTS:
            raise ValueError(f"tensor {index} has the shape {list(shape)}")
        if tensor.has("sparsity"):
            raise ValueError(f"tensor {index} is sparse, which no image classifier is")
        data = self._data(tensor.get("buffer"))
        if data is not None and len(data) != math.prod(shape) * ITEM_BYTES.get(dtype, 0):
            raise ValueError(f"tensor {index}, {dtype} {list(shape)}, has {len(data)} bytes")
        quantization, stored = None, tensor.get("quantization") if dtype in STORED_RANGES else None
        if stored is not None and stored.length("scale"):
            quantization = _quantization(stored, index, shape, dtype)
        name = bytes(tensor.get("name")[:MOST_NAME]).decode("utf-8", "replace")
        return GraphTensor(shape, dtype, quantization, data, name)

    def _data(self, index: int) -> memoryview | None:
        """The bytes of a buffer, in the file's table or, with newer writers, behind it; None where there are none."""
        count = self._model.length("buffers")
        if not 0 <= index < count:
            raise ValueError(f"buffer {index} of {count}")
        buffer = self._model.element("buffers", index)
        start, size = buffer.get("offset"), buffer.get("size")
        if start > 1:
            if start + size > len(self._bytes):
                raise ValueError(f"buffer {index} lies outside of the file")
            return self._bytes[start : start + size]
        return buffer.get("data") or None

    def _operator(self, operator: Table, tensors: int) -> Operator:
        index = _bounded(operator.get("code_index"), self._model.length("operator_codes") - 1, "code")
        code = self._model.element("operator_codes", index)
        # In old files the number is in the older of two fields, in new ones in both, where it fits.
        number = max(code.get("old_code"), code.get("code"))
        name = schema.OPERATORS[number] if 0 <= number < len(schema.OPERATORS) else f"operator code {number}"
        if name == "CUSTOM":
            name += f" {_printable(bytes(code.get('custom_code')[:MOST_CHARACTERS]))}"
        _bounded(operator.length("inputs"), MOST_ENDS, "inputs")
        _bounded(operator.length("outputs"), MOST_ENDS, "outputs")
        return Operator(
            name,
            _indices(operator.get("inputs"), tensors, optional=True),
            _indices(operator.get("outputs"), tensors),
            self._options(operator, name),
        )

    def _options(self, operator: Table, name: str) -> dict[str, Any]:
        if name not in schema.OPTIONS_OF or name in _WITHOUT_OPTIONS:
            return {}
        kind, options = schema.OPTIONS_KINDS[schema.OPTIONS_OF[name]], operator.get("options")
        if options is None or options.kind != kind:
            raise ValueError(f"{name} without {kind}")
        return {field: options.get(field) for field in schema.TABLES[kind]}


def _quantization(stored: Table, index: int, shape: tuple[int, ...], dtype: str) -> Quantization:
    axis = stored.get("dimension")
    lengths = (stored.length("scale"), stored.length("zero_point"))
    if lengths != (1, 1) and (not 0 <= axis < len(shape) or lengths != (shape[axis], shape[axis])):
        raise ValueError(f"tensor {index} of shape {list(shape)} has {lengths[0]} scales, {lengths[1]} zero points")
    scales, zero_points = stored.get("scale"), stored.get("zero_point")
    if not all(0 < scale < LARGEST_SCALE for scale in scales):
        raise ValueError(f"tensor {index} has a scale that is not above 0 and below {LARGEST_SCALE:g}")
    lowest, highest = STORED_RANGES[dtype]
    if not all(lowest <= zero_point <= highest for zero_point in zero_points):
        raise ValueError(f"tensor {index} has a zero point that is no {dtype}")
    return Quantization(scales, zero_points, axis)


def _bounded(number: int, most: int, what: str) -> int:
    if not 0 <= number <= most:
        raise ValueError(f"{number} {what}; at most {most} can be")
    return number


def _indices(numbers: tuple[int, ...], tensors: int, *, optional: bool = False) -> tuple[int, ...]:
    for index in numbers:
        if not (0 <= index < tensors or (optional and index == -1)):
            raise ValueError(f"tensor {index} of {tensors}")
    return numbers


def _printable(name: bytes) -> str:
    return ascii(name.decode("latin-1"))
