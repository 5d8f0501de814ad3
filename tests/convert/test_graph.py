"""The graphs that are converted: plain pixels in, probabilities out, and the rounding of training taken out."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("tensorflow", reason="the extra `convert` is not installed")

import numpy as np

from birdlite.convert.graph import Graph, TensorFlowEngine, published, without_rounding
from birdlite.errors import InvalidModel
from tests import tiny_graphs
from tests.tiny_graphs import INPUT, OUTPUT, SIDE, Step, drawn, photographs, scores, source

PIXELS = bytes((0, 51, 255))  # of a picture of 1x1 px


def taking(step: Step, *, dtype: str = "float32", low: float = 0.0, high: float = 1.0) -> Graph:
    """A graph of pictures of 1x1 px that gives a row of whatever `step` makes of its three colours."""

    def row(tensorflow: Any, images: Any) -> Any:
        return tensorflow.reshape(step(tensorflow, images), [-1, 3])

    return published(source(row, dtype=dtype, side=1), INPUT, OUTPUT, 1, (low, high))[0]


def inverse_softmax(graph: Graph) -> list[float]:
    """What goes into the softmax, but for a constant: differences to the first."""
    (found,) = TensorFlowEngine(graph).run(PIXELS)
    logs = np.log(found)
    return [float(value) for value in logs - logs[0]]


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-1.0, 1.0), (0.0, 5.0)])
def test_a_graph_of_floats_gets_its_range_from_plain_pixels(low: float, high: float) -> None:
    graph = taking(lambda tensorflow, images: images, low=low, high=high)

    assert inverse_softmax(graph) == pytest.approx([0, (high - low) / 5, high - low], abs=1e-5)


def test_black_is_the_beginning_of_the_range() -> None:
    graph = taking(lambda tensorflow, images: images * images, low=-1.0, high=1.0)

    assert inverse_softmax(graph) == pytest.approx([0, 0.36 - 1, 0], abs=1e-5)


def test_a_graph_of_bytes_gets_them_as_they_are() -> None:
    graph = taking(lambda tensorflow, images: tensorflow.cast(images, "float32") / 51, dtype="uint8", high=9.0)

    assert inverse_softmax(graph) == pytest.approx([0, 1, 5], abs=1e-4)


@pytest.mark.parametrize(("end", "logits"), [("softmax", False), ("sigmoid", False), ("identity", True)])
def test_probabilities_are_left_alone_and_logits_become_some(end: str, logits: bool) -> None:
    graph, added = published(tiny_graphs.network(end=end), INPUT, OUTPUT, SIDE, (0.0, 1.0))

    assert added == logits
    if end != "sigmoid":
        expected = scores(TensorFlowEngine(tiny_graphs.graph()), photographs())
        assert scores(TensorFlowEngine(graph), photographs()) == pytest.approx(expected, abs=1e-6)


def test_rounded_and_reshaped_probabilities_are_still_some() -> None:
    def reshaped(tensorflow: Any, images: Any) -> Any:
        value = tensorflow.nn.softmax(tensorflow.reduce_mean(images, [1, 2], keepdims=True))
        return tensorflow.squeeze(tensorflow.quantization.fake_quant_with_min_max_args(value, 0, 1), [1, 2])

    assert published(source(reshaped), INPUT, OUTPUT, SIDE, (0.0, 1.0))[1] is False


def test_nodes_of_the_source_may_have_our_names() -> None:
    def named(tensorflow: Any, images: Any) -> Any:
        value = tensorflow.multiply(images, 2.0, name="pixels")
        return tensorflow.identity(value, name="probabilities")

    assert inverse_softmax(taking(named)) == pytest.approx([0, 0.4, 2], abs=1e-5)


def test_pictures_of_another_type_are_refused() -> None:
    with pytest.raises(InvalidModel, match="TensorFlow does not accept the graph: "):
        taking(lambda tensorflow, images: tensorflow.cast(images, "float32"), dtype="int32")


def test_an_output_without_pictures_is_refused() -> None:
    constant = source(lambda tensorflow, images: tensorflow.ones([1, 5]))

    with pytest.raises(InvalidModel, match=f"the output {OUTPUT} does not depend on the input {INPUT}"):
        published(constant, INPUT, OUTPUT, SIDE, (0.0, 1.0))


@pytest.mark.parametrize(("start", "end"), [("absent:0", OUTPUT), (INPUT, "absent:0"), (INPUT, f"{OUTPUT[:-1]}7")])
def test_ends_that_the_graph_does_not_have_are_refused(start: str, end: str) -> None:
    with pytest.raises(InvalidModel, match="TensorFlow does not accept the graph") as caught:
        published(tiny_graphs.network(), start, end, SIDE, (0.0, 1.0))
    assert "\n" not in str(caught.value)


def operations(graph: Graph | None) -> set[str]:
    assert graph is not None
    return {node.op for node in graph.definition.node}


NETWORK = {
    *("Placeholder", "Const", "Cast", "Mul", "Sub", "Conv2D", "AddV2", "Relu6", "DepthwiseConv2dNative", "AvgPool"),
    *("Squeeze", "MatMul", "BiasAdd", "Softmax", "Identity"),
}


def test_no_rounding_and_no_arithmetic_on_constants_is_left() -> None:
    found = without_rounding(tiny_graphs.graph())

    assert operations(found.floats) == NETWORK
    assert operations(found.ranged) == NETWORK | {"FakeQuantWithMinMaxArgs"}
    assert found.fake_quants == 9


def ranges(graph: Graph | None) -> list[tuple[float, float]]:
    assert graph is not None
    nodes = [node for node in graph.definition.node if node.op.startswith("FakeQuant")]
    return [(node.attr["min"].f, node.attr["max"].f) for node in nodes]


def test_the_ranges_of_activations_are_kept_with_0_on_their_grids() -> None:
    found = sorted(ranges(without_rounding(tiny_graphs.graph()).ranged))

    step = 16 / 255
    assert found == [
        pytest.approx((-128 * 20 / 255, 127 * 20 / 255)),
        pytest.approx((-128 * step, 127 * step)),
        pytest.approx((-102 * 20 / 255, 153 * 20 / 255)),
        (0, 6),
        (0, 6),
    ]


def test_a_graph_without_rounding_stays_the_same() -> None:
    graph = tiny_graphs.graph(rounds=False)

    found = without_rounding(graph)

    assert (found.ranged, found.fake_quants) == (None, 0)
    expected = scores(TensorFlowEngine(graph), photographs())
    assert scores(TensorFlowEngine(found.floats), photographs()) == pytest.approx(expected, abs=1e-6)


def test_only_the_rounding_of_activations_changes_an_answer() -> None:
    graph = tiny_graphs.graph()
    found = without_rounding(graph)
    expected = scores(TensorFlowEngine(graph), photographs())

    assert found.ranged is not None
    # A value halfway between two steps may be rounded the other way, which moves the logits by a step.
    assert scores(TensorFlowEngine(found.ranged), photographs()) == pytest.approx(expected, abs=0.03)
    floats = scores(TensorFlowEngine(found.floats), photographs())
    assert floats == pytest.approx(expected, abs=0.1)
    assert np.abs(floats - expected).max() > 1e-4


def rounding(**how: Any) -> Step:
    """Means of colours, rounded in some way, become probabilities."""

    def step(tensorflow: Any, pixels: Any) -> Any:
        means = tensorflow.reduce_mean(tensorflow.cast(pixels, "float32"), [1, 2])
        return tensorflow.nn.softmax(tensorflow.quantization.fake_quant_with_min_max_args(means, **how))

    return step


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-0.5, 254.5, (-1, 254)),  # halves are rounded up, as TensorFlow does
        (-1.5, 253.5, (-2, 253)),
        (2.0, 257.0, (0, 255)),
        (-257.0, -2.0, (-255, 0)),
    ],
)
def test_a_range_is_moved_as_tensorflow_moves_it(low: float, high: float, expected: tuple[float, float]) -> None:
    graph = drawn(rounding(min=low, max=high))

    found = without_rounding(graph).ranged

    assert ranges(found) == [expected]
    assert found is not None
    same = [scores(TensorFlowEngine(one), photographs()) for one in (graph, found)]
    assert same[0] == pytest.approx(same[1], abs=1e-6)


def by_channel(tensorflow: Any, pixels: Any) -> Any:
    values = tensorflow.cast(pixels, "float32")
    rounded = tensorflow.quantization.fake_quant_with_min_max_vars_per_channel(values, [-1.0] * 3, [1.0] * 3)
    return tensorflow.nn.softmax(tensorflow.reduce_mean(rounded, [1, 2]))


def by_picture(tensorflow: Any, pixels: Any) -> Any:
    values = tensorflow.cast(pixels, "float32")
    rounded = tensorflow.quantization.fake_quant_with_min_max_vars(values, 0.0, tensorflow.reduce_max(values))
    return tensorflow.nn.softmax(tensorflow.reduce_mean(rounded, [1, 2]))


def to_nothing(tensorflow: Any, pixels: Any) -> Any:
    values = tensorflow.reduce_mean(tensorflow.cast(pixels, "float32"), [1, 2])
    return tensorflow.nn.softmax(tensorflow.quantization.fake_quant_with_min_max_vars(values, 0.0, 0.0))


def of_scores(tensorflow: Any, pixels: Any) -> Any:
    values = tensorflow.nn.softmax(tensorflow.reduce_mean(tensorflow.cast(pixels, "float32"), [1, 2]))
    return tensorflow.quantization.fake_quant_with_min_max_args(values, 0, 1)


@pytest.mark.parametrize(
    "step",
    [rounding(num_bits=4), rounding(narrow_range=True), by_channel, by_picture, to_nothing, of_scores],
    ids=["4 bits", "narrow", "by channel", "by picture", "to nothing", "of the scores"],
)
def test_rounding_that_an_int8_result_cannot_have_is_taken_out(step: Step) -> None:
    found = without_rounding(drawn(step))

    assert found.ranged is None
    assert found.fake_quants == 1
    assert not [op for op in operations(found.floats) if op.startswith("FakeQuant")]


def test_weights_of_any_rounding_are_rounded_as_tensorflow_does() -> None:
    def step(tensorflow: Any, pixels: Any) -> Any:
        means = tensorflow.reduce_mean(tensorflow.cast(pixels, "float32") / 255, [1, 2])
        weights = tensorflow.constant(np.random.default_rng(0).normal(0, 1, (3, 7)), "float32")
        ends = np.linspace(0, 2, 7).astype(np.float32)  # the first channel is all zeros
        rounded = tensorflow.quantization.fake_quant_with_min_max_vars_per_channel(weights, -ends, ends, num_bits=4)
        return tensorflow.nn.softmax(means @ tensorflow.transpose(tensorflow.transpose(rounded)))

    graph = drawn(step)

    floats = without_rounding(graph).floats

    assert not [op for op in operations(floats) if op in ("Transpose", "FakeQuantWithMinMaxVarsPerChannel")]
    expected = scores(TensorFlowEngine(graph), photographs())
    assert scores(TensorFlowEngine(floats), photographs()) == pytest.approx(expected, abs=1e-6)


def test_constants_from_an_operation_with_several_results_are_computed() -> None:
    def step(tensorflow: Any, pixels: Any) -> Any:
        _, second = tensorflow.split(tensorflow.constant([[9.0] * 3, [1.0, 2.0, 3.0]]), 2)
        return tensorflow.nn.softmax(tensorflow.reduce_mean(tensorflow.cast(pixels, "float32") / 255, [1, 2]) * second)

    graph = drawn(step)

    floats = without_rounding(graph).floats

    assert "Split" not in operations(floats)
    expected = scores(TensorFlowEngine(graph), photographs())
    assert scores(TensorFlowEngine(floats), photographs()) == pytest.approx(expected, abs=1e-6)


def test_constants_that_cannot_be_computed_are_one_line() -> None:
    def step(tensorflow: Any, pixels: Any) -> Any:
        weights = tensorflow.gather(tensorflow.ones([2, 3]), tensorflow.constant([5]) * 1)
        return tensorflow.nn.softmax(tensorflow.reduce_mean(tensorflow.cast(pixels, "float32"), [1, 2]) * weights)

    with pytest.raises(InvalidModel, match=r"TensorFlow cannot compute the constants of the graph: .*5") as caught:
        without_rounding(drawn(step))
    assert "\n" not in str(caught.value)
