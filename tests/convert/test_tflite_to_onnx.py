"""A `.tflite` model and the ONNX made of it give the same scores: operator by operator, and the whole real models."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from birdlite import engines
from birdlite.convert.onnx_forms import unrounded
from birdlite.convert.tflite_to_onnx import Quantize, tflite_to_onnx
from birdlite.errors import EngineMissing, InvalidModel
from birdlite.images.picture import decode
from birdlite.models.card import Card
from birdlite.settings import Resize
from tests import demo_world, tiny_models
from tests.network_operations import (
    CASES,
    activation,
    convolution,
    fully_connected,
    mean,
    noise,
    scales_along_the_wrong_axis,
    softmax,
)
from tests.onnx_networks import by_onnxruntime
from tests.small_networks import Network, Style

onnx = pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")

OFFICIAL = "storage.googleapis.com/tfhub-lite-models/google/lite-model/aiy/vision/classifier/birds_V1/3.tflite"
RESIZES: tuple[Resize, ...] = ("crop", "squash", "exact")

# Scores of the sources are multiples of 1/256; ONNX leaves this last rounding out, half a step. For 15 of 18
# photographs that is all there is between the official model and its int8 conversion, and for all of the demo's
# pictures. But where a sum lies exactly between two values, the runtimes round it differently, and the official model
# is chaotic: then it was up to 0.027. So there is a bound for the median picture, and another for the worst.
HALF_A_STEP = 0.5 / 256
INT8_MEDIAN, INT8_OFFICIAL, INT8_DEMO = 1.5 * HALF_A_STEP, 0.05, 0.02
# The official model is chaotic (see `birdlite.convert.onnx_forms`): measured 0.066 with photographs in three sizes. The
# demo's is not: 0.005.
FLOAT_OFFICIAL, FLOAT_DEMO = 0.08, 0.01
# The same float model against the source without its rounding: measured 0.016 and below 1e-5.
UNROUNDED_OFFICIAL, UNROUNDED_DEMO = 0.03, 1e-4

Array = np.ndarray[Any, Any]


def by_litert(model: bytes, pictures: Array) -> Array:
    input_, output = engines.describe(model)
    engine = engines.load(model, Card("source", "tflite", input_, output, {}, source="a test"))
    try:
        return np.array(engine.run(pictures.tobytes(), len(pictures)))
    finally:
        engine.close()


def read_pictures(paths: list[Path]) -> Array:
    return np.stack(
        [
            np.frombuffer(bytes(decode(path.read_bytes(), resize=resize).pixels), np.uint8).reshape(224, 224, 3)
            for path in paths
            for resize in RESIZES
        ]
    )


class World:
    """A source with its pictures, and what the source says of them."""

    def __init__(self, model: bytes, pictures: list[Path], int8: float, floats: float, unrounded: float) -> None:
        self.model = model
        self.pictures = read_pictures(pictures)
        self.scores = by_litert(model, self.pictures)
        self.bounds: dict[Quantize, float] = {"none": floats, "int8": int8}
        self.unrounded_bound = unrounded

    def passes(self, converted: bytes, quantize: Quantize) -> bool:
        """The comparison: the same best class for all, scores within bounds, for floats also without rounding."""
        scores = by_onnxruntime(converted, self.pictures)
        apart = np.abs(scores - self.scores).max(1)
        if (scores.argmax(1) != self.scores.argmax(1)).any() or apart.max() > self.bounds[quantize]:
            return False
        if quantize == "int8":
            return bool(np.median(apart) <= INT8_MEDIAN)
        smooth = by_onnxruntime(unrounded(tflite_to_onnx(self.model, quantize="int8")), self.pictures)
        return bool(np.abs(scores - smooth).max() <= self.unrounded_bound)


@pytest.fixture(scope="module")
def demo() -> World:
    return World(demo_world.MODEL.read_bytes(), demo_world.PICTURES, INT8_DEMO, FLOAT_DEMO, UNROUNDED_DEMO)


@pytest.fixture(scope="module")
def official(birds: Path) -> World:
    photographs = sorted((birds / "mirror").rglob("*.jpg"))
    assert len(photographs) == 6
    return World(
        (birds / "mirror" / OFFICIAL).read_bytes(), photographs, INT8_OFFICIAL, FLOAT_OFFICIAL, UNROUNDED_OFFICIAL
    )


@pytest.fixture(params=["demo", pytest.param("official", marks=pytest.mark.birds)])
def world(request: pytest.FixtureRequest) -> World:
    found: World = request.getfixturevalue(request.param)
    return found


# Whole models


@pytest.mark.parametrize("quantize", ["none", "int8"])
def test_a_converted_model_answers_as_its_source_does(world: World, quantize: Quantize) -> None:
    assert world.passes(tflite_to_onnx(world.model, quantize=quantize), quantize)


@pytest.mark.parametrize("quantize", ["none", "int8"])
def test_several_pictures_at_once_get_the_scores_that_they_get_alone(demo: World, quantize: Quantize) -> None:
    model = tflite_to_onnx(demo.model, quantize=quantize)
    together = by_onnxruntime(model, demo.pictures[:5])
    alone = np.concatenate([by_onnxruntime(model, demo.pictures[i : i + 1]) for i in range(5)])

    assert np.abs(together - alone).max() < 1e-6


@pytest.mark.parametrize("quantize", ["none", "int8"])
def test_the_model_states_the_contract_of_pixels_and_the_versions(demo: World, quantize: Quantize) -> None:
    model = onnx.load_from_string(tflite_to_onnx(demo.model, quantize=quantize))

    assert (model.opset_import[0].version, model.ir_version) == (17, 8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (takes,), (gives,) = session.get_inputs(), session.get_outputs()
    assert (takes.name, takes.type, takes.shape) == ("pixels", "tensor(uint8)", ["N", 224, 224, 3])
    assert (gives.name, gives.type, gives.shape) == ("probabilities", "tensor(float)", ["N", 7])


def test_a_conversion_is_a_function_of_its_source(demo: World) -> None:
    assert tflite_to_onnx(demo.model, quantize="int8") == tflite_to_onnx(demo.model, quantize="int8")


def test_onnxruntime_makes_integer_kernels_of_everything_but_the_ends(world: World, tmp_path: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    model = tflite_to_onnx(world.model, quantize="int8")
    onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    kinds = [node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node]
    assert not {"Conv", "Gemm", "Add", "GlobalAveragePool", "QuantizeLinear"} & set(kinds)
    assert kinds.count("Transpose") == kinds.count("DequantizeLinear") == kinds.count("Softmax") == 1


# Faults that the comparison must find


def without_bias(model: Any, kind: str = "Gemm") -> None:
    """Of the classifier, or with `Conv` of the first convolution."""
    replace_constant(model, first(model, kind).input[2], np.zeros_like)


def with_red_and_blue_swapped(model: Any) -> None:
    replace_constant(model, first(model, "Conv").input[1], lambda weights: weights[:, ::-1])


def without_one_clip(model: Any) -> None:
    clip = first(model, "Clip", "Relu")
    clip.op_type = "Identity"
    del clip.input[1:]


def first(model: Any, *kinds: str) -> Any:
    return next(node for node in model.graph.node if node.op_type in kinds)


def replace_constant(model: Any, name: str, change: Callable[[Array], Array]) -> None:
    """The name is that of the constant, or of what DequantizeLinear makes of it."""
    stored = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    (constant,) = (found for found in model.graph.initializer if found.name == stored.get(name, name))
    changed = np.ascontiguousarray(change(onnx.numpy_helper.to_array(constant)))
    constant.CopyFrom(onnx.numpy_helper.from_array(changed, constant.name))


@pytest.mark.parametrize(
    ("fault", "quantize"),
    [
        (without_bias, "none"),
        (with_red_and_blue_swapped, "none"),
        (without_one_clip, "none"),
        (with_red_and_blue_swapped, "int8"),
    ],
)
def test_the_comparison_finds_a_fault(world: World, fault: Callable[[Any], None], quantize: Quantize) -> None:
    model = onnx.load_from_string(tflite_to_onnx(world.model, quantize=quantize))
    fault(model)

    assert not world.passes(model.SerializeToString(), quantize)


@pytest.mark.birds
def test_the_comparison_finds_a_classifier_without_its_bias_in_int8(official: World) -> None:
    # The demo's classifier has biases too small to tell: without them, most scores are within half a step.
    model = onnx.load_from_string(tflite_to_onnx(official.model, quantize="int8"))
    without_bias(model)

    assert not official.passes(model.SerializeToString(), "int8")


def test_the_comparison_finds_a_convolution_without_its_bias_in_int8(demo: World) -> None:
    model = onnx.load_from_string(tflite_to_onnx(demo.model, quantize="int8"))
    without_bias(model, "Conv")

    assert not demo.passes(model.SerializeToString(), "int8")


# Operator by operator

# Whole numbers may be rounded to the other side; floats lack the rounding of each operator, and there are up to two.
QUANTIZED_MOST: list[tuple[Quantize, float]] = [("int8", 1.01), ("none", 1.6)]


@pytest.mark.parametrize("style", ["uint8", "int8"])
@pytest.mark.parametrize("case", CASES)
def test_an_operator_gives_what_it_gives_in_litert(case: str, style: Style) -> None:
    network = Network(style)
    model = network.row(CASES[case](network))
    pictures = noise()
    expected = by_litert(model, pictures)
    step = engines.describe(model)[1].scale
    assert expected.std() > 3 * step  # it says something

    for quantize, most in QUANTIZED_MOST:
        apart = np.abs(by_onnxruntime(tflite_to_onnx(model, quantize=quantize), pictures) - expected) / step
        assert apart.max() <= most, quantize
        assert apart.mean() <= 0.4, quantize


@pytest.mark.parametrize("style", ["uint8", "int8"])
def test_a_change_of_grid_is_a_rounding_in_whole_numbers(style: Style) -> None:
    network = Network(style)
    coarse = activation(network, "QUANTIZE", (1 / 4, 128))
    fine = network.operator("QUANTIZE", [coarse], network.activation([9, 9, 3], 1 / 100))
    model, pictures = network.row(fine), noise()

    # As it is written: onnxruntime's optimiser takes the first of two roundings for a waste of time.
    found = by_onnxruntime(tflite_to_onnx(model, quantize="int8"), pictures, optimized=False)
    apart = np.abs(found - by_litert(model, pictures))

    # Pixels are multiples of 1/128 and some lie in the middle between two quarters, where runtimes differ.
    assert np.mean(apart > 1 / 200) < 0.05


def test_a_model_may_give_floats() -> None:
    model = tiny_models.model(gives="float32")
    pictures = np.frombuffer(tiny_models.picture(200, 255, 100), np.uint8).reshape(1, 8, 8, 3)

    (scores,) = by_onnxruntime(tflite_to_onnx(model, quantize="int8"), pictures)

    assert scores == pytest.approx(tiny_models.scores(200, 255, 100), abs=1e-6)


# What cannot be converted


def test_an_unknown_operator_is_named_with_its_place_and_the_way_round_it() -> None:
    network = Network("uint8")
    logistic = network.operator("LOGISTIC", [convolution(network)], network.activation([9, 9, 4], 1 / 256, 0))

    with pytest.raises(InvalidModel, match=r"^operator 1, LOGISTIC: not known here; .*tf2onnx.*extra convert"):
        tflite_to_onnx(network.row(logistic), quantize="none")


def test_a_custom_operator_is_named() -> None:
    with pytest.raises(InvalidModel, match="operator 2, CUSTOM 'Detect'"):
        tflite_to_onnx(tiny_models.model(custom_op="Detect"), quantize="none")


@pytest.mark.parametrize("takes", ["float32", "int8"])
def test_only_plain_pixels_are_taken(takes: tiny_models.Dtype) -> None:
    with pytest.raises(InvalidModel, match=f"takes {takes} .* only quantised uint8"):
        tflite_to_onnx(tiny_models.model(takes=takes), quantize="none")


@pytest.mark.parametrize(
    ("odd", "says"),
    [
        ({"width": 9}, r"takes \[1, 8, 9, 3\]"),
        ({"flat": False}, r"gives \[1, 1, 1, 5\]"),
        ({"batch": 2}, r"takes \[2, 8, 8, 3\]"),
        ({"gives": "int16"}, "operator 2, QUANTIZE: int16"),
    ],
)
def test_other_ends_are_refused(odd: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidModel, match=says):
        tflite_to_onnx(tiny_models.model(**odd), quantize="none")


REFUSED: dict[str, tuple[Callable[[Network], int], str]] = {
    "another size than follows": (lambda n: convolution(n, out=(8, 9)), r"gives \[1, 8, 9, 4\], but \[1, 9, 9, 4\]"),
    "no stride": (lambda n: convolution(n, stride=0), "stride"),
    "unknown padding": (lambda n: convolution(n, padding=7), "window"),
    "unknown activation": (lambda n: convolution(n, fused=4), "activation function, number 4"),
    "a value of nothing": (lambda n: fully_connected(n, n.activation([243], 0.1)), "which no operator before it makes"),
    "weights of another width": (lambda n: fully_connected(n, width=242), r"weights of shape \[6, 242\]"),
    "a mean over channels": (lambda n: mean(n, keep=False, axes=(1, 3)), "over the axes"),
    "a steeper softmax": (lambda n: softmax(n, 2), "beta is 2 instead of 1"),
    "shuffled weights": (lambda n: fully_connected(n, weightsFormat=1), "weights in the format 1"),
    "scales along the wrong axis": (scales_along_the_wrong_axis, "a scale for each index along 3 instead of 0"),
    "a value twice": (lambda n: n.operator("RELU", [n.entry], n.entry), "has a value already"),
    "no input": (lambda n: n.operator("RELU", [], n.activation([9, 9, 3], 0.1)), "input 0 is missing"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_hold_together_is_refused(case: str) -> None:
    build, says = REFUSED[case]
    network = Network("uint8")
    model = network.row(build(network))

    with pytest.raises(InvalidModel, match=says):
        tflite_to_onnx(model, quantize="int8")


@pytest.mark.parametrize("package", ["numpy", "onnx"])
def test_a_missing_package_is_named_with_the_extra_that_brings_it(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(EngineMissing, match=rf"{package} is needed: .*pip install .*\[onnx\]'"):
        tflite_to_onnx(b"", quantize="none")
