"""TensorFlow's graphs, read and written without TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from birdlite.convert.saved_model import graph as graph_room
from birdlite.convert.saved_model.graph import (
    attribute,
    constant_node,
    constant_of,
    graph_def,
    graph_of,
    inputs_of,
    node,
    reading,
)
from birdlite.convert.saved_model.schema import message
from birdlite.errors import InvalidModel
from tests.tiny_graphs import INPUT, OUTPUT, graph, network


def graph_def_of(*nodes: Any) -> Any:
    return message("GraphDef")(node=nodes)


def test_a_node_comes_after_those_that_it_reads_and_strangers_are_left_out() -> None:
    whole = network()
    stranger = node("stranger", "Const", [])
    shuffled = graph_def_of(stranger, *reversed(whole.node))

    found = graph_of(shuffled, INPUT, OUTPUT)

    assert found.nodes.keys() == {node.name for node in whole.node}
    seen: set[str] = set()
    for name, made in found.nodes.items():
        assert set(inputs_of(made)) <= seen
        seen.add(name)


def test_a_graph_survives_being_written_and_read() -> None:
    before = graph()

    after = graph_of(message("GraphDef").FromString(graph_def(before)), INPUT, OUTPUT)

    assert list(after.nodes) == list(before.nodes)
    assert after.producer == before.producer != 0
    assert all(after.nodes[name] == before.nodes[name] for name in before.nodes)


def test_a_graph_may_begin_anywhere_and_what_is_before_is_left_out() -> None:
    whole = graph_def_of(node("images", "Placeholder", []), node("a", "Relu", ["images"]), node("b", "Relu", ["a"]))

    found = graph_of(whole, "a:0", "b:0")

    assert list(found.nodes) == ["a", "b"]
    written = message("GraphDef").FromString(graph_def(found))
    assert [(made.name, list(made.input)) for made in written.node] == [("a", []), ("b", ["a"])]


def test_fields_that_are_not_known_here_survive() -> None:
    known = node("a", "Const", []).SerializeToString()
    stranger = b"\x32\x05hello"  # field 6, which the schema here does not have

    assert message("NodeDef").FromString(known + stranger).SerializeToString().endswith(stranger)


@pytest.mark.parametrize(
    ("nodes", "complaint"),
    [
        ([node("images", "Placeholder", []), node("out", "Relu", ["absent"])], "reads a node 'absent'"),
        ([node("images", "Placeholder", []), node("out", "Const", [])], "does not depend on the input"),
        (
            [node("images", "Placeholder", []), node("out", "Add", ["images", "b"]), node("b", "Relu", ["out"])],
            "goes round in a circle",
        ),
        ([node("images", "Placeholder", []), node("out", "Relu", ["images:1"])], "only the first output"),
        ([node("images", "Placeholder", [])], "reads a node 'out'"),
    ],
)
def test_a_graph_that_makes_no_sense_is_refused(nodes: list[Any], complaint: str) -> None:
    with pytest.raises(InvalidModel, match=complaint):
        graph_of(graph_def_of(*nodes), "images:0", "out:0")


def test_a_graph_of_too_many_nodes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_room, "MAX_NODES", 3)

    with pytest.raises(InvalidModel, match="nodes, more than 3"):
        graph()


def test_control_dependencies_are_no_inputs() -> None:
    assert inputs_of(node("a", "Add", ["x", "^init", "y:0"])) == ["x", "y"]


def test_attributes_are_plain_values() -> None:
    made = node(
        "a", "Op", [], T="float32", shape=(-1, 2), padding="SAME", strides=[1, 2], flag=True, count=3, ratio=0.5
    )

    assert attribute(made, "T") == "float32"
    assert attribute(made, "shape") == (-1, 2)
    assert attribute(made, "padding") == "SAME"
    assert attribute(made, "strides") == [1, 2]
    assert (attribute(made, "flag"), attribute(made, "count"), attribute(made, "ratio")) == (True, 3, 0.5)
    assert attribute(made, "absent", 7) == 7
    assert made.attr["T"].type == 1  # DT_FLOAT, as TensorFlow wants it, and not its name


def test_attributes_may_be_lists_of_anything_or_hold_nothing() -> None:
    made = node("a", "Op", [], scalar=())
    made.attr["ratios"].list.f.extend([0.5, 2])
    made.attr["flags"].list.b.extend([True, False])
    made.attr["names"].list.s.extend([b"x", b"y"])
    made.attr["any"].shape.unknown_rank = True
    made.attr["nothing"].SetInParent()

    assert (attribute(made, "ratios"), attribute(made, "flags")) == ([0.5, 2.0], [True, False])
    assert attribute(made, "names") == ["x", "y"]
    assert (attribute(made, "scalar", 7), attribute(made, "any", 7)) == ((), None)
    assert attribute(made, "nothing", 7) == 7


def test_a_node_that_reads_others_is_a_copy() -> None:
    original = node("a", "Add", ["x", "y"], T="float32")

    copy = reading(original, ["x", "z"])

    assert inputs_of(original) == ["x", "y"]
    assert (inputs_of(copy), copy.op, attribute(copy, "T")) == (["x", "z"], "Add", "float32")


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.array(2.5, np.float32),
        np.array([1, -1], np.int64),
        np.zeros((0, 3), np.float32),
        np.array([True, False]),
        np.array([1, 2], np.float16),
        np.array(0.5, np.float16),
    ],
)
def test_a_constant_survives_being_written_and_read(array: Any) -> None:
    found = constant_of(constant_node("c", array))

    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    assert np.array_equal(found, array)


def tensor(dtype: int, shape: list[int], **fields: Any) -> Any:
    made = node("c", "Const", [])
    proto = made.attr["value"].tensor
    proto.dtype = dtype
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    for field, value in fields.items():
        if isinstance(value, list):
            getattr(proto, field).extend(value)
        else:
            setattr(proto, field, value)
    return made


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (tensor(1, [3], float_val=[1.5, 2.5]), [1.5, 2.5, 2.5]),
        (tensor(1, [2], float_val=[4.0]), [4.0, 4.0]),
        (tensor(1, [2]), [0.0, 0.0]),
        (tensor(3, [2], int_val=[-1, 7]), [-1, 7]),
        (tensor(9, [], int64_val=[9]), 9),
        (tensor(4, [2], int_val=[255]), [255, 255]),
        (tensor(6, [], int_val=[-128]), -128),
        (tensor(10, [2], bool_val=[True]), [True, True]),
        (tensor(19, [2], half_val=[0x3800, 0xC000]), [0.5, -2.0]),
        (tensor(2, [], double_val=[0.1]), 0.1),
    ],
)
def test_a_constant_of_values_repeats_the_last_one(made: Any, expected: Any) -> None:
    assert constant_of(made).tolist() == expected


@pytest.mark.parametrize(
    ("made", "complaint"),
    [
        (tensor(1, [2], tensor_content=b"1234"), "has 4 bytes for the shape"),
        (tensor(1, [1], float_val=[1.0, 2.0]), "has 2 values for the shape"),
        (tensor(7, [1]), "is of type 7"),
        (tensor(1, [-1]), "is of type 1 and shape"),
        (tensor(4, [1], int_val=[256]), "a value that is no uint8"),
        (tensor(6, [2], int_val=[0, -129]), "a value that is no int8"),
        (tensor(1, [1] * 33), "has 33 dimensions"),
        (tensor(1, [0, 1 << 62, 1 << 62]), "more than 1024 MiB"),
        (tensor(1, [1 << 40]), "more than 1024 MiB"),
    ],
)
def test_a_constant_that_makes_no_sense_is_refused(made: Any, complaint: str) -> None:
    with pytest.raises(InvalidModel, match=complaint):
        constant_of(made)


def test_a_constant_takes_the_bytes_of_its_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_room, "MAX_CONSTANT_BYTES", 8)

    assert constant_of(tensor(1, [2])).nbytes == 8
    with pytest.raises(InvalidModel, match=r"has the shape \(3,\): more than"):
        constant_of(tensor(1, [3]))
