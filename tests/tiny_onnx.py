"""Tiny real ONNX models, built from nothing by the tests of the engines: the same colour meters as `tiny_models`.

Score number i is how far the mean of colour i % 3 lies above 128, divided by 128, and 0 below.
"""

from __future__ import annotations

import numpy
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from birdlite.models.card import Card, FileFact, Tensor

SIDE = 8  # px
CLASSES = 5
PIXELS = Tensor((-1, SIDE, SIDE, 3), "uint8")
SCORES = Tensor((-1, CLASSES), "float32")

OPSET, IR_VERSION = 17, 8  # those that `birdlite convert` writes
_TYPES = {
    "uint8": TensorProto.UINT8,
    "int8": TensorProto.INT8,
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
}


def card(input_: Tensor = PIXELS, output: Tensor = SCORES, sha256: str = "5" * 64) -> Card:
    return Card("tiny", "onnx", input_, output, {"model.onnx": FileFact(0, sha256)}, source="made by a test")


def proto(
    *,
    side: int = SIDE,
    width: int | str | None = None,
    classes: int = CLASSES,
    takes: str = "uint8",
    gives: str = "float32",
    batch: int | str = "n",
    inner_batch: int | None = None,
    inputs: int = 1,
    outputs: int = 1,
    flat: bool = True,
    operation: str = "Identity",
    domain: str = "",
    after: tuple[str, ...] = (),
) -> ModelProto:
    """The model, with what the test wants to be odd about it.

    `batch` may be a name for any size, `flat` makes the scores a row, `operation` is the last one in the network,
    `after` names others before it, and `inner_batch` is the batch that the network takes whatever it says.
    """
    colours = [i % 3 for i in range(classes)]
    constants = {
        "middle": numpy.float32(128),
        "lowest": numpy.float32(0),
        "highest": numpy.float32(1),
        "colours": numpy.array(colours, numpy.int64),
        "shape": numpy.array([-1 if inner_batch is None else inner_batch, classes], numpy.int64),
    }
    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats"], ["means"], axes=[1, 2], keepdims=0 if flat else 1),
        helper.make_node("Sub", ["means", "middle"], ["above"]),
        helper.make_node("Div", ["above", "middle"], ["parts"]),
        helper.make_node("Clip", ["parts", "lowest", "highest"], ["clipped"]),
        helper.make_node("Gather", ["clipped", "colours"], ["gathered"], axis=1 if flat else 3),
    ]
    last = "gathered"
    if flat and inner_batch is not None:
        nodes.append(helper.make_node("Reshape", [last, "shape"], ["reshaped"]))
        last = "reshaped"
    else:
        del constants["shape"]
    if gives != "float32":
        nodes.append(helper.make_node("Cast", [last], ["stored"], to=_TYPES[gives]))
        last = "stored"
    for step in after:
        nodes.append(helper.make_node(step, [last], [f"{last} {step}"]))
        last = f"{last} {step}"
    nodes.append(helper.make_node(operation, [last], ["scores"], domain=domain))
    nodes += [helper.make_node("Identity", ["scores"], [f"more scores {i}"]) for i in range(1, outputs)]
    pixels = [batch, side, width or side, 3]
    scores = [batch, classes] if flat else [batch, 1, 1, classes]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, _TYPES[takes], pixels) for name in _names("pixels", inputs)],
        [helper.make_tensor_value_info(name, _TYPES[gives], scores) for name in _names("scores", outputs)],
        [numpy_helper.from_array(numpy.asarray(value), name) for name, value in constants.items()],
    )
    domains = {"", domain}
    versions = [helper.make_opsetid(name, OPSET if name == "" else 1) for name in sorted(domains)]
    return helper.make_model(graph, opset_imports=versions, ir_version=IR_VERSION)


def _names(first: str, count: int) -> list[str]:
    return [first, *(f"more {first} {i}" for i in range(1, count))]


def model(**odd: object) -> bytes:
    """The bytes of it; see `proto`."""
    return bytes(proto(**odd).SerializeToString())  # type: ignore[arg-type]


def with_weights_in(location: str, where: str = "initializer") -> bytes:
    """A model whose highest score, the number 1, is kept in a file: the first four bytes there.

    `where` is the place in the model: an `initializer`, the `constant` node, or one in a `branch` of a condition.
    """
    whole = proto()
    initializers = whole.graph.initializer
    index = next(i for i, tensor in enumerate(initializers) if tensor.name == "highest")
    tensor = TensorProto()
    tensor.CopyFrom(initializers[index])
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, "offset": "0", "length": "4"}.items():
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    del initializers[index]
    if where == "initializer":
        initializers.append(tensor)
        return bytes(whole.SerializeToString())
    nodes: list[NodeProto] = [helper.make_node("Constant", [], ["highest"], value=tensor)]
    if where == "branch":
        then = helper.make_node("Constant", [], ["inner"], value=tensor)
        branch = helper.make_graph(
            [then], "branch", [], [helper.make_tensor_value_info("inner", TensorProto.FLOAT, [])]
        )
        initializers.append(numpy_helper.from_array(numpy.asarray(True), "yes"))
        nodes = [helper.make_node("If", ["yes"], ["highest"], then_branch=branch, else_branch=branch)]
    rest = list(whole.graph.node)
    del whole.graph.node[:]
    whole.graph.node.extend([*nodes, *rest])
    return bytes(whole.SerializeToString())
