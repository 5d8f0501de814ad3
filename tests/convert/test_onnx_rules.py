"""What becomes of the pixels of a graph in ONNX, and of the grids that it rounds its activations to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from birdlite.convert.saved_model import fake_quant
from birdlite.convert.saved_model.fold import Folded, fold
from birdlite.convert.saved_model.graph import Graph, graph_of
from birdlite.convert.saved_model.onnx_rules import pixels_of
from birdlite.convert.saved_model.pixels import take_pixels
from birdlite.convert.saved_model.to_onnx import graph_to_onnx
from birdlite.errors import InvalidModel
from tests.graph_operations import (
    FLOAT_MOST,
    SIDE,
    STEP,
    Array,
    Step,
    by_numpy,
    by_onnxruntime,
    convolution,
    mean,
    network,
    noise,
    optimised_kinds,
    pool,
    reshaped,
    squeezed,
)
from tests.tiny_graphs import Builder

onnx = pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")


# What becomes of the pixels

Stage = tuple[str, float | tuple[float, ...], bool]  # an operation, its constant, and whether it comes first

STAGES: dict[str, tuple[list[Stage], float, int, float]] = {  # and the scale, zero point and offset that they come to
    "nothing": ([], 1 / 255, 0, 0),
    "from -1 to 1": ([("Mul", 2, False), ("Sub", 1, False)], 2 / 255, 0, -1),
    "the same otherwise": ([("Sub", 0.5, False), ("RealDiv", 0.5, False)], 2 / 255, 0, -1),
    "around a pixel": ([("Mul", 255, False), ("Sub", 128, False), ("RealDiv", 128, False)], 1 / 128, 128, 0),
    "around the other end": ([("AddV2", -1, True), ("Mul", 3, True)], 3 / 255, 255, 0),
    "beyond the pixels": ([("Add", 0.5, False)], 1 / 255, 0, 0.5),
    "just beside a pixel": ([("Mul", 255, False), ("Sub", 128.001, False)], 1, 0, -128.001),
    "turned round": ([("Mul", 2, False), ("Mul", -1, False)], 2 / 255, 0, 0),
    "from a number": ([("Mul", 2, False), ("Sub", 1, True)], 2 / 255, 0, 0),
    "a number divided by it": ([("AddV2", 1, False), ("RealDiv", 1, True)], 1 / 255, 0, 1),
    "by 0": ([("Mul", 0, False)], 1 / 255, 0, 0),
    "beyond all floats": ([("Mul", 1e20, False), ("Mul", 1e10, False)], 1 / 255, 0, 0),
    "far beyond the pixels": ([("Add", 1e13, False)], 1 / 255, 0, 0),
    "every colour": ([("Mul", 2, False), ("Sub", (0.4, 0.5, 0.6), False)], 2 / 255, 0, 0),
}


def staged(stages: list[Stage]) -> Graph:
    build = Builder()
    value = build.input(SIDE)
    for number, (op, constant, comes_first) in enumerate(stages):
        inputs = [value, build.constant(f"constant{number}", constant)]
        value = build.add(op, inputs[::-1] if comes_first else inputs, f"stage{number}")
    value = build.add("Reshape", [value, build.constant("shape", [-1, 243], "int32")], "scores")
    return take_pixels(graph_of(build.graph_def, "images:0", "scores:0"), SIDE)


@pytest.mark.parametrize("case", STAGES)
def test_what_is_done_to_the_pixels_first_becomes_one_scale_and_one_offset(case: str) -> None:
    stages, scale, zero_point, offset = STAGES[case]
    graph, pictures = staged(stages), noise()
    model = graph_to_onnx(fold(graph), quantize="none")

    constants = {c.name: onnx.numpy_helper.to_array(c) for c in onnx.load_from_string(model).graph.initializer}
    assert constants["planes_scale"] == pytest.approx(scale, rel=1e-6)
    assert constants["planes_zero_point"] == zero_point
    assert constants.get("pixels_offset", 0) == pytest.approx(offset, rel=1e-6)
    expected = by_numpy(graph, pictures)
    assert by_onnxruntime(model, pictures) == pytest.approx(expected, rel=1e-6, abs=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("stage", [("Mul", np.inf, False), ("Add", np.nan, False), ("RealDiv", 0.0, False)])
def test_what_is_no_number_is_no_scale(stage: Stage) -> None:
    pixels = pixels_of(staged([stage]), {})

    assert pixels.nodes[-1] == "pixels/scaled"
    assert pixels.scale == pytest.approx(1 / 255)


def test_pixels_that_are_also_used_as_they_are_are_not_scaled_for_all() -> None:
    def twice(build: Builder, value: str) -> str:
        doubled = build.add("Mul", [value, build.constant("factor", 3.0)], "tripled")
        return build.add("Mul", [value, doubled], "squared")

    graph = network(twice, 243)

    scores = by_onnxruntime(graph_to_onnx(fold(graph), quantize="none"), noise())

    assert np.abs(scores - by_numpy(graph, noise())).max() < FLOAT_MOST


def around_a_pixel(*, rounds: bool = True, range_: tuple[float, float] = (-1, 127 / 128)) -> Graph:
    """Pixels as -1..127/128, on that grid, through a convolution."""
    build = Builder(seed=3)
    whole = build.add("Mul", [build.input(SIDE), build.constant("last", 255.0)], "whole")
    moved = build.add("Sub", [whole, build.constant("middle", 128.0)], "moved")
    value = build.add("Mul", [moved, build.constant("scale", 1 / 128)], "entry")
    value = build.fake_quant(value, *range_) if rounds else value
    value = build.fake_quant(convolution(build, value), -8, 8)
    value = build.add("Reshape", [value, build.constant("shape", [-1, 324], "int32")], "scores")
    return take_pixels(graph_of(build.graph_def, "images:0", "scores:0"), SIDE)


@pytest.mark.parametrize("rounds", [True, False])
def test_where_a_whole_number_stands_for_zero_the_first_convolution_is_of_whole_numbers_too(
    rounds: bool, tmp_path: Path
) -> None:
    graph = around_a_pixel(rounds=rounds)
    model = graph_to_onnx(fold(graph), quantize="int8")

    assert np.abs(by_onnxruntime(model, noise()) - by_numpy(graph, noise())).max() < 1.01 * STEP
    assert [kind for kind in optimised_kinds(model, tmp_path) if "Conv" in kind or "Linear" in kind] == [
        "QLinearConv",
        "DequantizeLinear",
    ]
    whole = onnx.load_from_string(model).graph
    assert onnx.TensorProto.INT8 in [constant.data_type for constant in whole.initializer]
    assert [node.op_type for node in whole.node].count("QuantizeLinear") == 1  # of the convolution: pixels are so


@pytest.mark.parametrize("range_", [(-0.5, 0.5), (-0.5, 191 / 128)], ids=["finer", "moved"])
def test_pixels_that_the_source_rounds_to_a_grid_of_its_own_are_rounded_to_it(range_: tuple[float, float]) -> None:
    graph = around_a_pixel(range_=range_)

    scores = by_onnxruntime(graph_to_onnx(fold(graph), quantize="int8"), noise())

    assert np.abs(scores - by_numpy(graph, noise())).max() < 1.01 * STEP


# Grids of activations


def rounding(graph: Graph, node: str, low: float, high: float, bits: int = 8, *, narrow: bool = False) -> Folded:
    """A graph folded, with one more node that it rounds behind."""
    folded = fold(graph)
    grid = fake_quant.grid(low, high, bits, narrow=narrow)
    return folded._replace(activations={**folded.activations, node: grid})


def rounded_by_numpy(folded: Folded, node: str, pictures: Array) -> Array:
    """What the last node in front of the flattening gives, on its grid."""
    return fake_quant.fake_quantized(by_numpy(folded.graph, pictures).astype(np.float32), folded.activations[node])


@pytest.mark.parametrize(
    ("op", "high", "clips"),
    [("Relu6", 6, 0), ("Relu6", 5.9, 0), ("Relu6", 6.5, 1), ("Relu", 9, 0), ("Relu", -4, 1)],
)
def test_an_activation_is_left_to_the_grid_where_that_ends_at_the_same_place(op: str, high: float, clips: int) -> None:
    wide = network(lambda b, v: b.add(op, [b.add("Mul", [v, b.constant("seven", 7.0)], "wide")], "cut"), 243)
    low, high = (high, 9) if high < 0 else (0, high)
    folded = rounding(wide, "cut", low, high)
    model = graph_to_onnx(folded, quantize="int8")

    apart = np.abs(by_onnxruntime(model, noise(), optimized=False) - rounded_by_numpy(folded, "cut", noise()))
    assert apart.max() <= 1.01 * (high - low) / 255
    assert apart.mean() < 0.05 * (high - low) / 255
    kinds = [node.op_type for node in onnx.load_from_string(model).graph.node]
    assert (kinds.count(op), kinds.count("Clip")) == {"Relu": (clips, 0), "Relu6": (0, clips)}[op]


@pytest.mark.parametrize(("bits", "narrow"), [(4, False), (8, True), (4, True)])
def test_a_grid_of_fewer_values_ends_where_it_ends_in_the_source(bits: int, narrow: bool) -> None:
    wide = network(lambda b, v: b.add("Mul", [v, b.constant("seven", 7.0)], "wide"), 243)
    folded = rounding(wide, "wide", -3, 4, bits, narrow=narrow)
    expected = rounded_by_numpy(folded, "wide", noise())
    assert (expected.min(), expected.max()) == pytest.approx((-3, 4), abs=0.5)  # both ends are reached

    scores = by_onnxruntime(graph_to_onnx(folded, quantize="int8"), noise())

    assert (scores.min(), scores.max()) == pytest.approx((expected.min(), expected.max()), abs=1e-5)
    assert np.mean(np.abs(scores - expected) > 1e-5) < 0.02  # what lies in the middle between two values


@pytest.mark.parametrize("kind", ["16 bits", "a scale for every channel"])
def test_what_is_rounded_in_a_way_that_a_byte_cannot_hold_is_not_rounded(kind: str) -> None:
    graph = network(lambda b, v: b.add("Mul", [v, b.constant("seven", 7.0)], "wide"), 243, rounds=True)
    folded = fold(graph)
    grid = (
        fake_quant.grid(-3, 4, 16, narrow=False)
        if kind == "16 bits"
        else fake_quant.grid([-3.0] * 3, [4.0, 5, 6], 8, narrow=False)
    )
    folded = folded._replace(activations={"entry": folded.activations["entry"], "wide": grid})

    model = onnx.load_from_string(graph_to_onnx(folded, quantize="int8"))

    assert [node.op_type for node in model.graph.node].count("QuantizeLinear") == 1  # of the pixels


def test_scores_stay_floats_where_the_source_rounds_them() -> None:
    folded = fold(network(lambda b, v: b.add("Softmax", [mean(b, v)], "softmax"), None, rounds=True))
    assert folded.graph.output in folded.activations

    scores = by_onnxruntime(graph_to_onnx(folded, quantize="int8"), noise())

    assert scores.sum(1) == pytest.approx(1, abs=1e-6)


def ranges_rounded_to(step: Step, *, own: bool) -> list[float]:
    """How wide the grids are that the result rounds to, in their order."""
    folded = fold(network(step, 3, rounds=True))
    if not own:
        folded = folded._replace(activations={"entry": folded.activations["entry"]})
    model = onnx.load_from_string(graph_to_onnx(folded, quantize="int8"))
    constants = {c.name: onnx.numpy_helper.to_array(c) for c in model.graph.initializer}
    return [
        round(float(constants[node.input[1]]) * 255, 3) for node in model.graph.node if node.op_type == "QuantizeLinear"
    ]


@pytest.mark.parametrize("step", [mean, lambda b, v: squeezed(b, v, 1, 2)])
@pytest.mark.parametrize(("own", "ranges"), [(True, [2.01, 16]), (False, [2.01, 2.01])])
def test_a_mean_keeps_the_grid_of_its_input_only_if_the_source_does_not_round_it(
    step: Step, own: bool, ranges: list[float]
) -> None:
    assert ranges_rounded_to(step, own=own) == ranges


def test_where_a_pool_and_a_squeeze_behind_it_are_rounded_both_are() -> None:
    def both(build: Builder, value: str) -> str:
        pooled = build.fake_quant(pool(build, value, "AvgPool", SIDE, 1, "VALID"), -4, 4)
        return build.add("Squeeze", [pooled], "row", squeeze_dims=[1, 2])

    assert ranges_rounded_to(both, own=True) == [2.01, 8, 16]


def test_a_pool_that_something_else_reads_too_is_not_rounded_as_a_squeeze_behind_it_is() -> None:
    def shared(build: Builder, value: str) -> str:
        row = build.fake_quant(squeezed(build, value, 1, 2), -4, 4)
        return build.add("Mul", [row, reshaped(build, "pooled", 3)], "product")

    assert ranges_rounded_to(shared, own=True) == [2.01, 2.01, 8, 16]


@pytest.mark.parametrize(("scale", "zero_point"), [(0, 0), (np.inf, 0), (np.nan, 0), (-1, 0), (1, -1), (1, 256)])
def test_a_grid_that_is_none_is_refused(scale: float, zero_point: int) -> None:
    folded = fold(network(mean, 3, rounds=True))
    grid = fake_quant.Grid(np.array(scale, np.float32), np.array(zero_point), 0, 255)

    with pytest.raises(InvalidModel, match="the graph rounds to a grid of scale"):
        graph_to_onnx(folded._replace(activations={"mean": grid}), quantize="int8")


def test_a_pool_that_changes_no_value_works_on_bytes(tmp_path: Path) -> None:
    folded = fold(
        network(lambda b, v: pool(b, convolution(b, v, results=3), "MaxPool", 3, 2, "VALID"), 48, rounds=True)
    )
    grid = fake_quant.grid(-8, 8, 8, narrow=False)
    folded = folded._replace(activations={"entry": folded.activations["entry"], "conv": grid})

    kinds = optimised_kinds(graph_to_onnx(folded, quantize="int8"), tmp_path)

    assert kinds[-5:] == ["QLinearConv", "MaxPool", "Transpose", "Reshape", "DequantizeLinear"]
