"""What becomes of the weights of a graph in ONNX, and of the grids that they lie on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from birdlite.convert.saved_model import fake_quant
from birdlite.convert.saved_model.fold import Folded, fold
from birdlite.convert.saved_model.graph import constant_node, constant_of
from birdlite.convert.saved_model.to_onnx import graph_to_onnx
from birdlite.convert.unrounded import unrounded
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
    optimised_kinds,
    weights,
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
    assert bias_scales == pytest.approx(scales * 2 / 255, rel=1e-6)
    assert stored * bias_scales == pytest.approx(biases, abs=float(bias_scales.max()) / 2)


def per_channel(folded: Folded, name: str, channels: int, bits: int = 8) -> Folded:
    """The same graph, its weights on a grid for each index of their last dimension, none of them around 0."""
    highs = np.linspace(0.5, 2, channels)
    grid = fake_quant.grid(-highs * np.linspace(0.5, 1, channels), highs, bits, narrow=False)
    graph = folded.graph
    values = fake_quant.fake_quantized(constant_of(graph.nodes[name]), grid)
    graph = graph._replace(nodes={**graph.nodes, name: constant_node(name, values)})
    return folded._replace(graph=graph, weights={name: grid})


@pytest.mark.parametrize(
    ("step", "size", "channels"),
    [
        (lambda b, v: biased(b, v, "AddV2", (4,)), 324, 4),
        (lambda b, v: depthwise(b, v, 2), 486, 2),
        (lambda b, v: multiplied(b, mean(b, v)), 4, 4),
        (lambda b, v: multiplied(b, mean(b, v), transpose_b=True), 4, 3),
    ],
    ids=["convolution", "depthwise", "fully connected", "fully connected, turned"],
)
def test_weights_may_have_a_grid_for_each_channel(step: Step, size: int, channels: int) -> None:
    folded = fold(network(step, size, rounds=True))
    (name,) = folded.weights
    folded = per_channel(folded, name, channels)
    expected = by_numpy(folded.graph, noise())

    smooth = by_onnxruntime(unrounded(graph_to_onnx(folded, quantize="int8")), noise())

    assert np.abs(smooth - expected).max() < 0.02  # widest results have a step of their own
    assert expected.std() > 0.05


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


def test_weights_whose_input_is_not_rounded_stay_floats(tmp_path: Path) -> None:
    def gated(build: Builder, value: str) -> str:
        rounded = build.fake_quant(convolution(build, value, results=3), -8, 8)
        more = weights(build, (1, 1, 3, 3), "more")
        return build.add(
            "Conv2D", [build.add("Sigmoid", [rounded], "gate"), more], "last", padding="SAME", strides=[1, 1, 1, 1]
        )

    graph = network(gated, 243, rounds=True)
    model = graph_to_onnx(fold(graph), quantize="int8")

    assert np.abs(by_onnxruntime(model, noise()) - by_numpy(graph, noise())).max() < 1.01 * STEP
    kinds = optimised_kinds(model, tmp_path)
    assert (kinds.count("QLinearConv"), kinds.count("Conv")) == (1, 1)
