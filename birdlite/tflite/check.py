"""Sees to it that a TensorFlow Lite file is whole, before an `Interpreter` has it. `interpreter` asks.

tflite-runtime crashes on a file that is cut off, and LiteRT's interpreter on one that lacks a part; LiteRT's C library
looks for itself. This follows every offset that they would follow, as far as into the options of the operations, and
reads no weights: one or two milliseconds for the birds. It is about files that were cut or overwritten, not about those
that somebody made on purpose to describe an impossible network: only a checksum helps against these.

A flatbuffer is made of tables and vectors. A table begins with the distance back to its vtable, which says how far
into the table each field lies; a field that is no number holds the distance forward to a vector or to another table.
Field numbers are from tensorflow/lite/schema/schema.fbs.
"""

from __future__ import annotations

import struct
from typing import TypeAlias

from birdlite.errors import InvalidModel

_IDENTIFIER = b"TFL3"

_Kind: TypeAlias = "str | list[str] | int"
"""What a field leads to: a table, a vector of tables, or a vector of elements of so many bytes (1 for a string)."""

_TABLES: dict[str, dict[int, _Kind]] = {
    "Model": {1: ["OperatorCode"], 2: ["SubGraph"], 3: 1, 4: ["Buffer"], 5: 4, 6: ["Metadata"], 7: ["SignatureDef"]},
    "OperatorCode": {1: 1},
    "SubGraph": {0: ["Tensor"], 1: 4, 2: 4, 3: ["Operator"], 4: 1},
    "Tensor": {0: 4, 3: 1, 4: "Quantization", 6: "Other", 7: 4},
    "Quantization": {0: 4, 1: 4, 2: 4, 3: 8, 5: "Other"},
    "Operator": {1: 4, 2: 4, 4: "Other", 5: 1, 7: 1, 8: 4},
    "Buffer": {0: 1},
    "Metadata": {0: 1},
    "SignatureDef": {0: ["TensorMap"], 1: ["TensorMap"], 2: 1},
    "TensorMap": {0: 1},
    "Other": {},
}
_PARTS = (1, 2, 4)  # of the model, which are taken for granted


def check_whole(model: memoryview) -> None:
    """Do nothing, if every offset in the file leads to a place in the file.

    Raises:
        InvalidModel: one does not, or the file is of another kind.
    """
    try:
        whole = model[4:8] == _IDENTIFIER and _Walk(model).all_tables()
    except (_Outside, struct.error):
        whole = False
    if not whole:
        raise InvalidModel("not a TensorFlow Lite model, or a damaged one")


class _Outside(Exception):
    """An offset leads out of the file."""


class _Walk:
    """The way through a file, each table once."""

    def __init__(self, model: memoryview) -> None:
        self._model = model
        self._seen: set[tuple[str, int]] = set()
        self._ahead: list[tuple[str, int]] = []

    def all_tables(self) -> bool:
        """Visit every table, beginning with the model, and tell whether the model has all its parts.

        Raises:
            _Outside: an offset leads out of the file.
            struct.error: a number lies there.
        """
        self._add("Model", self._follow(0))
        while self._ahead:
            kind, place = self._ahead.pop()
            fields = self._fields(place)
            if kind == "Model" and not all(number < len(fields) and fields[number] for number in _PARTS):
                return False
            for number, leads_to in _TABLES[kind].items():
                if number < len(fields) and fields[number]:
                    self._visit(leads_to, self._follow(place + fields[number]))
        return True

    def _visit(self, kind: _Kind, place: int) -> None:
        if isinstance(kind, str):
            self._add(kind, place)
            return
        (length,) = struct.unpack_from("<I", self._model, place)
        size = kind if isinstance(kind, int) else 4
        if length * size > len(self._model) - place - 4:
            raise _Outside
        if isinstance(kind, list):
            for element in range(place + 4, place + 4 + length * 4, 4):
                self._add(kind[0], self._follow(element))

    def _add(self, kind: str, place: int) -> None:
        if (kind, place) not in self._seen:
            self._seen.add((kind, place))
            self._ahead.append((kind, place))

    def _follow(self, place: int) -> int:
        """Where the distance at `place` leads."""
        return place + int(struct.unpack_from("<I", self._model, place)[0])

    def _fields(self, table: int) -> tuple[int, ...]:
        """How far into a table each of its fields lies, 0 for those that it has not."""
        vtable = table - struct.unpack_from("<i", self._model, table)[0]
        if vtable < 0:
            raise _Outside
        vtable_size, table_size = struct.unpack_from("<HH", self._model, vtable)
        if vtable_size < 4 or table + table_size > len(self._model):
            raise _Outside
        fields: tuple[int, ...] = struct.unpack_from(f"<{vtable_size // 2 - 2}H", self._model, vtable + 4)
        if any(field >= table_size for field in fields):
            raise _Outside
        return fields
