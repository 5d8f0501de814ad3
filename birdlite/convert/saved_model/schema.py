"""The part of TensorFlow's protobuf schema that is needed here, as messages of the `protobuf` package.

`graph` and `read` use them. TensorFlow has the whole schema but is 600 MB. On the wire the two are the same, and fields
that are not named here survive being read and written again.

Names and numbers are those of saved_model.proto, meta_graph.proto, graph.proto, node_def.proto, attr_value.proto,
tensor.proto and tensor_shape.proto in tensorflow/core.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from birdlite.errors import EngineMissing

_PACKAGE = "birdlite"

# A field's number and type. `*` repeats, `map` has strings for keys, `?` is one of a oneof: it is known if it was set.
_MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "SavedModel": {"saved_model_schema_version": (1, "int64"), "meta_graphs": (2, "MetaGraphDef*")},
    "MetaGraphDef": {
        "meta_info_def": (1, "MetaInfoDef"),
        "graph_def": (2, "GraphDef"),
        "signature_def": (5, "map SignatureDef"),
    },
    "MetaInfoDef": {"tags": (4, "string*")},
    "SignatureDef": {"inputs": (1, "map TensorInfo"), "outputs": (2, "map TensorInfo"), "method_name": (3, "string")},
    "TensorInfo": {"name": (1, "string?"), "dtype": (2, "int32"), "tensor_shape": (3, "TensorShape")},
    "GraphDef": {"node": (1, "NodeDef*"), "versions": (4, "VersionDef")},
    "VersionDef": {"producer": (1, "int32"), "min_consumer": (2, "int32")},
    "NodeDef": {
        "name": (1, "string"),
        "op": (2, "string"),
        "input": (3, "string*"),
        "device": (4, "string"),
        "attr": (5, "map AttrValue"),
    },
    "AttrValue": {
        "list": (1, "ListValue?"),
        "s": (2, "bytes?"),
        "i": (3, "int64?"),
        "f": (4, "float?"),
        "b": (5, "bool?"),
        "type": (6, "int32?"),
        "shape": (7, "TensorShape?"),
        "tensor": (8, "TensorProto?"),
    },
    "ListValue": {"s": (2, "bytes*"), "i": (3, "int64*"), "f": (4, "float*"), "b": (5, "bool*"), "type": (6, "int32*")},
    "TensorShape": {"dim": (2, "Dim*"), "unknown_rank": (3, "bool")},
    "Dim": {"size": (1, "int64"), "name": (2, "string")},
    "TensorProto": {
        "dtype": (1, "int32"),
        "tensor_shape": (2, "TensorShape"),
        "tensor_content": (4, "bytes"),
        "float_val": (5, "float*"),
        "double_val": (6, "double*"),
        "int_val": (7, "int32*"),
        "int64_val": (10, "int64*"),
        "bool_val": (11, "bool*"),
    },
}


def message(name: str) -> Any:
    """The class of the message `name`, such as `SavedModel`.

    Raises:
        EngineMissing: the package protobuf is not installed; the message names what to install.
    """
    return _classes()[name]


@cache
def _classes() -> dict[str, Any]:
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    except ImportError:
        raise EngineMissing(
            "to read a SavedModel, the package protobuf is needed: pip install 'birdlite[onnx]'"
        ) from None
    file = descriptor_pb2.FileDescriptorProto(name="birdlite/saved_model.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        described = file.message_type.add(name=name)
        for field, (number, type_) in fields.items():
            _add_field(described, field, number, type_)
    pool = descriptor_pool.DescriptorPool()  # our own: beside TensorFlow's, which may be in this process too
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _MESSAGES
    }


def _add_field(described: Any, name: str, number: int, type_: str) -> None:
    """Describe a field; for a map, also the message of key and value that it is on the wire."""
    from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Kind

    field = described.field.add(name=name, number=number, label=Kind.LABEL_OPTIONAL)
    kind = type_.rstrip("*?")
    if type_.endswith("*"):
        field.label = Kind.LABEL_REPEATED
    elif type_.endswith("?"):
        if not described.oneof_decl:
            described.oneof_decl.add(name="value")
        field.oneof_index = 0
    if kind.startswith("map "):
        entry = described.nested_type.add(name="".join(map(str.capitalize, name.split("_"))) + "Entry")
        entry.options.map_entry = True
        _add_field(entry, "key", 1, "string")
        _add_field(entry, "value", 2, kind.removeprefix("map "))
        field.label, field.type = Kind.LABEL_REPEATED, Kind.TYPE_MESSAGE
        field.type_name = f".{_PACKAGE}.{described.name}.{entry.name}"
    elif kind in _MESSAGES:
        field.type, field.type_name = Kind.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
    else:
        field.type = getattr(Kind, f"TYPE_{kind.upper()}")
