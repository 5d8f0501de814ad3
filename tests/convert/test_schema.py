"""TensorFlow's schema as it is known here: what TensorFlow writes is read, and written again to the byte."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import DescriptorProto

from birdlite.convert.saved_model import schema
from birdlite.convert.saved_model.schema import message
from birdlite.errors import EngineMissing

# A SavedModel with something in every field, written by TensorFlow 2.21's own messages, deterministically.
WRITTEN_BY_TENSORFLOW = bytes.fromhex("""
    08011295030a072205736572766512b4020aaa020a01631205436f6e73741a03613a311a025e6222062f6370753a302a0b0a03616e791204
    3a0218012a0f0a05626f6f6c7312060a042a0201002a070a0162120228002a120a06666c6f61747312080a0622040000c03f2a0a0a016612
    05250000003f2a170a04696e7473120f0a0d1a0b01feffffffffffffffff012a100a0169120b18fdffffffffffffffff012a0d0a046c6973
    7412050a031201782a1b0a05736861706512123a10120e08ffffffffffffffffff0112016e2a0b0a01731206120453414d452a0f0a057479
    70657312060a04320201032a0a0a0474797065120230012a450a0576616c7565123c423a0801120412020802220562797465732a04000020
    403208000000000000d03f3a0af9ffffffffffffffff0152068080808080205a01016a028070220508b509100c2a530a0764656661756c74
    12480a250a06696d61676573121b0a08696d616765733a3010011a0d120b08ffffffffffffffffff0112160a0673636f726573120c0a0873
    636f7265733a3010011a0770726564696374
""")


@pytest.fixture
def saved() -> Any:
    """That SavedModel, read."""
    return message("SavedModel").FromString(WRITTEN_BY_TENSORFLOW)


def test_what_tensorflow_writes_is_written_again_to_the_byte(saved: Any) -> None:
    assert saved.SerializeToString(deterministic=True) == WRITTEN_BY_TENSORFLOW


def test_graphs_have_tags_versions_and_signatures(saved: Any) -> None:
    assert saved.saved_model_schema_version == 1
    (meta_graph,) = saved.meta_graphs
    assert list(meta_graph.meta_info_def.tags) == ["serve"]
    assert (meta_graph.graph_def.versions.producer, meta_graph.graph_def.versions.min_consumer) == (1205, 12)
    signature = meta_graph.signature_def["default"]
    assert signature.method_name == "predict"
    assert [(key, info.name, info.dtype) for key, info in signature.inputs.items()] == [("images", "images:0", 1)]
    assert [(key, info.name, info.dtype) for key, info in signature.outputs.items()] == [("scores", "scores:0", 1)]
    assert [dim.size for dim in signature.inputs["images"].tensor_shape.dim] == [-1]


def test_nodes_have_inputs_and_attributes(saved: Any) -> None:
    (node,) = saved.meta_graphs[0].graph_def.node
    assert (node.name, node.op, list(node.input), node.device) == ("c", "Const", ["a:1", "^b"], "/cpu:0")
    attributes = node.attr
    assert (attributes["s"].s, attributes["i"].i, attributes["f"].f) == (b"SAME", -3, 0.5)
    assert attributes["type"].type == 1
    assert [(dim.size, dim.name) for dim in attributes["shape"].shape.dim] == [(-1, "n")]
    assert attributes["any"].shape.unknown_rank
    assert list(attributes["list"].list.s) == [b"x"]
    assert list(attributes["ints"].list.i) == [1, -2]
    assert list(attributes["floats"].list.f) == [1.5]
    assert list(attributes["bools"].list.b) == [True, False]
    assert list(attributes["types"].list.type) == [1, 3]


def test_constants_have_values_of_every_type(saved: Any) -> None:
    tensor = saved.meta_graphs[0].graph_def.node[0].attr["value"].tensor
    assert (tensor.dtype, tensor.tensor_shape.dim[0].size, tensor.tensor_content) == (1, 2, b"bytes")
    assert (list(tensor.float_val), list(tensor.double_val)) == ([2.5], [0.25])
    assert (list(tensor.int_val), list(tensor.int64_val)) == ([-7], [1 << 40])
    assert (list(tensor.bool_val), list(tensor.half_val)) == ([True], [14336])


def test_an_attribute_that_is_false_is_told_from_one_that_is_not_set(saved: Any) -> None:
    attributes = saved.meta_graphs[0].graph_def.node[0].attr

    assert attributes["b"].WhichOneof("value") == "b"
    assert message("AttrValue")().WhichOneof("value") is None


def test_a_tensors_name_is_told_from_none() -> None:
    assert message("TensorInfo")(name="").WhichOneof("value") == "name"
    assert message("TensorInfo")().WhichOneof("value") is None


def test_fields_that_are_not_known_here_survive() -> None:
    stranger = b"\x7a\x05hello"  # field 15, which no message here has

    for name in schema._MESSAGES:
        assert message(name).FromString(stranger).SerializeToString() == stranger


def test_without_protobuf_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "_classes", schema._classes.__wrapped__)  # others have asked before
    monkeypatch.setitem(sys.modules, "google.protobuf", None)

    with pytest.raises(EngineMissing, match=r"protobuf is needed: pip install 'birdlite\[onnx\]'"):
        message("SavedModel")


def test_every_field_is_that_of_tensorflow() -> None:
    pytest.importorskip("tensorflow", reason="the extra `convert` is not installed")
    from tensorflow.core.framework import attr_value_pb2, graph_pb2, node_def_pb2, tensor_pb2, tensor_shape_pb2
    from tensorflow.core.framework.versions_pb2 import VersionDef
    from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

    theirs = {
        "SavedModel": saved_model_pb2.SavedModel,
        "MetaGraphDef": meta_graph_pb2.MetaGraphDef,
        "MetaInfoDef": meta_graph_pb2.MetaGraphDef.MetaInfoDef,
        "SignatureDef": meta_graph_pb2.SignatureDef,
        "TensorInfo": meta_graph_pb2.TensorInfo,
        "GraphDef": graph_pb2.GraphDef,
        "VersionDef": VersionDef,
        "NodeDef": node_def_pb2.NodeDef,
        "AttrValue": attr_value_pb2.AttrValue,
        "ListValue": attr_value_pb2.AttrValue.ListValue,
        "TensorShape": tensor_shape_pb2.TensorShapeProto,
        "Dim": tensor_shape_pb2.TensorShapeProto.Dim,
        "TensorProto": tensor_pb2.TensorProto,
    }
    assert theirs.keys() == schema._MESSAGES.keys()
    for name, their in theirs.items():
        ours = described(message(name))
        assert ours == {field: facts for field, facts in described(their).items() if field in ours}


def described(class_: Any) -> dict[str, tuple[int, int, int, bool]]:
    """Number, type, label and whether it is one of several, by field. On the wire an enum is an int32."""
    whole = DescriptorProto()
    class_.DESCRIPTOR.CopyToProto(whole)
    return {
        field.name: (
            field.number,
            field.TYPE_INT32 if field.type == field.TYPE_ENUM else field.type,
            field.label,
            field.HasField("oneof_index"),
        )
        for field in whole.field
    }
