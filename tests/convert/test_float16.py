"""Weights in half precision: half the bytes, the same network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from birdlite.convert.onnx_forms import FEWEST, halved, optimised
from birdlite.convert.onnx_graph import OnnxGraph
from birdlite.errors import InvalidModel
from tests.onnx_networks import SIDE, Array, Network, by_onnxruntime, noise, optimised_kinds

onnx = pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")

VALUES = SIDE * SIDE * 3


def classifier(weights: Array, dtype: str = "float32") -> bytes:
    """A model whose scores are the pixels times `weights`, [243, classes], plus a bias for each."""
    graph = OnnxGraph(SIDE)
    row = graph.node("Reshape", [graph.pixels(1 / 255, 0), graph.constant("row", (0, VALUES), "int64")], "flat")
    matrix = graph.constant("weights", weights, dtype)
    if dtype != "float32":
        matrix = graph.node("Cast", [matrix], "real", to=onnx.TensorProto.FLOAT)
    classes = weights.shape[1]
    bias = graph.constant("bias", np.linspace(0, 1 / 3, classes), "float32")
    return graph.finish(graph.node("Gemm", [row, matrix, bias], "scores"), classes, "a test")


def chance(*shape: int) -> Array:
    return np.random.default_rng(3).normal(0, 0.1, shape)


def constants_of(model: bytes) -> dict[str, Any]:
    return {constant.name: constant for constant in onnx.load_from_string(model).graph.initializer}


def test_the_model_takes_half_the_bytes() -> None:
    model = classifier(chance(VALUES, 400))

    assert len(halved(model)) == pytest.approx(len(model) / 2, rel=0.02)


def test_it_answers_as_before_but_for_eleven_bits_of_each_weight() -> None:
    model = classifier(chance(VALUES, 40))
    before = by_onnxruntime(model, noise())
    assert before.std() > 0.1

    apart = np.abs(by_onnxruntime(halved(model), noise()) - before)

    assert 0 < apart.max() < 2**-11 * np.abs(chance(VALUES, 40)).sum(0).max()


def test_a_model_that_is_optimised_stays_so_and_is_halved(tmp_path: Path) -> None:
    network = Network()
    network.convolution(64, 3)
    network.convolution(64, 64)
    network.add("GlobalAveragePool")
    network.row(64)
    model = optimised(network.classify(64))

    small = halved(model)

    assert len(small) < 0.75 * len(model)
    assert np.abs(by_onnxruntime(small, noise()) - by_onnxruntime(model, noise())).max() < 0.01
    assert sorted(optimised_kinds(small, tmp_path)) == sorted(optimised_kinds(model, tmp_path))


def test_onnxruntime_makes_floats_of_the_weights_once_when_it_loads_them(tmp_path: Path) -> None:
    small = halved(classifier(chance(VALUES, 40)))
    assert "Cast" in [node.op_type for node in onnx.load_from_string(small).graph.node]

    assert "Cast" not in optimised_kinds(small, tmp_path)


def test_the_model_is_valid_and_its_contract_is_as_it_was() -> None:
    model = classifier(chance(VALUES, 40))
    before, after = (onnx.load_from_string(data) for data in (model, halved(model)))

    onnx.checker.check_model(after, full_check=True)
    assert (before.graph.input, before.graph.output) == (after.graph.input, after.graph.output)


def test_constants_of_few_values_stay_exact() -> None:
    model = onnx.load_from_string(classifier(chance(VALUES, 40)))
    for count in (FEWEST - 1, FEWEST):
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(count, np.float32), f"of {count}"))

    constants = constants_of(halved(model.SerializeToString()))

    assert constants["bias"].data_type == constants[f"of {FEWEST - 1}"].data_type == onnx.TensorProto.FLOAT
    assert constants["weights_half"].data_type == onnx.TensorProto.FLOAT16
    assert constants[f"of {FEWEST}_half"].data_type == onnx.TensorProto.FLOAT16


@pytest.mark.parametrize("dtype", ["int8", "float64", "float16"])
def test_only_32_bit_floats_are_halved(dtype: str) -> None:
    model = classifier(np.ones((VALUES, 40)), dtype)

    assert halved(model) == model


@pytest.mark.parametrize("value", [65505.0, -70000.0, np.inf, np.nan])
def test_a_value_that_half_precision_does_not_have_is_refused(value: float) -> None:
    weights = chance(VALUES, 40)
    weights[200, 3] = value

    with pytest.raises(InvalidModel, match=r"^weights has values beyond 65,504, where half precision ends$"):
        halved(classifier(weights))


@pytest.mark.parametrize("value", [65504.0, -65504.0])
def test_the_highest_value_that_half_precision_has_is_kept(value: float) -> None:
    weights = chance(VALUES, 40)
    weights[200, 3] = value

    stored = onnx.numpy_helper.to_array(constants_of(halved(classifier(weights)))["weights_half"])

    assert stored[200, 3] == value
