"""What TensorFlow's operations compute: small cases by hand, and all of them against TensorFlow where it is there."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from birdlite.convert.saved_model import kernels as kernels_room
from birdlite.convert.saved_model import windows as windows_room
from birdlite.convert.saved_model.graph import graph_of, node
from birdlite.convert.saved_model.kernels import KERNELS, UnknownOperation, constants_of, run
from birdlite.errors import InvalidModel
from tests.tiny_graphs import INPUT, OUTPUT, Builder

CHANCE = np.random.default_rng(3)


def floats(*shape: int) -> Any:
    return CHANCE.normal(0, 1, shape).astype(np.float32)


def compute(op: str, *inputs: Any, **attributes: Any) -> Any:
    return run(node("tested", op, [], **attributes), [np.asarray(value) for value in inputs])


def test_a_softmax_survives_large_logits() -> None:
    assert compute("Softmax", np.array([[1000.0, 1000.0]], np.float32)).tolist() == [[0.5, 0.5]]


def test_squeezing_leaves_the_batch() -> None:
    assert compute("Squeeze", floats(1, 1, 1, 5)).shape == (1, 5)
    assert compute("Squeeze", floats(2, 1, 1, 5), squeeze_dims=[1]).shape == (2, 1, 5)


@pytest.mark.parametrize(("attributes", "dtype"), [({}, np.int32), ({"out_type": "int64"}, np.int64)])
def test_a_shape_is_a_row_of_whole_numbers(attributes: dict[str, Any], dtype: type) -> None:
    found = compute("Shape", floats(2, 3, 5), **attributes)

    assert (found.tolist(), found.dtype) == ([2, 3, 5], dtype)


def test_floats_stay_floats_of_32_bits() -> None:
    for op in ("Relu", "Relu6", "Sigmoid", "Softmax", "Rsqrt", "Sqrt"):
        assert compute(op, np.abs(floats(2, 3))).dtype == np.float32, op


def test_an_operation_that_is_not_known_is_named_with_the_way_out() -> None:
    with pytest.raises(UnknownOperation) as caught:
        run(node("branch_3/Einsum", "Einsum", []), [])

    assert caught.value.operation == "Einsum"
    assert str(caught.value) == (
        "the operation `Einsum` (node branch_3/Einsum) is not known here; for other models: "
        "pip install 'birdlite[convert]'"
    )


def test_a_second_input_is_named_as_one() -> None:
    with pytest.raises(InvalidModel, match="the graph has a second input: dropout/keep") as caught:
        run(node("dropout/keep", "Placeholder", []), [])

    assert not isinstance(caught.value, UnknownOperation)  # TensorFlow would not know its value either


WRONG: list[tuple[str, list[Any], dict[str, Any], str]] = [
    ("MatMul", [floats(2, 3), floats(4, 5)], {}, "does not fit"),
    ("MatMul", [floats(2, 2, 3), floats(3, 5)], {}, "a product of"),
    ("Add", [floats(2, 3), floats(4, 5)], {}, "does not fit"),
    ("Add", [floats(2, 3)], {}, "reads 1 values instead of 2"),
    ("Add", [floats(3), floats(3), floats(3)], {}, "reads 3 values instead of 2"),
    ("Neg", [floats(3), floats(3)], {}, "reads 2 values instead of 1"),
    ("Add", [floats(3), np.arange(3, dtype=np.int32)], {}, "float32 and int32"),
    ("BiasAdd", [floats(1, 3, 4, 3), floats(3)], {"data_format": "NCHW"}, "laid out as NCHW"),
    ("BiasAdd", [floats(1, 2, 4, 3), floats(4, 3)], {}, "a bias of shape .4, 3. for 3 channels"),
    ("BiasAdd", [floats(1, 2, 4, 1), floats(3)], {}, "a bias of shape .3. for 1 channels"),
    ("Cast", [floats(3)], {}, "to None"),
    ("Cast", [floats(3)], {"DstT": "type 14"}, "to type 14"),
    ("FakeQuantWithMinMaxVars", [floats(2, 3), -np.ones(3), np.ones(3)], {}, "has no range"),
    ("FakeQuantWithMinMaxVarsPerChannel", [floats(2, 3), np.array(-1.0), np.array(1.0)], {}, "has no range"),
    ("FakeQuantWithMinMaxVarsPerChannel", [floats(2, 1), -np.ones(3), np.ones(3)], {}, "3 ranges for 1 channels"),
    ("FusedBatchNormV3", [floats(1, 2, 2, 1), *(floats(3) for _ in range(4))], {"is_training": False}, "1 channels"),
    ("Reshape", [floats(2, 3), np.array([7])], {}, "does not fit"),
    ("FusedBatchNormV3", [floats(1, 2, 2, 3), *(floats(3) for _ in range(4))], {"is_training": True}, "in training"),
    ("FusedBatchNormV3", [floats(1, 2, 2, 3), *(floats(3) for _ in range(4))], {}, "in training"),
    ("Transpose", [floats(2, 3), np.array([0, 5])], {}, "does not fit"),
]


@pytest.mark.parametrize(("op", "inputs", "attributes", "complaint"), WRONG)
def test_what_does_not_fit_is_said_with_the_nodes_name(
    op: str, inputs: list[Any], attributes: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(InvalidModel, match=f"{op} tested: .*{complaint}"):
        compute(op, *inputs, **attributes)


LARGE = 1 << 20
GIANTS: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("Mul", [floats(1000, 1), floats(1, 1000)], {}),
    ("MatMul", [floats(1000, 1), floats(1, 1000)], {}),
    ("Cast", [np.zeros(LARGE // 8 + 1, np.uint8)], {"DstT": "float64"}),
    ("ConcatV2", [*[floats(LARGE // 8)] * 3, np.array(0, np.int32)], {}),
    ("Pad", [floats(1, 1), np.array([[0, 999], [999, 0]], np.int32)], {}),
    ("Pad", [floats(1, 1), np.array([[0, 2**31 - 1]] * 2, np.int32)], {}),
]


@pytest.mark.parametrize(("op", "inputs", "attributes"), GIANTS)
def test_a_small_graph_cannot_make_a_giant(
    op: str, inputs: list[Any], attributes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows_room, "MAX_CONSTANT_BYTES", LARGE)
    assert all(np.asarray(value).nbytes <= LARGE for value in inputs)

    with pytest.raises(InvalidModel, match=f"{op} tested: .* more than 1 MiB"):
        compute(op, *inputs, **attributes)


def test_memory_that_is_not_there_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def greedy(node: Any, inputs: list[Any]) -> Any:
        raise MemoryError

    monkeypatch.setitem(KERNELS, "Neg", greedy)

    with pytest.raises(InvalidModel, match="Neg tested: takes more memory than there is"):
        compute("Neg", floats(3))


def test_constants_are_what_does_not_depend_on_the_picture() -> None:
    build = Builder()
    doubled = build.add("Mul", [build.constant("two", 2.0), build.constant("three", 3.0)], "six")
    build.add("Mul", [build.input(), doubled], "prediction")

    found = constants_of(graph_of(build.graph_def, INPUT, OUTPUT))

    assert {name: float(value) for name, value in found.items()} == {"two": 2.0, "three": 3.0, "six": 6.0}


def test_many_constants_cannot_make_a_giant_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels_room, "MOST_BYTES", LARGE)
    build = Builder()
    value = build.input()
    for name in "abc":
        value = build.add("AddV2", [value, build.constant(name, np.zeros(LARGE // 4 // 2 - 1))], f"{value}{name}")
    definition = build.graph_def

    assert len(constants_of(graph_of(definition, INPUT, "imagesab:0"))) == 2
    with pytest.raises(InvalidModel, match="its constants take more than 1 MiB"):
        constants_of(graph_of(definition, INPUT, "imagesabc:0"))


WINDOWS: list[dict[str, Any]] = [
    {"padding": padding, "strides": [1, stride, stride, 1]} for padding in ("SAME", "VALID") for stride in (1, 2, 3)
]
BATCH_NORM = [floats(2, 5, 5, 4), floats(4), floats(4), floats(4), np.abs(floats(4)) + 0.1]
CASES: list[tuple[str, list[Any], dict[str, Any]]] = [
    *(("Conv2D", [floats(2, 9, 8, 3), floats(3, 2, 3, 4)], window) for window in WINDOWS),
    ("Conv2D", [floats(1, 9, 9, 3), floats(3, 3, 3, 4)], {**WINDOWS[0], "dilations": [1, 2, 3, 1]}),
    (
        "Conv2D",
        [floats(1, 6, 6, 3), floats(3, 3, 3, 4)],
        {"padding": "EXPLICIT", "strides": [1, 2, 1, 1], "explicit_paddings": [0, 0, 1, 2, 0, 3, 0, 0]},
    ),
    *(("Conv2D", [floats(2, 9, 8, 4), floats(3, 2, 2, 6)], window) for window in WINDOWS[:2]),
    *(("DepthwiseConv2dNative", [floats(2, 9, 8, 3), floats(3, 3, 3, 2)], window) for window in WINDOWS),
    *(("AvgPool", [floats(2, 9, 8, 3)], {**window, "ksize": [1, 3, 2, 1]}) for window in WINDOWS),
    *(("MaxPool", [floats(2, 9, 8, 3)], {**window, "ksize": [1, 3, 2, 1]}) for window in WINDOWS),
    *((op, [floats(2, 3), floats(3)], {}) for op in ("Add", "AddV2", "Sub", "Mul", "RealDiv", "Maximum", "Minimum")),
    *((op, [floats(4, 5) * 5], {}) for op in ("Relu", "Relu6", "Sigmoid", "Softmax", "Neg", "Square", "Identity")),
    *((op, [np.abs(floats(4, 5))], {}) for op in ("Sqrt", "Rsqrt")),
    ("BiasAdd", [floats(1, 2, 2, 3), floats(3)], {}),
    ("Cast", [np.array([0, 7, 255], np.uint8)], {"DstT": "float32"}),
    ("ConcatV2", [floats(1, 2, 3), floats(1, 2, 1), np.array(2, np.int32)], {"N": 2}),
    ("ExpandDims", [floats(2, 3), np.array(1, np.int32)], {}),
    ("FusedBatchNormV3", BATCH_NORM, {"is_training": False, "epsilon": 0.01}),
    ("FusedBatchNorm", BATCH_NORM, {"is_training": False}),
    ("FusedBatchNormV2", BATCH_NORM, {"is_training": False}),
    ("MatMul", [floats(2, 3), floats(3, 4)], {}),
    ("MatMul", [floats(3, 2), floats(4, 3)], {"transpose_a": True, "transpose_b": True}),
    ("Mean", [floats(2, 3, 4, 5), np.array([1, 2], np.int32)], {"keep_dims": True}),
    ("Mean", [floats(2, 3, 4, 5), np.array([1, 2], np.int32)], {}),
    ("Pad", [floats(1, 2, 3), np.array([[0, 0], [1, 2], [3, 0]], np.int32)], {}),
    ("PadV2", [floats(1, 2), np.array([[0, 0], [1, 2]], np.int32), np.array(7, np.float32)], {}),
    ("Reshape", [floats(2, 6), np.array([-1, 3], np.int32)], {}),
    ("Shape", [floats(2, 6)], {}),
    ("Shape", [floats(2, 6)], {"out_type": "int64"}),
    ("Squeeze", [floats(2, 1, 3, 1)], {"squeeze_dims": [1, 3]}),
    ("StopGradient", [floats(3)], {}),
    ("Transpose", [floats(2, 3, 4), np.array([2, 0, 1], np.int32)], {}),
    ("FakeQuantWithMinMaxVars", [floats(50), np.float32(-1), np.float32(1.5)], {"narrow_range": True}),
    (
        "FakeQuantWithMinMaxVarsPerChannel",
        [floats(9, 3), -np.abs(floats(3)) - 1, np.abs(floats(3)) + 1],
        {"num_bits": 5},
    ),
    (
        "FakeQuantWithMinMaxVarsPerChannel",
        [floats(9, 3), np.array([-1, 0, 0], np.float32), np.array([1, 0, 1e-40], np.float32)],
        {"narrow_range": True},
    ),
    ("FakeQuantWithMinMaxVars", [floats(9), np.float32(0), np.float32(0)], {}),
    ("FakeQuantWithMinMaxArgs", [floats(50) * 9], {"min": -2.0, "max": 6.0}),
]


def test_every_kernel_has_a_case() -> None:
    assert {op for op, _, _ in CASES} == KERNELS.keys() - {"Const"}


@pytest.mark.skipif(find_spec("tensorflow") is None, reason="the extra `convert` is not installed")
@pytest.mark.parametrize(
    ("op", "inputs", "attributes"), CASES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_tensorflow_computes_the_same(op: str, inputs: list[Any], attributes: dict[str, Any]) -> None:
    from birdlite.convert.saved_model.graph import Graph, constant_node, graph_def
    from birdlite.convert.with_tensorflow import imported

    tensorflow = imported()
    reads = [f"in{number}" for number in range(len(inputs))]
    types = {key: "float32" for key in ("T",) if not op.startswith("FakeQuant") and op != "Cast"}
    types |= {"SrcT": "uint8"} if op == "Cast" else {}
    types |= {"U": "float32"} if op in ("FusedBatchNormV2", "FusedBatchNormV3") else {}
    nodes = {name: constant_node(name, np.asarray(value)) for name, value in zip(reads, inputs, strict=True)}
    nodes["tested"] = node("tested", op, reads, **types, **attributes)
    definition = tensorflow.compat.v1.GraphDef.FromString(graph_def(Graph(nodes, "", "tested", 1205)))
    with tensorflow.Graph().as_default(), tensorflow.compat.v1.Session() as session:
        tensorflow.import_graph_def(definition, name="")
        expected = session.run("tested:0")

    found = compute(op, *inputs, **attributes)

    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
