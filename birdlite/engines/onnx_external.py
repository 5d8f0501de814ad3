"""Finds ONNX models that keep weights in other files, before ONNX Runtime sees them. `onnx_engine` asks.

A tensor of an ONNX model may name a file, and a place in it, where its data is; ONNX Runtime would then read that file,
from the current folder if the model came as bytes. A model is checked against the sha256 of one file, so its weights
must be in that file. (There is even a name that stands for an address in memory.)

An ONNX model is a protobuf message, of which all but the weights themselves is walked through here: 2 to 4 ms for the
birds. Field numbers are from onnx/onnx.proto.
"""

from __future__ import annotations

from collections.abc import Iterator

from birdlite.errors import InvalidModel

_DATA_LOCATION, _DEFAULT = 14, 0  # a field of TensorProto, and what it says of data in the model itself

# The messages on the way from a model to its tensors: which of their fields hold which messages.
_INNER = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {
        5: "tensor",
        6: "graph",
        10: "tensor",
        11: "graph",
        22: "sparse tensor",
        23: "sparse tensor",
    },
    "sparse tensor": {1: "tensor", 2: "tensor"},
}
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5  # the wire types of protobuf
_FIXED_SIZES = {_FIXED64: 8, _FIXED32: 4}


def refuse(model: bytes) -> None:
    """Do nothing, if the model is complete in itself.

    Raises:
        InvalidModel: it keeps weights in other files, or it is damaged.
    """
    messages = [("model", memoryview(model))]
    while messages:
        kind, message = messages.pop()
        for number, value in _fields(message):
            if kind == "tensor":
                if number == _DATA_LOCATION and value != _DEFAULT:
                    raise InvalidModel(
                        "the model keeps weights in other files; only one that is a single file can be run"
                    )
            elif isinstance(value, memoryview) and number in _INNER[kind]:
                messages.append((_INNER[kind][number], value))


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of every field.

    Raises:
        InvalidModel: it is cut off, or no protobuf.
    """
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        wire = tag & 7
        if wire == _VARINT:
            value, place = _varint(message, place)
            yield tag >> 3, value
            continue
        if wire == _LENGTH:
            size, place = _varint(message, place)
        elif wire in _FIXED_SIZES:
            size = _FIXED_SIZES[wire]
        else:  # groups, which ONNX has none of
            raise _damaged()
        if size > len(message) - place:
            raise _damaged()
        yield tag >> 3, message[place : place + size]
        place += size


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """Read a number of up to 64 bits, seven in a byte, the lowest first; give it and the place after it."""
    number = 0
    for shift in range(0, 70, 7):
        if place >= len(message):
            break
        byte = message[place]
        place += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, place
    raise _damaged()


def _damaged() -> InvalidModel:
    return InvalidModel("not an ONNX model, or a damaged one")
