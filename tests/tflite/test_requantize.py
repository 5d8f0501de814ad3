"""A uint8 `.tflite` and the int8 one made of it give the same scores: operator by operator, and the real model."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as tfl

from birdlite import engines
from birdlite.convert.tflite_to_onnx import array_of
from birdlite.errors import InvalidModel
from birdlite.models.card import Card
from birdlite.models.catalog import find
from birdlite.tflite import graph as tflite_graph
from birdlite.tflite.graph import GraphTensor, Operator, Quantization
from birdlite.tflite.requantize import channels_of, tflite_to_int8
from tests import demo_world, tiny_models
from tests.damaged_models import refusals
from tests.network_operations import (
    CASES,
    Array,
    convolution,
    fully_connected,
    mean,
    noise,
    softmax,
)
from tests.small_networks import PIXEL_SCALE, WEIGHT_SCALE, Network

OFFICIAL = "storage.googleapis.com/tfhub-lite-models/google/lite-model/aiy/vision/classifier/birds_V1/3.tflite"


def scores(model: bytes, pictures: Array) -> Array:
    input_, output = engines.describe(model)
    engine = engines.load(model, Card("source", "tflite", input_, output, {}, source="a test"))
    try:
        return np.array(engine.run(pictures.tobytes(), len(pictures)))
    finally:
        engine.close()


def real(tensor: GraphTensor) -> Array:
    """What a constant's whole numbers stand for; float64."""
    quantization = tensor.quantization
    assert quantization is not None
    shape = [1] * len(tensor.shape)
    if len(quantization.scales) > 1:
        shape[quantization.axis] = -1
    zero_points = np.reshape(quantization.zero_points, shape)
    return np.asarray((array_of(tensor).astype(float) - zero_points) * np.reshape(quantization.scales, shape))


def weighted(model: bytes) -> list[tuple[Operator, list[GraphTensor]]]:
    """The operators with weights, and what they read: input, weights and, where there is one, the bias."""
    graph = tflite_graph.read(model)
    kinds = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
    return [(step, [graph.tensors[i] for i in step.inputs]) for step in graph.operators if step.name in kinds]


# Operator by operator


@pytest.mark.parametrize("case", CASES)
def test_an_operator_gives_what_it_gave(case: str) -> None:
    """Weights within 127 of their zero point stay what they are, and so does every sum; only averages, which are
    rounded away from a zero that lies elsewhere, may be a step off.
    """
    network = Network("uint8", farthest=127)
    model = network.row(CASES[case](network))
    pictures, made = noise(), tflite_to_int8(model)
    expected, step = scores(model, pictures), engines.describe(model)[1].scale
    assert expected.std() > 3 * step  # it says something

    apart = np.abs(scores(made.model, pictures) - expected) / step

    assert made.exact == made.channels
    assert apart.max() <= (1.01 if case == "average" else 0.01)


@pytest.mark.parametrize("case", CASES)
def test_weights_that_do_not_fit_are_rounded_to_a_scale_of_their_own(case: str) -> None:
    network = Network("uint8")
    model = network.row(CASES[case](network))
    pictures, made = noise(), tflite_to_int8(model)
    expected, step = scores(model, pictures), engines.describe(model)[1].scale

    apart = np.abs(scores(made.model, pictures) - expected) / step

    assert apart.max() <= 1.01
    assert apart.mean() <= 0.15


@pytest.mark.parametrize("case", CASES)
def test_everything_between_the_ends_is_int8(case: str) -> None:
    network = Network("uint8")
    model = network.row(CASES[case](network))

    made = tflite_to_int8(model).model
    graph = tflite_graph.read(made)

    assert engines.describe(made) == engines.describe(model)
    assert graph.operators[0].name == graph.operators[-1].name == "QUANTIZE"
    ends = (graph.input, graph.output)
    assert {tensor.dtype for i, tensor in enumerate(graph.tensors) if i not in ends} <= {"int8", "int32"}
    stored = [array_of(tensor) for _, tensors in weighted(made) for tensor in tensors[1:2]]
    assert all(array.min() >= -127 for array in stored)  # kernels count on a symmetric range


# Weights


def with_weights(stored: Array, zero_point: int, bias: Array, *, kind: str = "CONV_2D") -> bytes:
    """A network with these weights: [results, height, width, 3], or of a depthwise one [1, height, width, 3]."""
    network = Network("uint8")
    results = stored.shape[0] if kind == "CONV_2D" else 3
    scale = WEIGHT_SCALE * PIXEL_SCALE
    inputs = [
        network.entry,
        network.tensor(stored.shape, "uint8", [WEIGHT_SCALE], [zero_point], stored),
        network.tensor([results], "int32", [scale], [0], bias),
    ]
    options = {"strideH": 1, "strideW": 1} | ({} if kind == "CONV_2D" else {"depthMultiplier": 1})
    output = network.activation([9, 9, results], 0.15)
    operator = {"CONV_2D": "Conv2D", "DEPTHWISE_CONV_2D": "DepthwiseConv2D"}[kind]
    return network.row(network.operator(kind, inputs, output, operator, **options))


def test_a_channel_keeps_its_scale_if_its_weights_fit_and_gets_one_of_its_own_if_not() -> None:
    stored = np.full((3, 1, 1, 3), 100)
    stored[0, 0, 0] = 100 - 100, 100 + 127, 100 + 5  # fits, just
    stored[1, 0, 0] = 100 + 155, 100, 100 - 31  # 155 becomes 127, and 31 then 25.4
    stored[2, 0, 0] = 100 - 100, 100 + 128, 100 + 1  # does not, just; 100 becomes 99.2
    bias = np.array([1000, 1000, -1550])

    made = tflite_to_int8(with_weights(stored, 100, bias))
    (_, (_, weights, biases)), *_ = weighted(made.model)

    assert (made.channels, made.exact) == (3, 1)
    assert array_of(weights)[:, 0, 0].tolist() == [[-100, 127, 5], [127, 0, -25], [-99, 127, 1]]
    assert weights.quantization is not None
    scales = np.multiply(WEIGHT_SCALE, [1, 155 / 127, 128 / 127])
    assert weights.quantization.scales == pytest.approx(scales, rel=1e-7)
    assert (weights.quantization.zero_points, weights.quantization.axis) == ((0, 0, 0), 0)
    assert array_of(biases).tolist() == [1000, round(1000 * 127 / 155), round(-1550 * 127 / 128)]
    (stated,) = (
        tensor.quantization for tensor in parsed(made.model).subgraphs[0].tensors if tensor.name.decode() == biases.name
    )
    assert stated.scale == pytest.approx(scales * PIXEL_SCALE, rel=1e-6)
    assert stated.zeroPoint.tolist() == [0, 0, 0]


def test_the_channels_of_a_depthwise_convolution_lie_along_the_last_axis() -> None:
    stored = np.full((1, 1, 2, 3), 50)
    stored[0, 0] = [[50, 255, 60], [40, 50, 177]]

    made = tflite_to_int8(with_weights(stored, 50, np.zeros(3), kind="DEPTHWISE_CONV_2D"))
    (_, (_, weights, _)), *_ = weighted(made.model)

    assert array_of(weights)[0, 0].tolist() == [[0, 127, 10], [-10, 0, 127]]
    assert weights.quantization is not None
    assert weights.quantization.axis == 3
    assert weights.quantization.scales == pytest.approx([WEIGHT_SCALE, WEIGHT_SCALE * 205 / 127, WEIGHT_SCALE])
    assert (made.channels, made.exact) == (3, 2)


@pytest.mark.parametrize(("zero_point", "value"), [(0, 1), (0, 3), (255, 254), (255, 252)])
def test_halves_are_rounded_away_from_zero_on_both_sides(zero_point: int, value: int) -> None:
    stored = np.full((1, 1, 1, 3), zero_point)
    stored[0, 0, 0] = abs(zero_point - 254), value, zero_point  # 254 becomes 127: every odd one is a half

    made = tflite_to_int8(with_weights(stored, zero_point, np.zeros(1)))
    (_, (_, weights, _)), *_ = weighted(made.model)

    difference = value - zero_point
    away = (abs(difference) + 1) // 2 * np.sign(difference)
    assert array_of(weights).ravel().tolist() == [127 if zero_point == 0 else -127, away, 0]


def test_a_source_with_a_zero_point_for_each_channel_is_read_by_them() -> None:
    network = Network("uint8")
    stored = np.array([[[[10, 20, 30]]], [[[10, 20, 30]]]])
    weights = network.tensor(stored.shape, "uint8", [0.01, 0.02], [10, 30], stored)
    output = network.activation([9, 9, 2], 0.15)
    convolved = network.operator("CONV_2D", [network.entry, weights], output, "Conv2D", strideH=1, strideW=1)

    (_, (_, made)), *_ = weighted(tflite_to_int8(network.row(convolved)).model)

    assert array_of(made)[:, 0, 0].tolist() == [[0, 10, 20], [-20, -10, 0]]
    assert made.quantization is not None
    assert made.quantization.scales == pytest.approx((0.01, 0.02))


@pytest.mark.parametrize("number", [1, 5])
def test_several_pictures_at_once_get_the_scores_that_they_get_alone(number: int) -> None:
    from ai_edge_litert.interpreter import Interpreter

    network = Network("uint8")
    reshaped = network.row(convolution(network))
    assert "RESHAPE" in {operator.name for operator in tflite_graph.read(reshaped).operators}
    model = tflite_to_int8(reshaped).model
    pictures = np.random.default_rng(2).integers(0, 256, (number, 9, 9, 3), np.uint8)
    interpreter = Interpreter(model_content=model)
    interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], pictures.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], pictures)
    interpreter.invoke()

    found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])

    alone = scores(model, pictures) / engines.describe(model)[1].scale + engines.describe(model)[1].zero_point
    assert np.abs(found - alone).max() < 1e-3


# The file


def parsed(model: bytes) -> Any:
    return tfl.ModelT.InitFromObj(tfl.Model.GetRootAs(model, 0))


@pytest.mark.parametrize(
    ("case", "operator", "version", "release"),
    [
        ("convolution", "CONV_2D", 3, "1.14.0"),
        ("depthwise convolution", "DEPTHWISE_CONV_2D", 3, "1.14.0"),
        ("fully connected", "FULLY_CONNECTED", 4, "1.14.0"),
        ("fully connected without bias", "FULLY_CONNECTED", 6, "2.1.0"),
        ("multiplication", "MUL", 2, "1.14.0"),
        ("average", "AVERAGE_POOL_2D", 2, "1.14.0"),
        ("relu alone", "RELU", 2, "2.1.0"),
        ("mean", "MEAN", 2, "1.14.0"),
        ("softmax", "SOFTMAX", 2, "1.14.0"),
        ("padding", "PAD", 2, "1.14.0"),
    ],
)
def test_operators_have_the_versions_that_know_int8_and_the_file_says_which_release_knows_them_all(
    case: str, operator: str, version: int, release: str
) -> None:
    network = Network("uint8")
    model = parsed(tflite_to_int8(network.row(CASES[case](network))).model)

    codes = {code.builtinCode: code for code in model.operatorCodes}
    code = codes[getattr(tfl.BuiltinOperator, operator)]
    assert (code.version, code.deprecatedBuiltinCode) == (version, code.builtinCode)
    assert codes[tfl.BuiltinOperator.QUANTIZE].version == 1
    (metadata,) = model.metadata
    assert metadata.name == b"min_runtime_version"
    assert bytes(model.buffers[metadata.buffer].data) == release.encode().ljust(16, b"\0")
    assert (model.version, model.description) == (3, b"re-quantised to int8 by birdlite")


def test_a_product_on_a_finer_grid_takes_a_newer_version() -> None:
    network = Network("uint8")
    inputs = [network.entry, network.constant([3], scale=4.0)]
    product = network.operator("MUL", inputs, network.activation([9, 9, 3], 1 / 64), "Mul")

    model = parsed(tflite_to_int8(network.row(product)).model)

    assert {code.version for code in model.operatorCodes if code.builtinCode == tfl.BuiltinOperator.MUL} == {3}


def test_a_convolution_in_groups_takes_a_newer_version() -> None:
    network = Network("uint8")
    inputs = [network.entry, network.weights([3, 3, 3, 1], 0)]
    output = network.activation([9, 9, 3], 0.15)
    grouped = network.operator("CONV_2D", inputs, output, "Conv2D", strideH=1, strideW=1)

    model = parsed(tflite_to_int8(network.row(grouped)).model)

    assert [code.version for code in model.operatorCodes if code.builtinCode == tfl.BuiltinOperator.CONV_2D] == [6]
    assert bytes(model.buffers[model.metadata[0].buffer].data).rstrip(b"\0") == b"2.9.0"


def test_the_same_source_gives_the_same_bytes() -> None:
    network = Network("uint8")
    model = network.row(convolution(network))

    assert tflite_to_int8(model) == tflite_to_int8(model)


def test_a_model_may_give_floats() -> None:
    model = tflite_to_int8(tiny_models.model(gives="float32")).model
    pictures = np.frombuffer(tiny_models.picture(200, 255, 100), np.uint8).reshape(1, 8, 8, 3)

    assert engines.describe(model)[1].dtype == "float32"
    assert scores(model, pictures)[0] == pytest.approx(tiny_models.scores(200, 255, 100), abs=1 / 256)


# What cannot be made int8


def float_inside(network: Network) -> int:
    real_values = network.tensor([1, 9, 9, 3], "float32")
    network.operator("DEQUANTIZE", [network.entry], real_values)
    return network.operator("QUANTIZE", [real_values], network.activation([9, 9, 3], PIXEL_SCALE))


def float_weights(network: Network) -> int:
    weights = network.tensor([4, 3, 3, 3], "float32", data=np.zeros((4, 3, 3, 3)))
    output = network.activation([9, 9, 4], 0.1)
    return network.operator("CONV_2D", [network.entry, weights], output, "Conv2D", strideH=1, strideW=1)


def hybrid(network: Network) -> int:
    weights = network.tensor([4, 3, 3, 3], "int8", [0.01], [0], np.zeros((4, 3, 3, 3)))
    output = network.activation([9, 9, 4], 0.1)
    return network.operator("CONV_2D", [network.entry, weights], output, "Conv2D", strideH=1, strideW=1)


def scales_along_the_wrong_axis(network: Network) -> int:
    weights = network.tensor([4, 3, 3, 3], "uint8", [0.01] * 3, [0] * 3, np.zeros((4, 3, 3, 3)), axis=3)
    output = network.activation([9, 9, 4], 0.1)
    return network.operator("CONV_2D", [network.entry, weights], output, "Conv2D", strideH=1, strideW=1)


def short_bias(network: Network) -> int:
    weights = [network.weights([4, 3, 3, 3], 0), network.bias(3, PIXEL_SCALE)]
    output = network.activation([9, 9, 4], 0.1)
    return network.operator("CONV_2D", [network.entry, *weights], output, "Conv2D", strideH=1, strideW=1)


def coarse_softmax(network: Network) -> int:
    output = network.activation([3], 1 / 128, 0)
    return network.operator("SOFTMAX", [mean(network, keep=False)], output, "Softmax", beta=1)


def folded(network: Network) -> int:
    return network.operator("RESHAPE", [convolution(network)], network.activation([9, 9, 3], 0.15), "Reshape")


REFUSED: dict[str, tuple[Callable[[Network], int], str]] = {
    "an unknown operator": (
        lambda n: n.operator("LOGISTIC", [convolution(n)], n.activation([9, 9, 4], 1 / 256, 0)),
        "^operator 1, LOGISTIC: not known here",
    ),
    "floats inside": (float_inside, "^operator 0, DEQUANTIZE: is not the model's last"),
    "weights of floats": (float_weights, "its weights are float32; only uint8"),
    "weights of int8": (hybrid, "its weights are int8 already"),
    "scales along the wrong axis": (scales_along_the_wrong_axis, "each index along 3 instead of 0"),
    "a bias of another length": (short_bias, r"its bias is int32 \[3\] instead of int32 \[4\]"),
    "weights that are computed": (
        lambda n: n.operator("FULLY_CONNECTED", [n.entry, n.entry], n.activation([6], 0.5), "FullyConnected"),
        r"weights \[1, 9, 9, 3\]",
    ),
    "shuffled weights": (lambda n: fully_connected(n, weightsFormat=1), "in the format 1"),
    "coarse scores": (coarse_softmax, "not in steps of 1/256 from 0"),
    "a shape that does not fit": (folded, r"\[1, 9, 9, 4\] to \[1, 9, 9, 3\]"),
    "a shape over several pictures": (
        lambda n: n.operator("RESHAPE", [convolution(n)], n.tensor([9, 36], "uint8", [0.15], [128]), "Reshape"),
        r"\[1, 9, 9, 4\] to \[9, 36\]",
    ),
    "a value of nothing": (lambda n: fully_connected(n, n.activation([243], 0.1)), "which no operator before it makes"),
    "a value twice": (lambda n: n.operator("RELU", [n.entry], n.entry), "has a value already"),
    "no input": (lambda n: n.operator("RELU", [], n.activation([9, 9, 3], 0.1)), "input 0 is missing"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_made_int8_is_refused(case: str) -> None:
    build, says = REFUSED[case]
    network = Network("uint8")
    model = network.row(build(network))

    with pytest.raises(InvalidModel, match=says):
        tflite_to_int8(model)


def test_weights_of_no_size_are_refused() -> None:
    none = GraphTensor((0, 1, 1, 3), "uint8", Quantization((1.0,), (0,), 0), memoryview(b""))

    with pytest.raises(InvalidModel, match="no weights"):
        list(channels_of(none, 0))


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (demo_world.MODEL.read_bytes(), "int8 already"),
        (tiny_models.model(takes="float32"), "float32 .* is no uint8 with one scale"),
        (tiny_models.model(takes="int8"), "int8 already"),
        (tiny_models.model(inputs=2), "2 inputs and 1 output"),
        (tiny_models.model(custom_op="Detect"), "operator 2, CUSTOM 'Detect': not known here"),
        (tiny_models.model()[:500], "the TFLite model is damaged"),
        (b"PK\3\4" + bytes(100), "not a TFLite model"),
    ],
)
def test_another_kind_of_model_is_refused(model: bytes, says: str) -> None:
    with pytest.raises(InvalidModel, match=says):
        tflite_to_int8(model)


def test_a_model_without_operators_is_refused() -> None:
    network = Network("uint8")

    with pytest.raises(InvalidModel, match="no operator gives the model's output"):
        tflite_to_int8(network.finish(network.pixels))


def test_bytes_changed_at_random_give_a_model_or_one_line() -> None:
    network = Network("uint8")
    refused = refusals(tflite_to_int8, network.row(softmax(network)))
    assert len(refused) > 100
    assert not [message for message in refused if "\n" in message]


# The real model


@pytest.fixture(scope="module")
def official(birds: Path) -> bytes:
    return (birds / "mirror" / OFFICIAL).read_bytes()


@pytest.mark.birds
def test_the_official_model_becomes_the_one_of_the_catalogue(official: bytes) -> None:
    made = tflite_to_int8(official)

    fact = find("birds-v1-lite-int8").card.files["model.tflite"]
    assert (len(made.model), hashlib.sha256(made.model).hexdigest()) == (fact.bytes, fact.sha256)
    assert (made.channels, made.exact) == (18_021, 17_946)


@pytest.mark.birds
def test_no_weight_of_the_official_model_is_further_from_its_value_than_half_a_step(official: bytes) -> None:
    made = tflite_to_int8(official).model
    exact = 0
    for (_, source), (step, result) in zip(weighted(official), weighted(made), strict=True):
        quantization = result[1].quantization
        assert quantization is not None
        axis = 3 if step.name == "DEPTHWISE_CONV_2D" else 0
        old, new = (np.moveaxis(real(tensors[1]), axis, 0) for tensors in (source, result))
        apart = np.abs(new - old).reshape(len(old), -1).max(1) / quantization.scales
        assert apart.max() <= 0.5 + 1e-5
        assert source[0].quantization is not None
        assert source[1].quantization is not None
        scale = source[0].quantization.scales[0]
        biases = array_of(source[2]) * scale * source[1].quantization.scales[0]
        steps = np.array(quantization.scales) * scale
        assert np.all(np.abs(array_of(result[2]) * steps - biases) <= 0.51 * steps)
        exact += int((apart < 1e-6).sum())
    assert exact == 17_946
