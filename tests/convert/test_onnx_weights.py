"""What becomes of the weights of a graph in ONNX, and of the grids that they lie on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from birdlite.convert.saved_model import fake_quant
from birdlite.convert.saved_model.fold import Folded, fold
from birdlite.convert.saved_model.graph import constant_node, constant_of
from birdlite.convert.saved_model.to_onnx import graph_to_onnx
from birdlite.convert.unrounded import unrounded
from birdlite.errors import InvalidModel
from tests.graph_operations import (
    STEP,
    Array,
    Step,
    biased,
    by_numpy,
    by_onnxruntime,
    convolution,
    depthwise,
    mean,
    multiplied,
    network,
    noise,
    padded,
    pool,
    reshaped,
)
from tests.tiny_graphs import Builder

onnx = pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")


def constants_of(folded: Folded) -> dict[str, Array]:
    model = onnx.load_from_string(graph_to_onnx(folded, quantize="int8"))
    return {constant.name: onnx.numpy_helper.to_array(constant) for constant in model.graph.initializer}


def weights_of(folded: Folded) -> tuple[Array, Array, Array, Array]:
    """What the first whole weights are: in ONNX's order, their scales, and the same of the bias."""
    constants = constants_of(folded)
    stem = next(name.removesuffix("_weights") for name in constants if name.endswith("_weights"))
    zero_points = constants[f"{stem}_weights_zero_point"]
    assert not zero_points.any()
    names = [f"{stem}_{name}" for name in ("weights", "weights_scale", "bias", "bias_scale")]
    return tuple(constants[name] for name in names)  # type: ignore[return-value]


def weighted(build: Builder, value: str, values: Any, bias: Any, low: float, high: float, op: str = "Conv2D") -> str:
    kernels = build.fake_quant(build.constant("weights", values), low, high, narrow=True)
    attributes = {} if op == "MatMul" else {"padding": "SAME", "strides": [1, 1, 1, 1]}
    return build.add(
        "AddV2", [build.add(op, [value, kernels], "conv", **attributes), build.constant("bias", bias)], "b"
    )


def uneven(results: int = 4) -> Array:
    """Weights [1, 1, 3, results] within -0.8..0.8, the last result's within -1..1.4."""
    values = np.random.default_rng(5).uniform(-0.8, 0.8, (1, 1, 3, results))
    values[..., -1] = [-1, 1.4, 0.3]
    return values


def test_weights_keep_the_step_of_their_grid_and_with_it_their_exact_values() -> None:
    folded = fold(network(lambda b, v: weighted(b, v, uneven(), np.zeros(4), -1.0, 1.5), 324, rounds=True))
    grid = folded.weights["weights/quant"]
    stored, scales, _, _ = weights_of(folded)

    assert stored.dtype == np.int8
    assert scales[:3] == pytest.approx([float(grid.scale)] * 3, rel=1e-7)
    exact = fake_quant.fake_quantized(uneven().astype(np.float32), grid).transpose(3, 2, 0, 1)
    assert stored[:3] * scales[:3, None, None, None] == pytest.approx(exact[:3], abs=1e-7)
    # 1.4 is 142 steps away from 0: that result gets the smallest step with which int8 reaches it.
    assert scales[3] == pytest.approx(float(exact[3].max()) / 127, rel=1e-6)
    assert np.abs(stored[3] * scales[3] - exact[3]).max() <= scales[3] / 2 * 1.001


def test_weights_have_one_scale_if_it_does_for_all() -> None:
    folded = fold(network(lambda b, v: weighted(b, v, uneven() / 2, np.zeros(4), -1.0, 1.0), 324, rounds=True))
    _, scale, _, bias_scale = weights_of(folded)

    assert (scale.shape, bias_scale.shape) == ((), ())


def test_a_bias_is_of_whole_numbers_of_the_product_of_both_scales() -> None:
    biases = [0.5, -3.0, 0, 2.25]
    folded = fold(network(lambda b, v: weighted(b, v, uneven(), biases, -1.0, 1.5), 324, rounds=True))
    _, scales, stored, bias_scales = weights_of(folded)

    assert stored.dtype == np.int32
    assert bias_scales == pytest.approx(scales * 2.01 / 255, rel=1e-6)
    assert stored * bias_scales == pytest.approx(biases, abs=float(bias_scales.max()) / 2)


def per_channel(folded: Folded, name: str, channels: int, bits: int = 8) -> Folded:
    """The same graph, its weights on a grid for each index of their last dimension, none of them around 0."""
    highs = np.linspace(2.5, 5, channels)  # no weight is more than 127 steps away from 0
    grid = fake_quant.grid(-highs * np.linspace(0.8, 1, channels), highs, bits, narrow=False)
    graph = folded.graph
    values = fake_quant.fake_quantized(constant_of(graph.nodes[name]), grid)
    graph = graph._replace(nodes={**graph.nodes, name: constant_node(name, values)})
    return folded._replace(graph=graph, weights={name: grid})


def as_conv(weights: Array) -> Array:
    return weights.transpose(3, 2, 0, 1)


def as_depthwise(weights: Array) -> Array:
    height, width, channels, multiplier = weights.shape
    return weights.transpose(2, 3, 0, 1).reshape(channels * multiplier, 1, height, width)


@pytest.mark.parametrize(
    ("step", "size", "channels", "arranged"),
    [
        (lambda b, v: biased(b, v, "AddV2", (4,)), 324, 4, as_conv),
        (lambda b, v: depthwise(b, v, 2), 486, 2, as_depthwise),
        (lambda b, v: multiplied(b, mean(b, v)), 4, 4, lambda weights: weights),
    ],
    ids=["convolution", "depthwise", "fully connected"],
)
def test_weights_may_have_a_grid_for_each_channel(
    step: Step, size: int, channels: int, arranged: Callable[[Array], Array]
) -> None:
    folded = fold(network(step, size, rounds=True))
    (name,) = folded.weights
    folded = per_channel(folded, name, channels)

    constants = constants_of(folded)

    (key,) = (key for key in constants if key.endswith("_weights"))
    scales, expected = constants[f"{key}_scale"], arranged(constant_of(folded.graph.nodes[name]))
    assert constants[key].dtype == np.int8
    scales = scales if key.endswith("matmul_weights") else scales[:, None, None, None]
    assert constants[key] * scales == pytest.approx(expected, abs=1e-6)


def test_a_grid_for_each_channel_of_what_is_turned_round_is_not_one_of_the_results() -> None:
    folded = fold(network(lambda b, v: multiplied(b, mean(b, v), transpose_b=True), 4, rounds=True))
    (name,) = folded.weights
    folded = per_channel(folded, name, 3)

    smooth = by_onnxruntime(unrounded(graph_to_onnx(folded, quantize="int8")), noise())

    assert np.abs(smooth - by_numpy(folded.graph, noise())).max() < 0.005


@pytest.mark.parametrize("scale", [0, -1, np.inf, np.nan, [1, 2, 3]])
def test_scales_that_are_none_are_refused(scale: Any) -> None:
    folded = fold(network(convolution, 324, rounds=True))
    scales = np.array(scale, np.float32)
    grid = fake_quant.Grid(scales, np.zeros(scales.shape, np.int64), 0, 255)

    with pytest.raises(InvalidModel, match="scales of its weights"):
        graph_to_onnx(folded._replace(weights={"weights/quant": grid}), quantize="int8")


@pytest.mark.parametrize(("bits", "dtype"), [(8, np.int8), (16, np.float32)])
def test_weights_of_more_than_8_bits_stay_floats(bits: int, dtype: type) -> None:
    folded = per_channel(fold(network(convolution, 324, rounds=True)), "weights/quant", 4, bits)

    (stored,) = (array for name, array in constants_of(folded).items() if name.endswith("_weights"))

    assert stored.dtype == dtype


def test_a_result_that_is_next_to_nothing_beside_its_bias_gets_a_step_that_32_bits_hold() -> None:
    faint, biases = np.full((1, 1, 3, 4), 1e-7), [5.0, -1, 2, 0]
    graph = network(lambda b, v: weighted(b, v, faint, biases, -1e-7, 1e-7), 324, rounds=True)
    folded = fold(graph)

    *_, stored, scales = weights_of(folded)

    assert stored * scales == pytest.approx(biases, rel=1e-6)
    assert (
        np.abs(by_onnxruntime(graph_to_onnx(folded, quantize="int8"), noise()) - by_numpy(graph, noise())).max() < STEP
    )


def together(build: Builder, *values: str) -> str:
    return build.add("ConcatV2", [*values, build.constant("axis", 3, "int32")], "together")


# What a convolution reads that the source does not round there, and whether it lies on a grid all the same.
BETWEEN: dict[str, tuple[Step, type]] = {
    "sigmoid": (lambda b, v: b.add("Sigmoid", [v], "between"), np.float32),
    "relu": (lambda b, v: b.add("Relu", [v], "between"), np.int8),
    "relu6": (lambda b, v: b.add("Relu6", [v], "between"), np.float32),
    "padding": (padded, np.int8),
    "average": (lambda b, v: pool(b, v, "AvgPool", 3, 1, "SAME"), np.int8),
    "another shape": (lambda b, v: reshaped(b, mean(b, v), 1, 1, 3), np.int8),
    "twice the same": (lambda b, v: together(b, v, v), np.int8),
    "two that differ": (lambda b, v: together(b, v, "entry/quant"), np.float32),
}


@pytest.mark.parametrize("case", BETWEEN)
def test_weights_stay_floats_unless_their_input_lies_on_a_grid(case: str) -> None:
    between, dtype = BETWEEN[case]

    def step(build: Builder, value: str) -> str:
        wide = build.add("Mul", [value, build.constant("seven", 7.0)], "wide")
        read = between(build, build.fake_quant(wide, -7, 8))
        last = convolution(build, read, (1, 1), channels={"together": 6, "padded": 4}.get(read, 3))
        return build.add("Mean", [last, build.constant("sides", [1, 2], "int32")], "scores")

    constants = constants_of(fold(network(step, None, rounds=True)))

    (found,) = (array for name, array in constants.items() if name.endswith("_weights"))
    assert found.dtype == dtype
