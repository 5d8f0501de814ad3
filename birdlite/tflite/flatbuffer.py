"""Flatbuffers, the form of `.tflite` files, checked, read and written with nothing but `struct`.

`graph` reads through `Table`, `writer` writes through `write`, and `engines.interpreter` calls `check_whole`.
Containers have neither the package flatbuffers nor NumPy, which it needs, and can make a model all the same.

A flatbuffer is made of tables and vectors. A table begins with the distance back to its vtable, which says how far into
the table each field lies. A field that is not a number holds the distance forward to a vector or to another table.
`schema.TABLES` says what each field is.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, TypeAlias

from birdlite.errors import InvalidModel
from birdlite.tflite import schema

_PARTS = ("operator_codes", "subgraphs", "buffers")  # of a model, that runtimes take for granted
_BYTES = "B"
_DATA_ALIGNMENT = 16  # that of a buffer's data in the schema of TFLite


class Table:
    """A table in an untrusted file. Whatever leads out of the file raises `struct.error` or ValueError."""

    def __init__(self, data: memoryview, place: int, kind: str) -> None:
        self._data = data
        self.place = place  # in the file
        self.kind = kind  # its name in `schema.TABLES`
        vtable = place - self._number(place, "i")
        if vtable < 0:
            raise ValueError("a table that begins before the file")
        vtable_size, size = struct.unpack_from("<HH", data, vtable)
        if vtable_size < 4 or place + size > len(data):
            raise ValueError("a table that ends behind the file")
        self._fields: tuple[int, ...] = struct.unpack_from(f"<{vtable_size // 2 - 2}H", data, vtable + 4)
        if max(self._fields, default=0) >= max(size, 1):
            raise ValueError("a field behind its table")

    def get(self, name: str) -> Any:
        """A field: a number, a tuple of them, bytes (not copied), or a table.

        One that is left out is the schema's default, nothing, or None for a table. A vector of tables has `element`.
        """
        field, place = schema.TABLES[self.kind][name], self._place_of(name)
        if field.vector:
            start, length = self.vector(name)
            if field.of == _BYTES:
                return self._data[start : start + length]
            return struct.unpack_from(f"<{length}{field.of}", self._data, start)
        if len(field.of) == 1:
            return field.default if place is None else self._number(place, field.of)
        if place is None:
            return None
        kind = field.of
        if kind == schema.OPTIONS:
            kind = schema.OPTIONS_KINDS.get(self.get("options_type"), schema.OTHER)
        return Table(self._data, self._follow(place), kind)

    def has(self, name: str) -> bool:
        """True if the field is there."""
        return self._place_of(name) is not None

    def length(self, name: str) -> int:
        """Of a vector; 0 if it is left out."""
        return self.vector(name)[1]

    def element(self, name: str, index: int) -> Table:
        """One of a vector of tables."""
        place = self.vector(name)[0] + 4 * index
        return Table(self._data, self._follow(place), schema.TABLES[self.kind][name].of)

    def vector(self, name: str) -> tuple[int, int]:
        """Where a vector begins, and how many elements it has. All of them lie in the file."""
        place = self._place_of(name)
        if place is None:
            return 0, 0
        vector, of = self._follow(place), schema.TABLES[self.kind][name].of
        length = self._number(vector, "I")
        if length * (struct.calcsize(f"<{of}") if len(of) == 1 else 4) > len(self._data) - vector - 4:
            raise ValueError("a vector that ends behind the file")
        return vector + 4, length

    def _place_of(self, name: str) -> int | None:
        number = schema.TABLES[self.kind][name].number
        if number >= len(self._fields) or not self._fields[number]:
            return None
        return self.place + self._fields[number]

    def _follow(self, place: int) -> int:
        return place + int(self._number(place, "I"))

    def _number(self, place: int, code: str) -> Any:
        return struct.unpack_from(f"<{code}", self._data, place)[0]


def root(data: memoryview) -> Table:
    """The model that a file begins with."""
    return Table(data, int.from_bytes(data[:4], "little"), "Model")


def check_whole(model: memoryview) -> None:
    """Check that a file is whole before a Python `Interpreter` gets it.

    tflite-runtime crashes on a file that is cut off, and LiteRT's interpreter on one that lacks a part. (LiteRT's C
    library checks by itself.) This follows every offset that they would follow, and reads no weights: a few
    milliseconds for the birds. It finds files that were cut or overwritten. It does not find those that were made on
    purpose to describe an impossible network: only a checksum helps against these.

    Raises:
        InvalidModel: one leads out of the file, or the file is of another kind.
    """
    try:
        whole = model[4:8] == schema.IDENTIFIER and _is_whole(root(model))
    except (struct.error, ValueError):
        whole = False
    if not whole:
        raise InvalidModel("not a TensorFlow Lite model, or a damaged one")


def _is_whole(model: Table) -> bool:
    """Visit every table once; True if the model has all its parts.

    Raises:
        ValueError, struct.error: an offset leads out of the file.
    """
    seen: set[tuple[str, int]] = set()
    ahead = [model]
    while ahead:
        table = ahead.pop()
        if (table.kind, table.place) in seen:
            continue
        seen.add((table.kind, table.place))
        for name, field in schema.TABLES[table.kind].items():
            if field.vector and len(field.of) > 1:
                ahead += [table.element(name, index) for index in range(table.length(name))]
            elif field.vector:
                table.vector(name)
            elif len(field.of) > 1 and (other := table.get(name)) is not None:
                ahead.append(other)
    return all(model.has(part) for part in _PARTS)


Fields: TypeAlias = Mapping[str, Any]
"""A table to write, by the names of its fields: numbers, sequences of them, bytes, strings, and tables again."""


def write(model: Fields) -> bytes:
    """The file. The same fields give the same bytes."""
    return _Writer().finish(model)


class _Writer:
    """Writes forward: a table, then what its fields lead to, so that every distance is known when it is filled in."""

    def __init__(self) -> None:
        self._out = bytearray(4) + schema.IDENTIFIER

    def finish(self, model: Fields) -> bytes:
        self._point(0, self._table("Model", model))
        self._align(16)
        return bytes(self._out)

    def _table(self, kind: str, values: Fields) -> int:
        fields = {name: schema.TABLES[kind][name] for name in values}
        numbers = {name: field for name, field in fields.items() if len(field.of) == 1 and not field.vector}
        sizes = {name: struct.calcsize(f"<{fields[name].of}") if name in numbers else 4 for name in fields}
        places: dict[int, int] = {}
        end = 4
        for name in sorted(fields, key=lambda name: -sizes[name]):  # large ones first need no gaps
            places[fields[name].number] = end
            end += sizes[name]
        count = max(places, default=-1) + 1
        vtable = struct.pack(f"<HH{count}H", 4 + 2 * count, end, *(places.get(number, 0) for number in range(count)))
        self._align(4, ahead=len(vtable))
        self._out += vtable
        start = len(self._out)
        self._out += struct.pack("<i", len(vtable)) + bytes(end - 4)
        for name, field in fields.items():
            place = start + places[field.number]
            if name in numbers:
                struct.pack_into(f"<{field.of}", self._out, place, values[name])
            elif field.vector:
                self._point(place, self._vector(field.of, values[name]))
            else:
                other = schema.OPTIONS_KINDS[values["options_type"]] if field.of == schema.OPTIONS else field.of
                self._point(place, self._table(other, values[name]))
        return start

    def _vector(self, of: str, values: Any) -> int:
        if len(of) > 1:
            start = self._elements(len(values), bytes(4 * len(values)), 4)
            for index, fields in enumerate(values):
                self._point(start + 4 + 4 * index, self._table(of, fields))
            return start
        if isinstance(values, str):
            text = values.encode()
            return self._elements(len(text), text + b"\0", 1)
        if of == _BYTES:
            return self._elements(len(values), values, _DATA_ALIGNMENT)
        return self._elements(len(values), struct.pack(f"<{len(values)}{of}", *values), struct.calcsize(f"<{of}"))

    def _elements(self, length: int, elements: bytes | memoryview, alignment: int) -> int:
        self._align(max(alignment, 4), ahead=4)
        start = len(self._out)
        self._out += struct.pack("<I", length)
        self._out += elements
        return start

    def _align(self, to: int, ahead: int = 0) -> None:
        """Fill up, so that what comes behind the next `ahead` bytes is aligned."""
        self._out += bytes(-(len(self._out) + ahead) % to)

    def _point(self, place: int, target: int) -> None:
        struct.pack_into("<I", self._out, place, target - place)
