"""What is written is what is read, by this reader and by Google's; and nothing is read outside of the file."""

from __future__ import annotations

import struct

import pytest
from ai_edge_litert import schema_py_generated as tfl

from birdlite.tflite.flatbuffer import Data, Fields, Number, Numbers, Table, root, write

TREE: Fields = {
    0: Number("b", -3),
    1: Number("I", 7),
    2: Numbers("q", (1, -2, 1 << 40)),
    3: "Phalacrocorax ×",
    5: [{0: Number("i", 1)}, {}, {0: Number("i", -1)}],
    7: {0: Number("f", 0.5), 1: Number("?", True)},
    8: Data(bytes(range(40))),
}


def read(fields: Fields) -> Table:
    return root(memoryview(write(fields, b"TEST")))


def test_what_is_written_is_read() -> None:
    table = read(TREE)

    assert (table.number(0, "b"), table.number(1, "I")) == (-3, 7)
    assert table.numbers(2, "q") == (1, -2, 1 << 40)
    assert bytes(table.bytes(3)).decode() == "Phalacrocorax ×"
    assert [table.element(5, i).number(0, "i", 9) for i in range(table.length(5))] == [1, 9, -1]
    inner = table.table(7)
    assert inner is not None
    assert (inner.number(0, "f"), inner.number(1, "?")) == (0.5, True)
    assert bytes(table.bytes(8)) == bytes(range(40))


def test_what_is_left_out_has_its_default() -> None:
    table = read(TREE)

    for field in (4, 6, 9, 100):
        assert (table.number(field, "i", 5), table.table(field), table.length(field)) == (5, None, 0)
        assert (table.numbers(field, "f"), bytes(table.bytes(field))) == ((), b"")


def test_numbers_and_data_are_aligned() -> None:
    written = write(TREE, b"TEST")

    assert written[4:8] == b"TEST"
    assert written.index(struct.pack("<3q", 1, -2, 1 << 40)) % 8 == 0
    assert written.index(bytes(range(40))) % 16 == 0
    assert len(written) % 16 == 0


def test_a_string_ends_with_a_zero_that_does_not_count() -> None:
    written = write({0: "Pica", 1: Numbers("i", (-1,))}, b"TEST")

    assert b"\4\0\0\0Pica\0" in written


def test_googles_reader_reads_it() -> None:
    tensor: Fields = {0: Numbers("i", (1, 2)), 1: Number("b", 9), 2: Number("I", 1), 3: "pixels"}
    graph: Fields = {0: [tensor], 1: Numbers("i", (0,)), 2: Numbers("i", (0,))}
    written = write({0: Number("I", 3), 2: [graph], 3: "mine", 4: [{}, {0: Data(b"ab")}]}, b"TFL3")

    assert tfl.Model.ModelBufferHasIdentifier(written, 0)
    model = tfl.ModelT.InitFromObj(tfl.Model.GetRootAs(written, 0))
    assert (model.version, model.description) == (3, b"mine")
    assert bytes(model.buffers[1].data) == b"ab"
    (tensor_read,) = model.subgraphs[0].tensors
    assert (tensor_read.shape.tolist(), tensor_read.type, tensor_read.buffer) == ([1, 2], 9, 1)
    assert tensor_read.name == b"pixels"


def test_a_file_cut_off_anywhere_is_never_read_beyond_its_end() -> None:
    written = write(TREE, b"TEST")
    refused = 0
    for size in range(len(written) - 16):
        try:
            table = root(memoryview(written[:size]))
            read_everything(table)
        except (struct.error, ValueError):
            refused += 1
    assert refused == len(written) - 16


def read_everything(table: Table) -> None:
    table.numbers(2, "q")
    for i in range(table.length(5)):
        table.element(5, i).number(0, "i")
    inner = table.table(7)
    assert inner is None or inner.number(0, "f") == 0.5
    table.bytes(3)
    assert len(table.bytes(8)) == 40


def test_a_table_that_says_it_begins_before_the_file_is_refused() -> None:
    written = bytearray(write({0: Number("i", 1)}, b"TEST"))
    (place,) = struct.unpack_from("<I", written)
    struct.pack_into("<i", written, place, place + 1)

    with pytest.raises(ValueError, match="begins before the file"):
        root(memoryview(written))
