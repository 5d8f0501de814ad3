"""A graph run in TensorFlow: the reference of every proof."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="the extra `convert` is not installed")

from birdlite.convert.graph import Graph, TensorFlowEngine
from birdlite.errors import EngineError, InvalidModel
from tests import tensorflow_models as models
from tests.tiny_graphs import drawn

PICTURES = models.pictures(3)


@pytest.fixture(scope="module")
def graph() -> Graph:
    return drawn(models.classifier)


def test_the_scores_are_those_of_tensorflow_run_directly(graph: Graph) -> None:
    from birdlite.convert.tensorflow_package import imported

    pixels = np.frombuffer(b"".join(PICTURES), np.uint8).reshape(3, models.SIDE, models.SIDE, 3)
    expected = models.classifier(imported(), pixels)

    engine = TensorFlowEngine(graph)

    assert engine.name == "tensorflow"
    assert engine.run(pixels.tobytes(), 3) == pytest.approx(expected.numpy(), abs=1e-6)
    engine.close()


def test_an_operation_that_no_other_runtime_has_can_be_run() -> None:
    (scores,) = TensorFlowEngine(drawn(models.unknown)).run(PICTURES[0])

    assert sum(scores) == pytest.approx(1)
    assert len(scores) == 3


def test_a_graph_for_one_picture_runs_several_one_by_one() -> None:
    engine = TensorFlowEngine(drawn(models.classifier, batch=1))

    assert engine.run(b"".join(PICTURES), 3) == [engine.run(picture)[0] for picture in PICTURES]


def test_every_engine_gives_the_same_numbers(graph: Graph) -> None:
    assert TensorFlowEngine(graph).run(PICTURES[0]) == TensorFlowEngine(graph).run(PICTURES[0])


@pytest.mark.parametrize(("pixels", "n"), [(PICTURES[0][:-1], 1), (PICTURES[0], 2), (b"", 1)])
def test_pixels_of_another_size_are_refused(graph: Graph, pixels: bytes, n: int) -> None:
    with pytest.raises(EngineError, match="contiguous bytes"):
        TensorFlowEngine(graph).run(pixels, n)


def test_a_closed_engine_says_so(graph: Graph) -> None:
    engine = TensorFlowEngine(graph)

    engine.close()
    engine.close()

    with pytest.raises(EngineError, match="closed"):
        engine.run(PICTURES[0])


@pytest.mark.parametrize("op", ["Recognise", "Conv2D"])
def test_a_graph_that_makes_no_sense_to_tensorflow_is_refused(graph: Graph, op: str) -> None:
    definition = type(graph.definition).FromString(graph.definition.SerializeToString())
    definition.node[-1].op = op

    with pytest.raises(InvalidModel, match=rf"TensorFlow does not accept the graph: .*{op}") as caught:
        TensorFlowEngine(graph._replace(definition=definition))
    assert "\n" not in str(caught.value)


def failing(tensorflow: Any, pixels: Any) -> Any:
    """Pixels are used as rows of a table that is too short for them."""
    rows = tensorflow.gather(tensorflow.ones([10, 5]), tensorflow.cast(pixels, "int32"))
    return tensorflow.reduce_mean(rows, [1, 2, 3])


def test_what_fails_while_it_runs_is_said_in_a_line() -> None:
    with pytest.raises(EngineError, match=r"^TensorFlow could not run the graph: .*not in \[0, 10\)$") as caught:
        TensorFlowEngine(drawn(failing)).run(PICTURES[0])
    assert "\n" not in str(caught.value)


def without_classes(tensorflow: Any, pixels: Any) -> Any:
    return tensorflow.reduce_mean(tensorflow.cast(pixels, "float32"), [1, 2, 3])


def of_pairs(tensorflow: Any, pixels: Any) -> Any:
    return tensorflow.reshape(tensorflow.cast(pixels, "float32"), [2, -1])


@pytest.mark.parametrize("function", [without_classes, of_pairs])
def test_scores_of_another_shape_are_refused(function: Any) -> None:
    with pytest.raises(EngineError, match=r"instead of \[1, classes\]"):
        TensorFlowEngine(drawn(function)).run(PICTURES[0])


def printing(tensorflow: Any, pixels: Any) -> Any:
    values = tensorflow.compat.v1.Print(tensorflow.cast(pixels, "float32"), [pixels], "look at me")
    return tensorflow.nn.softmax(tensorflow.reduce_mean(values, [1, 2]))


def test_what_a_graph_prints_is_not_seen(capfd: pytest.CaptureFixture[str]) -> None:
    TensorFlowEngine(drawn(printing)).run(PICTURES[0])

    assert capfd.readouterr() == ("", "")
