"""ONNX by tf2onnx looks like ONNX by birdlite, and answers as the graph does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tensorflow", reason="the extra `convert` is not installed")
pytest.importorskip("tf2onnx", reason="the extra `convert` is not installed")
pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")

import onnx

from birdlite import engines
from birdlite.convert.onnx_graph import OPSET
from birdlite.convert.saved_model.graph import Graph, graph_of
from birdlite.convert.saved_model.pixels import take_pixels
from birdlite.convert.with_tensorflow.freeze import frozen
from birdlite.convert.with_tensorflow.tensorflow_engine import TensorFlowEngine
from birdlite.convert.with_tensorflow.to_onnx import to_onnx
from birdlite.engines.base import Engine
from birdlite.errors import InvalidModel
from birdlite.models.card import Card, FileFact, Tensor
from tests import tensorflow_models as models
from tests.tensorflow_models import CLASSES, SIDE

PICTURES = models.pictures(5)


@pytest.fixture(scope="module")
def graph() -> Graph:
    return models.drawn(models.classifier)


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


def test_its_ends_are_those_of_our_own_converter(result: bytes) -> None:
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
    result = to_onnx(models.drawn(models.classifier, batch=1))

    assert engines.describe(result, "onnx")[0].shape == (1, SIDE, SIDE, 3)


def test_a_saved_model_with_its_rounding_can_be_converted(tmp_path: Path) -> None:
    source = frozen(str(models.module(tmp_path)), ("serve",), "serving_default")
    graph = take_pixels(graph_of(source.graph_def, source.input, source.output), SIDE)

    (scores,) = engine(to_onnx(graph)).run(PICTURES[0])

    assert scores == pytest.approx(TensorFlowEngine(graph).run(PICTURES[0])[0], abs=1e-2)


def newer(tensorflow: Any, pixels: Any) -> Any:
    """An operation that ONNX has since its operator set 18."""
    values = tensorflow.bitwise.bitwise_xor(tensorflow.cast(pixels, "uint16"), tensorflow.constant(3, "uint16"))
    return tensorflow.nn.softmax(tensorflow.reduce_mean(tensorflow.cast(values, "float32"), [1, 2]))


@pytest.mark.parametrize(("function", "name"), [(models.unknown, "Betainc"), (newer, "BitwiseXor")])
def test_an_operation_that_onnx_has_not_is_named(function: Any, name: str) -> None:
    with pytest.raises(InvalidModel, match=rf"^tf2onnx does not know {name}$"):
        to_onnx(models.drawn(function))


def of_another_type(tensorflow: Any, pixels: Any) -> Any:
    """A type that convolutions do not have in ONNX."""
    weights = tensorflow.ones([3, 3, 3, 4], "bfloat16")
    values = tensorflow.nn.conv2d(tensorflow.cast(pixels, "bfloat16"), weights, 1, "SAME")
    return tensorflow.cast(tensorflow.reduce_mean(values, [1, 2]), "float32")


def test_a_model_that_contradicts_itself_is_refused() -> None:
    with pytest.raises(InvalidModel, match=r"contradicts itself: .*Conv.*bfloat16") as caught:
        to_onnx(models.drawn(of_another_type))
    assert "\n" not in str(caught.value)
