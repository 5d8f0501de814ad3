"""ONNX by tf2onnx has the ends of all our ONNX models, and answers as the graph does."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("tensorflow", reason="the extra `convert` is not installed")
pytest.importorskip("tf2onnx", reason="the extra `convert` is not installed")
pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")

import onnx

from birdlite import engines
from birdlite.convert.graph import Graph, TensorFlowEngine, without_rounding
from birdlite.convert.onnx_graph import OPSET
from birdlite.convert.to_onnx import to_onnx
from birdlite.engines.contract import Engine
from birdlite.errors import InvalidModel
from birdlite.models.card import Card, FileFact, Tensor
from tests import tensorflow_models as models
from tests import tiny_graphs
from tests.tensorflow_models import CLASSES, SIDE
from tests.tiny_graphs import drawn, photographs

PICTURES = models.pictures(5)


@pytest.fixture(scope="module")
def graph() -> Graph:
    return drawn(models.classifier)


@pytest.fixture(scope="module")
def result(graph: Graph) -> bytes:
    return to_onnx(graph)


def engine(model: bytes) -> Engine:
    """ONNX Runtime, as it runs any model that it is given."""
    input_, output = engines.describe(model, "onnx")
    return engines.load(model, Card("made", "onnx", input_, output, {"model.onnx": FileFact(0, "0" * 64)}, ""))


def test_it_answers_as_the_graph_does(graph: Graph, result: bytes) -> None:
    pixels = b"".join(PICTURES)

    found = engine(result).run(pixels, len(PICTURES))

    for scores, expected in zip(found, TensorFlowEngine(graph).run(pixels, len(PICTURES)), strict=True):
        assert scores == pytest.approx(expected, abs=1e-5)


def test_its_ends_are_those_of_every_onnx_model_here(result: bytes) -> None:
    whole = onnx.load_from_string(result)

    assert engines.describe(result, "onnx") == (
        Tensor((-1, SIDE, SIDE, 3), "uint8"),
        Tensor((-1, CLASSES), "float32"),
    )
    (start,), (end,) = whole.graph.input, whole.graph.output
    assert (start.name, end.name) == ("pixels", "probabilities")
    assert [tensor.type.tensor_type.shape.dim[0].dim_param for tensor in (start, end)] == ["N", "N"]
    assert {domain.version for domain in whole.opset_import if domain.domain == ""} == {OPSET}


def test_a_graph_for_one_picture_stays_one() -> None:
    result = to_onnx(drawn(models.classifier, batch=1))

    assert engines.describe(result, "onnx")[0].shape == (1, SIDE, SIDE, 3)


def test_fake_quants_of_activations_become_pairs_with_their_ranges() -> None:
    ranged = without_rounding(tiny_graphs.graph()).ranged
    assert ranged is not None

    model = to_onnx(ranged)

    whole = onnx.load_from_string(model)
    constants = {constant.name: onnx.numpy_helper.to_array(constant) for constant in whole.graph.initializer}
    pairs = [node for node in whole.graph.node if node.op_type == "QuantizeLinear"]
    grids = sorted((float(constants[node.input[1]]), int(constants[node.input[2]])) for node in pairs)
    assert [scale * 255 for scale, _ in grids] == pytest.approx([6, 6, 16, 20, 20])
    assert [zero_point for _, zero_point in grids] == [0, 0, 128, 102, 128]
    for picture in photographs():
        expected = TensorFlowEngine(ranged).run(picture)[0]
        assert engine(model).run(picture)[0] == pytest.approx(expected, abs=0.05)


def newer(tensorflow: Any, pixels: Any) -> Any:
    """An operation that ONNX has since its operator set 18."""
    values = tensorflow.bitwise.bitwise_xor(tensorflow.cast(pixels, "uint16"), tensorflow.constant(3, "uint16"))
    return tensorflow.nn.softmax(tensorflow.reduce_mean(tensorflow.cast(values, "float32"), [1, 2]))


@pytest.mark.parametrize(("function", "name"), [(models.unknown, "Betainc"), (newer, "BitwiseXor")])
def test_an_operation_that_onnx_has_not_is_named(function: Any, name: str) -> None:
    with pytest.raises(InvalidModel, match=rf"^tf2onnx does not know {name}$"):
        to_onnx(drawn(function))


def of_another_type(tensorflow: Any, pixels: Any) -> Any:
    """A type that convolutions do not have in ONNX."""
    weights = tensorflow.ones([3, 3, 3, 4], "bfloat16")
    values = tensorflow.nn.conv2d(tensorflow.cast(pixels, "bfloat16"), weights, 1, "SAME")
    return tensorflow.cast(tensorflow.reduce_mean(values, [1, 2]), "float32")


def test_an_invalid_model_is_refused() -> None:
    with pytest.raises(InvalidModel, match=r"tf2onnx made an invalid ONNX model: .*Conv.*bfloat16") as caught:
        to_onnx(drawn(of_another_type))
    assert "\n" not in str(caught.value)
