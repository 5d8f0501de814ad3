"""A TensorFlow graph: its nodes in the order of computation, and what is written in them.

The nodes are NodeDef messages of `schema`; everything else in this folder gets at them through here. A graph is one
function from pictures to scores: nodes that its output does not depend on are left out when it is read.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from birdlite.convert.saved_model.schema import message
from birdlite.errors import InvalidModel

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

# TensorFlow's DataType (types.proto), as far as constants and casts of classifiers have them.
DTYPES = {1: "float32", 2: "float64", 3: "int32", 4: "uint8", 6: "int8", 9: "int64", 10: "bool", 19: "float16"}
_NUMBERS = {name: number for number, name in DTYPES.items()}
_VALUES = {1: "float_val", 2: "double_val", 3: "int_val", 4: "int_val", 6: "int_val", 9: "int64_val", 10: "bool_val"}

MAX_NODES = 100_000
"""Nodes in a graph that is read: 50 times a large classifier."""

MAX_CONSTANT_BYTES = 1 << 30
"""Of one constant, which may state a large shape and repeat one value for all of it."""


class Graph(NamedTuple):
    """A function from one tensor to one."""

    nodes: dict[str, Any]  # NodeDef by name; each after those that it reads
    input: str  # the name of a Placeholder
    output: str  # the name of a node, whose first output it is
    producer: int  # the version of TensorFlow's graphs that it was written for


def graph_of(whole: Any, input_: str, output: str) -> Graph:
    """Make a graph of the nodes of a GraphDef between two tensors, each given by its name, such as `images:0`.

    Raises:
        InvalidModel: they are not connected, a node is missing, or the nodes go round in a circle.
    """
    if len(whole.node) > MAX_NODES:
        raise InvalidModel(f"the graph has {len(whole.node):,} nodes, more than {MAX_NODES:,}")
    known = {node.name: node for node in whole.node}
    start, end = _first_output(input_), _first_output(output)
    ordered = _in_order(known, start, end)
    if start not in ordered:
        raise InvalidModel(f"the output {output} does not depend on the input {input_}")
    return Graph(ordered, start, end, whole.versions.producer)


def _first_output(tensor: str) -> str:
    name, _, index = tensor.partition(":")
    if index not in ("", "0"):
        raise InvalidModel(f"{tensor}: only the first output of a node can be read")
    return name


def _in_order(known: dict[str, Any], start: str, end: str) -> dict[str, Any]:
    """The nodes that `end` depends on, each after those that it reads; the one at the start reads nothing."""
    ordered: dict[str, Any] = {}
    under_way: set[str] = set()
    stack = [end]
    while stack:
        name = stack[-1]
        if name in ordered:
            stack.pop()
            continue
        if name not in known:
            raise InvalidModel(f"the graph reads a node {name!r}, which it does not have")
        under_way.add(name)
        waits = [] if name == start else [read for read in inputs_of(known[name]) if read not in ordered]
        if not waits:
            ordered[name] = known[name]
            stack.pop()
        elif any(read in under_way for read in waits):
            raise InvalidModel(f"the graph goes round in a circle at {name!r}")
        else:
            stack.extend(waits)
    return ordered


def inputs_of(node: Any) -> list[str]:
    """The names of the nodes whose first output a node reads, in its order; control dependencies are left out.

    Raises:
        InvalidModel: it reads another output than the first.
    """
    return [_first_output(text) for text in node.input if not text.startswith("^")]


def attribute(node: Any, name: str, default: Any = None) -> Any:
    """The value of an attribute: a str, int, float, bool, list of them, the name of a dtype, or a shape (None: any).

    `default` if the node has none of that name.
    """
    if name not in node.attr:
        return default
    value = node.attr[name]
    kind = value.WhichOneof("value")
    if kind is None:
        return default
    if kind == "list":
        items = value.list
        return [*items.i] or [*items.f] or [*items.b] or [text.decode("utf-8", "replace") for text in items.s]
    found = getattr(value, kind)
    if kind == "s":
        return found.decode("utf-8", "replace")
    if kind == "type":
        return DTYPES.get(found, f"type {found}")
    if kind == "shape":
        return shape_of(found)
    return found


def shape_of(shape: Any) -> tuple[int, ...] | None:
    """A TensorShape as a tuple, -1 where any size goes; None if even the rank is open."""
    return None if shape.unknown_rank else tuple(dim.size for dim in shape.dim)


def constant_of(node: Any) -> Array:
    """The array of a Const node, not to be written to.

    Raises:
        InvalidModel: its bytes do not make the shape that it states, or its dtype is none that is known here.
    """
    import numpy as np

    tensor = node.attr["value"].tensor
    shape = shape_of(tensor.tensor_shape)
    dtype = DTYPES.get(tensor.dtype)
    if dtype is None or shape is None or min(shape, default=0) < 0:
        raise InvalidModel(f"the constant {node.name} is of type {tensor.dtype} and shape {shape}")
    count = math.prod(shape)
    if count * np.dtype(dtype).itemsize > MAX_CONSTANT_BYTES:
        raise InvalidModel(f"the constant {node.name} has the shape {shape}: more than {MAX_CONSTANT_BYTES >> 20} MiB")
    if tensor.tensor_content:
        flat = np.frombuffer(tensor.tensor_content, np.uint8)
        if flat.nbytes != count * np.dtype(dtype).itemsize:
            raise InvalidModel(f"the constant {node.name} has {flat.nbytes} bytes for the shape {shape}")
        return flat.view(dtype).reshape(shape)
    values = getattr(tensor, _VALUES[tensor.dtype]) if tensor.dtype in _VALUES else []
    if len(values) > count:
        raise InvalidModel(f"the constant {node.name} has {len(values)} values for the shape {shape}")
    # The last value stands for all that follow; without any, all are zero.
    array = np.full(count, values[-1] if values else 0, dtype)
    array[: len(values)] = values
    return array.reshape(shape)


def constant_node(name: str, array: Array) -> Any:
    """A Const node that holds `array`."""
    import numpy as np

    made = node(name, "Const", [], dtype=array.dtype.name)
    tensor = made.attr["value"].tensor
    tensor.dtype = _NUMBERS[array.dtype.name]
    for size in array.shape:
        tensor.tensor_shape.dim.add(size=size)
    tensor.tensor_content = np.ascontiguousarray(array).tobytes()
    return made


def node(name: str, op: str, inputs: list[str], **attributes: Any) -> Any:
    """A new node. Attributes: the name of a dtype, a shape (tuple), bool, int, float, or a list of whole numbers."""
    made = message("NodeDef")(name=name, op=op, input=inputs)
    for key, value in attributes.items():
        field = made.attr[key]
        if isinstance(value, str):
            if value in _NUMBERS:
                field.type = _NUMBERS[value]
            else:
                field.s = value.encode()
        elif isinstance(value, tuple):
            field.shape.SetInParent()
            for size in value:
                field.shape.dim.add(size=size)
        elif isinstance(value, list):
            field.list.i.extend(value)
        else:
            setattr(field, {bool: "b", int: "i", float: "f"}[type(value)], value)
    return made


def reading(original: Any, inputs: list[str]) -> Any:
    """A copy of a node that reads other nodes."""
    copy = type(original)()
    copy.CopyFrom(original)
    del copy.input[:]
    copy.input.extend(inputs)
    return copy


def graph_def(graph: Graph) -> bytes:
    """The graph as TensorFlow reads it, a GraphDef.

    Control dependencies are left out: nothing in a classifier has a side effect that a result would wait for.
    """
    whole = message("GraphDef")()
    whole.versions.producer = graph.producer
    for name, made in graph.nodes.items():
        whole.node.append(reading(made, [] if name == graph.input else inputs_of(made)))
    return bytes(whole.SerializeToString())
