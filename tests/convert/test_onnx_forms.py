"""Other forms of ONNX models: weights in half precision, and int8 by ranges measured on pictures."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from birdlite import log
from birdlite.convert.onnx_forms import FEWEST, halved, optimised, quantized, unrounded
from birdlite.convert.onnx_graph import OnnxGraph
from birdlite.errors import InvalidModel
from tests import onnx_networks
from tests.onnx_networks import SIDE, Array, Network, apart, by_onnxruntime, noise, optimised_kinds

onnx = pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")

VALUES = SIDE * SIDE * 3


def classifier(weights: Array, dtype: str = "float32") -> bytes:
    """A model whose scores are the pixels times `weights`, [243, classes], plus a bias for each."""
    graph = OnnxGraph()
    row = graph.node("Reshape", [graph.pixels(1 / 255, 0), graph.constant("row", (0, VALUES), "int64")], "flat")
    matrix = graph.constant("weights", weights, dtype)
    if dtype != "float32":
        matrix = graph.node("Cast", [matrix], "real", to=onnx.TensorProto.FLOAT)
    classes = weights.shape[1]
    bias = graph.constant("bias", np.linspace(0, 1 / 3, classes), "float32")
    return graph.finish(graph.node("Gemm", [row, matrix, bias], "scores"), SIDE, classes)


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


PICTURES = [picture.tobytes() for picture in noise()]


@pytest.fixture(scope="module")
def floats() -> bytes:
    return onnx_networks.classifier()


def test_the_result_answers_nearly_as_its_source(floats: bytes) -> None:
    result = quantized(floats, PICTURES)

    assert apart(result, floats) < 0.005  # measured: 0.002


def test_its_ranges_are_those_of_the_pictures(floats: bytes) -> None:
    # Without light there is nothing to measure, and everything else saturates.
    result = quantized(floats, [bytes(SIDE * SIDE * 3)])

    assert apart(result, floats) > 0.01  # measured: 0.015


def test_without_its_rounding_the_result_is_nearly_its_source(floats: bytes) -> None:
    result = quantized(floats, PICTURES)

    assert apart(unrounded(result), floats) < 0.01


def test_pictures_are_taken_one_at_a_time(floats: bytes) -> None:
    """Each is let go of before the next is taken: a thousand would be a lot of memory."""
    alive = 0

    class Picture(bytes):
        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    most = 0

    def pictures() -> Iterator[bytes]:
        nonlocal alive, most
        for picture in PICTURES:
            alive += 1
            most = max(most, alive)
            yield Picture(picture)

    quantized(floats, pictures())

    assert most <= 3


def test_the_contract_stays_as_it_was(floats: bytes) -> None:
    before, after = (onnx.load_from_string(model).graph for model in (floats, quantized(floats, PICTURES[:2])))

    for ends, same in ((before.input, after.input), (before.output, after.output)):
        assert [(end.name, end.type) for end in ends] == [(end.name, end.type) for end in same]


def test_activations_are_uint8_and_weights_int8_with_a_scale_for_each_channel(floats: bytes) -> None:
    graph = onnx.load_from_string(quantized(floats, PICTURES[:2])).graph
    constants = {c.name: onnx.numpy_helper.to_array(c) for c in graph.initializer}
    zero_points = {node.op_type: set[tuple[str, int]]() for node in graph.node if "Linear" in node.op_type}
    for node in graph.node:
        if "Linear" in node.op_type and node.input[0] != "planes":
            zero_point = constants[node.input[2]]
            zero_points[node.op_type].add((zero_point.dtype.name, zero_point.ndim))

    assert zero_points["QuantizeLinear"] == {("uint8", 0)}
    assert ("int8", 1) in zero_points["DequantizeLinear"]


def test_the_beginning_and_the_scores_stay_floats_and_all_between_them_does_not(floats: bytes, tmp_path: Path) -> None:
    kinds = optimised_kinds(quantized(floats, PICTURES), tmp_path)

    first = kinds.index("QuantizeLinear")
    assert [kind for kind in kinds[:first] if "Conv" in kind] == ["Conv"]
    assert kinds[-2:] == ["QGemm", "Softmax"]
    assert set(kinds[first:-2]) <= {
        "QuantizeLinear",
        "QLinearConv",
        "QLinearAdd",
        "QLinearGlobalAveragePool",
        "Reshape",
    }


def test_a_normalisation_is_folded_into_its_convolution_before_that_is_rounded(tmp_path: Path) -> None:
    network = Network()
    network.convolution(8, 3)
    network.add("Conv", network.weights(8, 8, 1, 1))
    network.add(
        "BatchNormalization", *(network.constant(f"part{i}", network.chance.uniform(1, 2, 8)) for i in range(4))
    )
    network.add("GlobalAveragePool")
    network.row(8)
    model = network.classify(8)

    result = quantized(model, PICTURES)

    kinds = optimised_kinds(result, tmp_path)
    assert "QLinearConv" in kinds
    assert not {"BatchNormalization", "Mul"} & set(kinds)
    assert apart(result, model) < 0.05


def test_a_network_without_a_convolution_is_quantised_too(tmp_path: Path) -> None:
    network = Network()
    network.add("GlobalAveragePool")
    network.row(3)
    model = network.classify(3)

    result = quantized(model, PICTURES)

    assert "QGemm" in optimised_kinds(result, tmp_path)
    assert apart(result, model) < 0.05


def test_what_the_quantiser_has_to_say_is_for_those_who_look_for_a_fault(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It warns of a bias that is no constant."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # pytest's, which other programs do not have
    graph = OnnxGraph()
    values = SIDE * SIDE * 3
    row = graph.node("Reshape", [graph.pixels(1 / 255, 0), graph.constant("shape", (0, values), "int64")], "row")
    weights = graph.constant("weights", np.random.default_rng(1).normal(0, 0.1, (values, 5)), "float32")
    bias = graph.node("Gemm", [row, weights], "bias")
    model = graph.finish(graph.node("Gemm", [row, weights, bias], "last"), SIDE, 5)
    lines: list[str] = []
    log.to(lambda level, message, fields: lines.append(f"{level} {fields}"), log.DEBUG)

    quantized(model, PICTURES[:2])

    assert [line for line in lines if line.startswith("10 ") and "Bias of Gemm" in line]
    assert not [line for line in lines if not line.startswith("10 ")]
    assert capfd.readouterr() == ("", "")


def test_nothing_is_printed_logged_or_left_behind(
    floats: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder, temporary = tmp_path / "current", tmp_path / "temporary"
    folder.mkdir()
    temporary.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    handlers = [*logging.getLogger().handlers]

    quantized(floats, PICTURES[:2])

    assert capfd.readouterr() == ("", "")
    assert (os.listdir(folder), os.listdir(temporary)) == ([], [])
    assert logging.getLogger().handlers == handlers
