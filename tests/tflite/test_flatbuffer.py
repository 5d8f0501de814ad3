"""What is written is what is read, by this reader and by Google's; and nothing is read outside of the file."""

from __future__ import annotations

import struct

import flatbuffers  # type: ignore[import-untyped]
import pytest
from ai_edge_litert import schema_py_generated as tfl

from birdlite.tflite.flatbuffer import Fields, Table, root, write

TENSOR: Fields = {
    "shape": (1, 2),
    "type": 9,
    "buffer": 1,
    "name": "Phalacrocorax ×",
    "quantization": {"scale": (0.5,), "zero_point": (1, -2, 1 << 40), "dimension": 3},
    "variable": True,
}
SOFTMAX: Fields = {"inputs": [0], "outputs": [], "options_type": 9, "options": {"Beta": 0.5}}
MODEL: Fields = {
    "version": 3,
    "operator_codes": [{"old_code": -3}, {}, {"code": -1}],
    "subgraphs": [{"tensors": [TENSOR], "inputs": (0,), "outputs": (0,), "operators": [SOFTMAX]}],
    "description": "mine",
    "buffers": [{}, {"data": bytes(range(40))}],
}


def read(fields: Fields) -> Table:
    return root(memoryview(write(fields)))


def everything(model: Table) -> dict[str, object]:
    """All values of `MODEL`, each read by its name."""
    codes = [model.element("operator_codes", at) for at in range(3)]
    graph = model.element("subgraphs", 0)
    tensor = graph.element("tensors", 0)
    quantization = tensor.get("quantization")
    options = graph.element("operators", 0).get("options")
    return {
        "description": bytes(model.get("description")),
        "codes": [(code.get("old_code"), code.get("code")) for code in codes],
        "data": bytes(model.element("buffers", 1).get("data")),
        "tensor": [tensor.get(name) for name in ("shape", "type", "buffer", "variable")],
        "name": bytes(tensor.get("name")).decode(),
        "quantization": [quantization.get(name) for name in ("scale", "zero_point", "dimension")],
        "inputs": graph.get("inputs"),
        "options": (options.kind, options.get("Beta")),
    }


def test_what_is_written_is_read() -> None:
    assert everything(read(MODEL)) == {
        "description": b"mine",
        "codes": [(-3, 0), (0, 0), (0, -1)],
        "data": bytes(range(40)),
        "tensor": [(1, 2), 9, 1, True],
        "name": "Phalacrocorax ×",
        "quantization": [(0.5,), (1, -2, 1 << 40), 3],
        "inputs": (0,),
        "options": ("SoftmaxOptions", 0.5),
    }


def test_what_is_left_out_has_its_default() -> None:
    for fields in ({}, {"version": 3, "signatures": []}):
        model = read(fields)
        assert (model.length("subgraphs"), model.has("buffers")) == (0, False)
        assert (model.get("metadata_buffers"), bytes(model.get("description"))) == ((), b"")
    tensor = read({"subgraphs": [{"tensors": [{}]}]}).element("subgraphs", 0).element("tensors", 0)
    assert (tensor.get("type"), tensor.get("quantization"), tensor.get("open_shape")) == (0, None, ())


def test_options_have_the_schemas_defaults_and_those_not_known_here_have_no_fields() -> None:
    graph = read({"subgraphs": [{"operators": [{"options_type": 1, "options": {"StrideW": 2}}]}]})
    options = graph.element("subgraphs", 0).element("operators", 0).get("options")
    assert [options.get(name) for name in ("StrideW", "StrideH", "DilationWFactor")] == [2, 0, 1]

    other = tfl.ModelT.InitFromObj(tfl.Model.GetRootAs(write(MODEL), 0))
    other.subgraphs[0].operators[0].builtinOptionsType = tfl.BuiltinOptions.GeluOptions
    other.subgraphs[0].operators[0].builtinOptions = tfl.GeluOptionsT()
    builder = flatbuffers.Builder(1024)
    builder.Finish(other.Pack(builder), b"TFL3")
    graph = root(memoryview(bytes(builder.Output()))).element("subgraphs", 0)
    assert graph.element("operators", 0).get("options").kind == "Other"


def test_numbers_and_data_are_aligned() -> None:
    written = write(MODEL)

    assert written[4:8] == b"TFL3"
    assert written.index(struct.pack("<3q", 1, -2, 1 << 40)) % 8 == 0
    assert written.index(bytes(range(40))) % 16 == 0
    assert len(written) % 16 == 0


def test_a_string_ends_with_a_zero_that_does_not_count() -> None:
    assert b"\4\0\0\0mine\0" in write(MODEL)


def test_googles_reader_reads_it() -> None:
    written = write(MODEL)

    assert tfl.Model.ModelBufferHasIdentifier(written, 0)
    model = tfl.ModelT.InitFromObj(tfl.Model.GetRootAs(written, 0))
    assert (model.version, model.description) == (3, b"mine")
    assert bytes(model.buffers[1].data) == bytes(range(40))
    (tensor,), (softmax,) = model.subgraphs[0].tensors, model.subgraphs[0].operators
    assert (tensor.shape.tolist(), tensor.type, tensor.buffer, tensor.isVariable) == ([1, 2], 9, 1, True)
    assert tensor.name.decode() == TENSOR["name"]
    assert tensor.quantization.zeroPoint.tolist() == [1, -2, 1 << 40]
    assert softmax.builtinOptions.beta == 0.5


def test_a_file_cut_off_anywhere_is_never_read_beyond_its_end() -> None:
    written = write(MODEL)
    for size in range(len(written) - 16):
        with pytest.raises((struct.error, ValueError)):  # noqa: PT012 - either step may find it
            model = root(memoryview(written[:size]))
            everything(model)


def test_a_table_that_says_it_begins_before_the_file_is_refused() -> None:
    written = bytearray(write({"version": 3}))
    (place,) = struct.unpack_from("<I", written)
    struct.pack_into("<i", written, place, place + 1)

    with pytest.raises(ValueError, match="begins before the file"):
        root(memoryview(written))
