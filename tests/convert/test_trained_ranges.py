"""int8 with the ranges of training: integer kernels throughout, weights exactly those of the source where possible."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from birdlite.convert.onnx_forms import unrounded
from birdlite.convert.to_onnx import with_trained_ranges
from birdlite.errors import InvalidModel
from tests.onnx_networks import SIDE, WEIGHT_STEP, Network, apart, classifier, optimised_kinds

onnx = pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")


def constants_of(model: bytes) -> dict[str, Any]:
    graph = onnx.load_from_string(model).graph
    return {constant.name: onnx.numpy_helper.to_array(constant) for constant in graph.initializer}


def stored(model: bytes, ending: str) -> list[Any]:
    return [array for name, array in constants_of(model).items() if name.endswith(ending)]


def test_the_result_answers_as_its_source() -> None:
    source = classifier(rounds=True)

    assert apart(with_trained_ranges(source), source) < 0.03  # measured: 0.021, one step of the logits


def test_without_its_rounding_it_is_the_network_in_floats() -> None:
    source = classifier(rounds=True)

    assert apart(unrounded(with_trained_ranges(source)), unrounded(source)) < 1e-4


def test_everything_behind_the_first_convolution_is_computed_in_whole_numbers(tmp_path: Path) -> None:
    kinds = optimised_kinds(with_trained_ranges(classifier(rounds=True)), tmp_path)

    first = kinds.index("QuantizeLinear")
    assert len([kind for kind in kinds[:first] if "Conv" in kind]) == 1
    integers = ["QLinearConv", "QLinearConv", "QLinearAdd", "QLinearGlobalAveragePool", "Reshape", "QGemm"]
    assert kinds[first + 1 :] == [*integers, "DequantizeLinear", "Softmax"]


def test_a_source_without_rounding_stays_as_it_is(tmp_path: Path) -> None:
    result = with_trained_ranges(classifier())

    assert not [kind for kind in optimised_kinds(result, tmp_path) if kind.startswith("Q")]
    assert apart(result, classifier()) < 1e-6


def test_the_model_is_valid_and_its_ends_are_as_they_were() -> None:
    before, after = classifier(rounds=True), with_trained_ranges(classifier(rounds=True))

    onnx.checker.check_model(onnx.load_from_string(after), full_check=True)
    for end in ("input", "output"):
        (one,), (other,) = (getattr(onnx.load_from_string(model).graph, end) for model in (before, after))
        assert (one.name, one.type) == (other.name, other.type)


def test_weights_are_int8_and_biases_int32_with_a_scale_for_each_result() -> None:
    model = with_trained_ranges(classifier(rounds=True))

    assert {array.dtype.name for array in stored(model, "_weights")} == {"int8"}
    assert {array.dtype.name for array in stored(model, "_bias")} == {"int32"}
    assert sorted(array.shape for array in stored(model, "_weights_scale")) == [(5,), (8,), (8,)]
    assert not any(array.any() for array in stored(model, "_weights_zero_point"))


def matrix(weights: Any, *, rounded_to: float | None = None, bias: float = 0.1) -> bytes:
    """A model whose scores are the means of the colours, which are rounded, times `weights`, plus `bias`."""
    network = Network(rounds=True)
    network.add("GlobalAveragePool")
    network.row(3)
    network.round(2 / 255, 128)
    values = np.rint(weights / rounded_to) * rounded_to if rounded_to else weights
    network.add("Gemm", network.constant("weights", values), network.constant("bias", [bias] * weights.shape[1]))
    return network.graph.finish(network.add("Softmax"), SIDE, weights.shape[1])


def weights_of(model: bytes) -> tuple[Any, Any]:
    """What is stored, and the scales."""
    (numbers,), (scales,) = stored(model, "_weights"), stored(model, "_weights_scale")
    return numbers, scales


CHANCE = np.random.default_rng(0).normal(0, 1, (3, 40)).clip(-2, 2)


def test_weights_on_a_grid_keep_its_step_and_so_every_value() -> None:
    numbers, scales = weights_of(with_trained_ranges(matrix(CHANCE, rounded_to=WEIGHT_STEP)))

    assert scales == pytest.approx(np.full(40, WEIGHT_STEP), rel=1e-5)
    assert numbers * scales == pytest.approx(np.rint(CHANCE / WEIGHT_STEP) * WEIGHT_STEP, abs=1e-5)


def test_a_result_that_reaches_farther_than_127_steps_gets_a_step_of_its_own() -> None:
    far = CHANCE.copy()
    far[1, 7] = 200 * WEIGHT_STEP

    numbers, scales = weights_of(with_trained_ranges(matrix(far, rounded_to=WEIGHT_STEP)))

    assert scales[7] == pytest.approx(200 / 127 * WEIGHT_STEP)
    assert numbers[1, 7] == 127
    assert np.delete(scales, 7) == pytest.approx(np.full(39, WEIGHT_STEP), rel=1e-5)


def test_weights_that_are_on_no_grid_fill_all_of_int8() -> None:
    numbers, scales = weights_of(with_trained_ranges(matrix(np.random.default_rng(0).normal(0, 1, (3, 400)))))

    assert np.abs(numbers).max(0).tolist() == [127] * 400
    assert np.unique(scales).size == 400


def test_a_large_bias_leaves_room_for_the_sum() -> None:
    model = with_trained_ranges(matrix(np.full((3, 40), 1e-6), bias=1e4))

    (bias,) = stored(model, "_bias")
    assert np.abs(bias).max() == pytest.approx(2**30, rel=1e-3)


def test_a_result_without_weights_has_a_scale_all_the_same() -> None:
    _, scales = weights_of(with_trained_ranges(matrix(np.zeros((3, 40)), bias=0.0)))

    assert scales.tolist() == [1.0] * 40


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_weights_that_are_not_finite_are_refused(value: float) -> None:
    weights = CHANCE.copy()
    weights[0, 0] = value

    with pytest.raises(InvalidModel, match="not all finite"):
        with_trained_ranges(matrix(weights))


def test_a_product_that_adds_more_than_its_bias_stays_floats(tmp_path: Path) -> None:
    whole = onnx.load_from_string(matrix(CHANCE))
    (gemm,) = [node for node in whole.graph.node if node.op_type == "Gemm"]
    gemm.attribute.append(onnx.helper.make_attribute("alpha", 2.0))

    assert not stored(with_trained_ranges(whole.SerializeToString()), "_weights")
