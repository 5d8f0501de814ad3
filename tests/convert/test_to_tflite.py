"""TensorFlow Lite of every kind takes plain pixels and answers as the graph does that it was made from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tensorflow", reason="the extra `convert` is not installed")

import numpy as np

from birdlite import engines, log
from birdlite.convert.graph import Graph, TensorFlowEngine, published, without_rounding
from birdlite.convert.proof import Quantize
from birdlite.convert.saved_model import frozen, read
from birdlite.convert.to_tflite import to_tflite
from birdlite.engines.contract import Engine
from birdlite.errors import InvalidModel
from birdlite.models.card import Card, FileFact
from tests import tensorflow_models as models
from tests.tensorflow_models import CLASSES, SIDE
from tests.tiny_graphs import drawn, scores

QUANTIZE: list[Quantize] = ["none", "float16", "int8"]

# What rounding may cost: nothing, that of the weights to 11 bits, or that of everything to 8.
CLOSE: dict[Quantize, float] = {"none": 1e-5, "float16": 1e-3, "int8": 2e-2}

PICTURES = models.pictures()


@pytest.fixture(scope="module")
def graph() -> Graph:
    return drawn(models.classifier)


@pytest.fixture(scope="module")
def results(graph: Graph) -> dict[Quantize, bytes]:
    return {quantize: to_tflite(graph, quantize, PICTURES) for quantize in QUANTIZE}


def opened(folder: Path, tags: str | None = None, signature: str | None = None) -> Graph:
    """A SavedModel as published."""
    saved = read(str(folder), tags, signature)
    source = frozen(str(folder), saved)
    return published(source.definition, source.input, source.output, saved.side, (0.0, 1.0))[0]


def engine(model: bytes) -> Engine:
    """LiteRT, as it runs any model that it is given."""
    input_, output = engines.describe(model)
    return engines.load(model, Card("made", "tflite", input_, output, {"model.tflite": FileFact(0, "0" * 64)}, ""))


@pytest.mark.parametrize("quantize", QUANTIZE)
def test_the_result_answers_as_the_graph_does(graph: Graph, results: dict[Quantize, bytes], quantize: Quantize) -> None:
    expected = scores(TensorFlowEngine(graph), PICTURES)

    difference = np.abs(scores(engine(results[quantize]), PICTURES) - expected).max()

    assert difference <= CLOSE[quantize]
    assert (difference > 1e-6) == (quantize != "none")  # its weights were rounded


@pytest.mark.parametrize(
    "make",
    [
        lambda folder: (models.hub_module(folder), (), "default"),
        lambda folder: (models.module(folder, takes="uint8"), ("serve",), "serving_default"),
        lambda folder: (models.module(folder, gives="logits"), ("serve",), "serving_default"),
    ],
    ids=["Hub", "takes bytes", "gives logits"],
)
@pytest.mark.parametrize("quantize", ["none", "int8"])
def test_a_saved_model_answers_as_in_tensorflow(
    make: Callable[[Path], tuple[Path, tuple[str, ...], str]], quantize: Quantize, tmp_path: Path
) -> None:
    folder, tags, signature = make(tmp_path)
    expected = models.answers(folder, list(tags), signature, PICTURES)
    if (expected < 0).any():
        expected = np.exp(expected) / np.exp(expected).sum(axis=1, keepdims=True)
    graph = without_rounding(opened(folder, ",".join(tags), signature)).floats

    result = to_tflite(graph, quantize, PICTURES)

    assert scores(engine(result), PICTURES) == pytest.approx(expected, abs=2e-2)  # the source rounds too


def test_floats_come_with_plain_pixels_and_in_two_sizes(results: dict[Quantize, bytes]) -> None:
    for quantize in ("none", "float16"):
        input_, output = engines.describe(results[quantize])
        assert (input_.shape, input_.dtype) == ((1, SIDE, SIDE, 3), "uint8")
        assert (output.shape, output.dtype) == ((1, CLASSES), "float32")
    weights = 4 * (3 * 3 * 3 * 8 + 3 * 3 * 8 * 32 + 32 * CLASSES)
    assert len(results["none"]) - len(results["float16"]) > weights / 3  # half of them, less the steps that widen them


def test_int8_stores_the_pixels_as_they_are(results: dict[Quantize, bytes]) -> None:
    input_, output = engines.describe(results["int8"])

    # The network wants 2 * pixel / 255 - 1: a grid whose zero lies between 127 and 128.
    assert (input_.shape, input_.dtype, input_.zero_point in (127, 128)) == ((1, SIDE, SIDE, 3), "uint8", True)
    assert input_.scale == pytest.approx(2 / 255, rel=1e-6)
    assert output == ((1, CLASSES), "uint8", 1 / 256, 0)


def test_int8_computes_in_whole_numbers_with_a_scale_for_each_channel(results: dict[Quantize, bytes]) -> None:
    from birdlite.tflite import graph

    network = graph.read(results["int8"])

    assert {tensor.dtype for tensor in network.tensors} <= {"int8", "uint8", "int32"}
    assert network.operators[0].name == "QUANTIZE"  # from uint8 to int8, and then the network itself
    assert network.operators[1].name == "CONV_2D"
    weights = [network.tensors[step.inputs[1]] for step in network.operators if step.name == "CONV_2D"]
    assert [len(tensor.quantization.scales) for tensor in weights if tensor.quantization] == [8, 32]


def with_a_step_in_floats(tensorflow: Any, pixels: Any) -> Any:
    values = tensorflow.nn.local_response_normalization(tensorflow.cast(pixels, "float32") / 255)
    return tensorflow.nn.softmax(3 * tensorflow.reduce_mean(values, [1, 2]))


def test_an_operation_without_whole_numbers_stays_in_floats() -> None:
    graph = drawn(with_a_step_in_floats)

    result = to_tflite(graph, "int8", PICTURES)

    assert scores(engine(result), PICTURES) == pytest.approx(
        scores(TensorFlowEngine(graph), PICTURES), abs=CLOSE["int8"]
    )


def test_nothing_that_is_used_of_tensorflow_is_deprecated(graph: Graph) -> None:
    told: list[object] = []
    log.to(lambda level, message, fields: told.append(fields["line"]), log.DEBUG)

    to_tflite(graph, "int8", PICTURES)

    assert told  # it always says something
    assert not [line for line in told if "deprecated" in str(line)]


def test_ranges_are_taken_from_every_picture(graph: Graph, results: dict[Quantize, bytes]) -> None:
    glaring = np.random.RandomState(2).choice([0, 255], (SIDE, SIDE, 3)).astype(np.uint8).tobytes()

    assert to_tflite(graph, "int8", [*PICTURES, glaring]) != results["int8"]


@pytest.mark.parametrize("quantize", QUANTIZE)
def test_the_same_graph_gives_the_same_bytes(graph: Graph, results: dict[Quantize, bytes], quantize: Quantize) -> None:
    assert to_tflite(graph, quantize, PICTURES) == results[quantize]


def test_an_operation_that_tensorflow_lite_has_not_is_named() -> None:
    with pytest.raises(InvalidModel, match=r"TensorFlow Lite: it has no operation Betainc$"):
        to_tflite(drawn(models.unknown), "none")


def beside_three_times_itself(tensorflow: Any, pixels: Any) -> Any:
    """What follows makes the converter store the pixels on a wider grid."""
    values = tensorflow.cast(pixels, "float32") / 255
    return tensorflow.nn.softmax(tensorflow.reduce_mean(tensorflow.concat([values, values * 3], 3), [1, 2]))


def test_int8_that_does_not_take_plain_pixels_is_refused() -> None:
    with pytest.raises(InvalidModel, match=r"uint8 \[1, 16, 16, 3\] \(scale 0.0117.*\): not plain pixels"):
        to_tflite(drawn(beside_three_times_itself), "int8", PICTURES)


def diverged(tensorflow: Any, pixels: Any) -> Any:
    values = tensorflow.cast(pixels, "float32") / 0.0
    return tensorflow.nn.softmax(tensorflow.reduce_mean(values, [1, 2]))


def test_a_network_that_gives_no_numbers_is_refused_before_it_crashes_the_converter() -> None:
    with pytest.raises(InvalidModel, match="not finite"):
        to_tflite(drawn(diverged), "int8", PICTURES)
