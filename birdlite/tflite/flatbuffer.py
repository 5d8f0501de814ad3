"""Flatbuffers, the form of `.tflite` files, checked, read and written with nothing but `struct`.

`graph` reads through `Table`, `writer` writes through `write`, and `engines.interpreter` calls `check_whole`.
Containers have neither the package flatbuffers nor NumPy, which it needs, and can make a model all the same.

A flatbuffer is made of tables and vectors. A table begins with the distance back to its vtable, which says how far into
the table each field lies. A field that is not a number holds the distance forward to a vector or to another table. The
format's schema says what each field is. Here the caller does, by field numbers and by `struct` codes for numbers.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, Union

from birdlite.errors import InvalidModel
from birdlite.tflite import schema

_PARTS = (schema.Model.OPERATOR_CODES, schema.Model.SUBGRAPHS, schema.Model.BUFFERS)  # that runtimes take for granted


class Table:
    """A table in an untrusted file. Whatever leads out of the file raises `struct.error` or ValueError."""

    def __init__(self, data: memoryview, place: int) -> None:
        self._data = data
        self.place = place  # in the file
        vtable = place - self._number(place, "i")
        if vtable < 0:
            raise ValueError("a table that begins before the file")
        vtable_size, size = struct.unpack_from("<HH", data, vtable)
        if vtable_size < 4 or place + size > len(data):
            raise ValueError("a table that ends behind the file")
        self._fields: tuple[int, ...] = struct.unpack_from(f"<{vtable_size // 2 - 2}H", data, vtable + 4)
        if max(self._fields, default=0) >= max(size, 1):
            raise ValueError("a field behind its table")

    def number(self, field: int, code: str, default: float = 0) -> Any:
        """A number, or the schema's default for one that is left out."""
        place = self._field(field)
        return default if place is None else self._number(place, code)

    def table(self, field: int) -> Table | None:
        """Another table, None if it is left out."""
        place = self._field(field)
        return None if place is None else Table(self._data, self._follow(place))

    def has(self, field: int) -> bool:
        """True if the field is there."""
        return self._field(field) is not None

    def length(self, field: int) -> int:
        """Of a vector; 0 if it is left out."""
        place = self._field(field)
        return 0 if place is None else int(self._number(self._follow(place), "I"))

    def element(self, field: int, index: int) -> Table:
        """One of a vector of tables."""
        start = self.vector(field, 4)[0]
        return Table(self._data, self._follow(start + 4 * index))

    def elements(self, field: int) -> Iterator[Table]:
        """All of a vector of tables; nothing if it is left out."""
        start, length = self.vector(field, 4)
        for place in range(start, start + 4 * length, 4):
            yield Table(self._data, self._follow(place))

    def numbers(self, field: int, code: str) -> tuple[Any, ...]:
        """A vector of numbers; nothing if it is left out."""
        start, length = self.vector(field, struct.calcsize(f"<{code}"))
        return struct.unpack_from(f"<{length}{code}", self._data, start)

    def bytes(self, field: int) -> memoryview:
        """A vector of bytes, or a string; not copied."""
        start, length = self.vector(field, 1)
        return self._data[start : start + length]

    def vector(self, field: int, size: int) -> tuple[int, int]:
        """Where a vector of elements of `size` bytes begins, and how many there are. All of them lie in the file."""
        place = self._field(field)
        if place is None:
            return 0, 0
        vector = self._follow(place)
        length = self._number(vector, "I")
        if length * size > len(self._data) - vector - 4:
            raise ValueError("a vector that ends behind the file")
        return vector + 4, length

    def _field(self, number: int) -> int | None:
        if number >= len(self._fields) or not self._fields[number]:
            return None
        return self.place + self._fields[number]

    def _follow(self, place: int) -> int:
        return place + int(self._number(place, "I"))

    def _number(self, place: int, code: str) -> Any:
        return struct.unpack_from(f"<{code}", self._data, place)[0]


def root(data: memoryview) -> Table:
    """The table that a file begins with."""
    return Table(data, int.from_bytes(data[:4], "little"))


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
    ahead = [("model", model)]
    while ahead:
        kind, table = ahead.pop()
        if (kind, table.place) in seen:
            continue
        seen.add((kind, table.place))
        for field, leads_to in schema.LEADS_TO[kind].items():
            if isinstance(leads_to, int):
                table.vector(field, leads_to)
            elif isinstance(leads_to, list):
                ahead += [(leads_to[0], element) for element in table.elements(field)]
            elif (other := table.table(field)) is not None:
                ahead.append((leads_to, other))
    return all(model.has(part) for part in _PARTS)


class Number(NamedTuple):
    """A field that is a number, of one byte or four."""

    code: str  # of `struct`
    value: float


class Numbers(NamedTuple):
    """A field that is a vector of numbers."""

    code: str
    values: Sequence[float]


class Data(NamedTuple):
    """A field that is a vector of bytes, whose beginning is aligned as the schema wants it."""

    values: bytes | memoryview
    alignment: int = 16  # that of `Buffer.data` in the schema of TFLite


Field: TypeAlias = Union[Number, Numbers, Data, str, "Fields", "list[Fields]"]
Fields: TypeAlias = "Mapping[int, Field]"
"""A table to write, by the numbers of its fields."""


def write(fields: Fields, identifier: bytes) -> bytes:
    """The file whose root is that table. The same fields give the same bytes."""
    return _Writer(identifier).finish(fields)


class _Writer:
    """Writes forward: a table, then what its fields lead to, so that every distance is known when it is filled in."""

    def __init__(self, identifier: bytes) -> None:
        self._out = bytearray(4) + identifier

    def finish(self, fields: Fields) -> bytes:
        self._point(0, self._table(fields))
        self._align(16)
        return bytes(self._out)

    def _table(self, fields: Fields) -> int:
        numbers = {number: field for number, field in fields.items() if isinstance(field, Number)}
        sizes = {number: struct.calcsize(f"<{numbers[number].code}") if number in numbers else 4 for number in fields}
        places: dict[int, int] = {}
        end = 4
        for number in sorted(fields, key=lambda number: -sizes[number]):  # large ones first need no gaps
            places[number] = end
            end += sizes[number]
        count = max(fields, default=-1) + 1
        vtable = struct.pack(f"<HH{count}H", 4 + 2 * count, end, *(places.get(number, 0) for number in range(count)))
        self._align(4, ahead=len(vtable))
        self._out += vtable
        start = len(self._out)
        self._out += struct.pack("<i", len(vtable)) + bytes(end - 4)
        for number, field in numbers.items():
            struct.pack_into(f"<{field.code}", self._out, start + places[number], field.value)
        for number, other in fields.items():
            if not isinstance(other, Number):
                self._point(start + places[number], self._place_of(other))
        return start

    def _place_of(self, field: Numbers | Data | str | Fields | list[Fields]) -> int:
        if isinstance(field, str):
            text = field.encode()
            return self._vector(len(text), text + b"\0", 1)
        if isinstance(field, Numbers):
            stored = struct.pack(f"<{len(field.values)}{field.code}", *field.values)
            return self._vector(len(field.values), stored, struct.calcsize(f"<{field.code}"))
        if isinstance(field, Data):
            return self._vector(len(field.values), field.values, field.alignment)
        if isinstance(field, list):
            start = self._vector(len(field), bytes(4 * len(field)), 4)
            for index, fields in enumerate(field):
                self._point(start + 4 + 4 * index, self._table(fields))
            return start
        return self._table(field)

    def _vector(self, length: int, elements: bytes | memoryview, alignment: int) -> int:
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
