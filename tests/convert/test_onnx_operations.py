"""Every operation that is known gives in ONNX what it gives in a TensorFlow graph, and every other is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from birdlite.convert.saved_model.fold import fold
from birdlite.convert.saved_model.graph import graph_of
from birdlite.convert.saved_model.kernels import UnknownOperation
from birdlite.convert.saved_model.pixels import take_pixels
from birdlite.convert.saved_model.to_onnx import graph_to_onnx
from birdlite.errors import InvalidModel
from tests.graph_operations import (
    FLOAT_MOST,
    SIDE,
    STEP,
    Step,
    biased,
    by_numpy,
    by_onnxruntime,
    classified,
    concatenated,
    convolution,
    depthwise,
    mean,
    multiplied,
    network,
    noise,
    normalised,
    padded,
    pool,
    reshaped,
    residual,
    squeeze_and_excite,
    squeezed,
    weights,
    with_constant,
)
from tests.tiny_graphs import Builder

pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")


def two_activations(build: Builder, value: str) -> str:
    """One convolution, cut off and rounded in two ways."""
    wide = build.add("Mul", [convolution(build, value), build.constant("four", 4.0)], "wide")
    low = build.fake_quant(build.add("Relu6", [wide], "low"), 0, 3)
    high = build.fake_quant(build.add("Relu6", [wide], "high"), 0, 6)
    return build.add("AddV2", [high, low], "sum")


CASES: dict[str, tuple[Step, int]] = {
    "nothing": (lambda b, v: v, 243),
    "convolution": (convolution, 324),
    "convolution of one pixel": (lambda b, v: convolution(b, v, (1, 1)), 324),
    "flat convolution": (lambda b, v: convolution(b, v, (1, 3)), 324),
    "stride": (lambda b, v: convolution(b, v, stride=2), 100),
    "stride with padding behind": (lambda b, v: convolution(b, v, (2, 4), stride=2), 100),
    "no padding": (lambda b, v: convolution(b, v, padding="VALID", stride=2), 64),
    "dilation": (lambda b, v: convolution(b, v, dilations=[1, 2, 3, 1]), 324),
    "padding of its own": (
        lambda b, v: convolution(b, v, padding="EXPLICIT", explicit_paddings=[0, 0, 2, 0, 1, 3, 0, 0]),
        9 * 11 * 4,
    ),
    "bias": (lambda b, v: biased(b, v, "BiasAdd", (4,)), 324),
    "bias by Add": (lambda b, v: biased(b, v, "Add", (4,)), 324),
    "bias in front": (lambda b, v: biased(b, v, "AddV2", (1, 1, 1, 4), first=True), 324),
    "one bias for all": (lambda b, v: biased(b, v, "AddV2", ()), 324),
    "bias behind a rounding": (
        lambda b, v: b.add(
            "AddV2", [b.fake_quant(convolution(b, v), -40, 40), b.constant("bias", [0.5, 0.2, 1, -1])], "biased"
        ),
        324,
    ),
    "bias for one of two": (lambda b, v: b.add("Mul", [biased(b, v, "AddV2", (4,)), "conv"], "gated"), 324),
    "something for every row": (lambda b, v: biased(b, v, "AddV2", (9, 1, 1), results=9), 729),
    "something for every column": (lambda b, v: biased(b, v, "AddV2", (9, 1)), 324),
    "something for every pixel": (lambda b, v: biased(b, v, "AddV2", (9, 9, 4)), 324),
    "depthwise convolution": (lambda b, v: depthwise(b, v, 1), 243),
    "depthwise convolution with stride": (lambda b, v: depthwise(b, v, 1, 2), 75),
    "depthwise convolution with multiplier": (lambda b, v: depthwise(b, v, 2), 486),
    "relu": (lambda b, v: b.add("Relu", [v], "relu"), 243),
    "relu6": (lambda b, v: b.add("Relu6", [with_constant(b, v, "Mul", (), first=True)], "relu6"), 243),
    "relu6 on the grid of its input": (
        lambda b, v: b.add("Relu6", [b.fake_quant(with_constant(b, v, "Mul", (1,)), -8, 8)], "relu6"),
        243,
    ),
    "two activations of one value": (two_activations, 324),
    "sigmoid": (lambda b, v: b.add("Sigmoid", [v], "sigmoid"), 243),
    "softmax of a row": (lambda b, v: b.add("Softmax", [mean(b, v)], "softmax"), 3),
    "softmax of every pixel": (lambda b, v: b.add("Softmax", [v], "softmax"), 243),
    "residual": (residual, 243),
    "difference": (lambda b, v: residual(b, v, "Sub"), 243),
    "product": (lambda b, v: residual(b, v, "Mul"), 243),
    "a constant for every colour": (lambda b, v: with_constant(b, v, "Mul", (3,)), 243),
    "minus a constant": (lambda b, v: with_constant(b, v, "Sub", (1, 1, 3)), 243),
    "a constant minus it": (lambda b, v: with_constant(b, v, "Sub", (3,), first=True), 243),
    "divided": (lambda b, v: with_constant(b, v, "RealDiv", (3,)), 243),
    "a constant for every column": (lambda b, v: with_constant(b, v, "Mul", (9, 1)), 243),
    "average": (lambda b, v: pool(b, v, "AvgPool", 3, 2, "SAME"), 75),
    "average of everything": (lambda b, v: pool(b, v, "AvgPool", 9, 1, "VALID"), 3),
    "average of all that is near": (lambda b, v: pool(b, v, "AvgPool", 9, 1, "SAME"), 243),
    "average of a corner": (lambda b, v: pool(b, v, "AvgPool", 7, 3, "VALID"), 3),
    "average of everything and beyond": (lambda b, v: pool(b, v, "AvgPool", 9, 9, "SAME"), 3),
    "maximum": (lambda b, v: pool(b, v, "MaxPool", 2, 2, "SAME"), 75),
    "maximum without padding": (lambda b, v: pool(b, v, "MaxPool", 3, 2, "VALID"), 48),
    "mean": (mean, 3),
    "mean that stays a picture": (lambda b, v: mean(b, v, (-2, -3), keep_dims=True), 3),
    "product with its mean": (lambda b, v: b.add("Mul", [v, mean(b, v, keep_dims=True)], "product"), 243),
    "squeeze": (lambda b, v: squeezed(b, v, 1, 2), 3),
    "squeeze of two from behind": (lambda b, v: squeezed(b, v, -3, -2), 3),
    "squeeze of whatever is 1": (squeezed, 3),
    "fully connected": (lambda b, v: multiplied(b, mean(b, v)), 4),
    "fully connected, turned": (lambda b, v: multiplied(b, mean(b, v), transpose_b=True), 4),
    "classifier of all pixels": (classified, 4),
    "a row becomes a pixel": (lambda b, v: reshaped(b, mean(b, v), 1, 1, 3), 3),
    "all pixels become one": (lambda b, v: reshaped(b, v, 1, 1, 243), 243),
    "padding": (padded, 12 * 12 * 4),
    "batch norm": (lambda b, v: normalised(b, v, "FusedBatchNorm"), 243),
    "batch norm with its epsilon": (lambda b, v: normalised(b, v, "FusedBatchNormV3", epsilon=0.5), 243),
    "concatenation": (lambda b, v: concatenated(b, v, 3), 810),
    "concatenation from behind": (lambda b, v: concatenated(b, v, -1), 810),
    "squeeze and excite": (squeeze_and_excite, 324),
}


@pytest.mark.parametrize("case", CASES)
def test_in_floats_an_operation_gives_what_it_gives_in_tensorflow(case: str) -> None:
    graph, pictures = network(*CASES[case]), noise()
    expected = by_numpy(graph, pictures)
    assert expected.std() > 0.01  # it says something

    model = graph_to_onnx(fold(graph), quantize="none")

    for optimized in (True, False):
        assert np.abs(by_onnxruntime(model, pictures, optimized=optimized) - expected).max() < FLOAT_MOST


@pytest.mark.parametrize("case", [case for case in CASES if case != "nothing"])
def test_in_whole_numbers_an_operation_gives_what_it_gives_in_tensorflow_with_rounding(case: str) -> None:
    graph, pictures = network(*CASES[case], rounds=True), noise()
    expected = by_numpy(graph, pictures)

    model = graph_to_onnx(fold(graph), quantize="int8")

    for optimized in (True, False):
        apart = np.abs(by_onnxruntime(model, pictures, optimized=optimized) - expected) / STEP
        # What lies in the middle between two values may be rounded to either; a softmax is not rounded.
        assert apart.max() < 1.01
        assert apart.mean() < (0.3 if "softmax" in case else 0.13)


def test_a_convolution_may_be_in_groups() -> None:
    """NumPy's kernel knows none; a depthwise convolution of the same numbers is the same."""

    def grouped(build: Builder, value: str) -> str:
        kernels = build.constant("w", numbers.reshape(3, 3, 1, 6))
        return build.add("Conv2D", [value, kernels], "conv", padding="SAME", strides=[1, 1, 1, 1])

    def apart(build: Builder, value: str) -> str:
        kernels = build.constant("w", numbers.reshape(3, 3, 3, 2))
        return build.add("DepthwiseConv2dNative", [value, kernels], "conv", padding="SAME", strides=[1, 1, 1, 1])

    numbers = np.random.default_rng(2).normal(0, 1, 54)

    scores = by_onnxruntime(graph_to_onnx(fold(network(grouped, 486)), quantize="none"), noise())

    assert np.abs(scores - by_numpy(network(apart, 486), noise())).max() < FLOAT_MOST


def test_a_reshape_may_take_its_shape_from_another_value() -> None:
    def slim_softmax(build: Builder, value: str) -> str:
        logits = mean(build, value)
        shape = build.add("Shape", [logits], "logits/shape")
        return build.add("Reshape", [build.add("Softmax", [logits], "softmax"), shape], "scores")

    plain = network(lambda b, v: b.add("Softmax", [mean(b, v)], "softmax"), None)

    scores = by_onnxruntime(graph_to_onnx(fold(network(slim_softmax, None)), quantize="none"), noise())

    assert np.abs(scores - by_numpy(plain, noise())).max() < FLOAT_MOST


def test_node_names_may_be_those_that_the_result_uses() -> None:
    def awkward(build: Builder, value: str) -> str:
        for name in ("planes", "planes_real", "pixels_moved", "0_relu", "probabilities"):
            value = build.add("Relu", [value], name)
        return value

    graph = network(awkward, 243)

    scores = by_onnxruntime(graph_to_onnx(fold(graph), quantize="none"), noise())

    assert np.abs(scores - by_numpy(graph, noise())).max() < FLOAT_MOST


# What cannot be converted


def with_attributes(op: str, **attributes: Any) -> Step:
    """A node of two pictures with one attribute that is odd."""
    return lambda b, v: b.add(op, [v, v], "odd", **attributes)


UNKNOWN: dict[str, tuple[Step, str]] = {
    "an operation": (lambda b, v: b.add("LeakyRelu", [v], "leaky"), r"`LeakyRelu` \(node leaky\)"),
    "channels first": (lambda b, v: convolution(b, v, data_format="NCHW"), "`Conv2D`"),
    "a bias for channels first": (
        lambda b, v: b.add("BiasAdd", [convolution(b, v), b.constant("bias", [1] * 4)], "odd", data_format="NCHW"),
        "`BiasAdd`",
    ),
    "weights that depend on the picture": (lambda b, v: b.add("Conv2D", [v, v], "odd", padding="SAME"), "`Conv2D`"),
    "a product of two values": (lambda b, v: b.add("MatMul", [mean(b, v)] * 2, "odd"), "`MatMul`"),
    "a product of pictures": (lambda b, v: multiplied(b, v, 3), "`MatMul`"),
    "a product turned over": (lambda b, v: multiplied(b, mean(b, v), transpose_a=True), "`MatMul`"),
    "a mean over channels": (lambda b, v: mean(b, v, (1, 3)), "`Mean`"),
    "a shape of one picture": (
        lambda b, v: b.add("Reshape", [v, b.constant("new", [1, 243], "int32")], "odd"),
        "`Reshape`",
    ),
    "another kind of picture": (lambda b, v: reshaped(b, v, 27, 3, 3), "`Reshape`"),
    "a squeeze of one side": (lambda b, v: b.add("Squeeze", [v], "odd", squeeze_dims=[1]), "`Squeeze`"),
    "a row beside pictures": (lambda b, v: b.add("Mul", [v, mean(b, v)], "odd"), "`Mul`"),
    "a constant for every picture": (lambda b, v: with_constant(b, v, "Mul", (4, 1, 1, 1)), "`Mul`"),
    "more pictures": (
        lambda b, v: b.add("Pad", [v, b.constant("amounts", [[0, 1], [0, 0], [0, 0], [0, 0]], "int32")], "odd"),
        "`Pad`",
    ),
    "one picture above the other": (lambda b, v: concatenated(b, v, 1), "`ConcatV2`"),
    "a norm that learns": (lambda b, v: normalised(b, v, "FusedBatchNorm", is_training=True), "`FusedBatchNorm`"),
    "a shape as a value": (
        lambda b, v: b.add("Mul", [b.add("Shape", [v], "size"), v], "odd"),
        r"`Shape` \(node size\)",
    ),
    "another type": (lambda b, v: b.add("Cast", [b.add("Relu", [v], "r")], "odd", DstT="float16"), "`Cast`"),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_what_is_not_known_here_is_named_with_its_place_and_the_way_round_it(case: str) -> None:
    step, names = UNKNOWN[case]

    with pytest.raises(UnknownOperation, match=rf"^the operation {names}.* is not known here; .*birdlite\[convert\]"):
        graph_to_onnx(fold(network(step, 243)), quantize="none")


def with_strides_of_floats(build: Builder, value: str) -> str:
    name = convolution(build, value)
    strides = build.graph_def.node[-1].attr["strides"].list
    strides.f.extend([1, 1, 1, 1])
    del strides.i[:]
    return name


REFUSED: dict[str, tuple[Step, str]] = {
    "no stride": (lambda b, v: convolution(b, v, stride=0), "node conv, Conv2D: window"),
    "a stride over pictures": (
        lambda b, v: b.add("Relu", [b.add("AvgPool", [v], "odd", padding="SAME", strides=[2, 1, 1, 1])], "r"),
        r"node odd, AvgPool: strides \[2, 1, 1, 1\]",
    ),
    "unknown padding": (lambda b, v: convolution(b, v, padding="FULL"), "padding 'FULL'"),
    "no padding said": (lambda b, v: b.add("AvgPool", [v], "odd"), "padding None"),
    "half of a padding": (
        lambda b, v: convolution(b, v, padding="EXPLICIT", explicit_paddings=[0, 0, 1, 1]),
        r"pads \[0, 0, 1, 1\]",
    ),
    "padding of channels": (
        lambda b, v: convolution(b, v, padding="EXPLICIT", explicit_paddings=[0, 0, 1, 1, 1, 1, 0, 2]),
        "pads",
    ),
    "strides that are no whole numbers": (with_strides_of_floats, "strides"),
    "an absurd dilation": (lambda b, v: convolution(b, v, dilations=[1, 1 << 40, 1, 1]), "dilations"),
    "a window larger than the picture": (lambda b, v: convolution(b, v, (10, 3), padding="VALID"), "larger than the"),
    "weights for other channels": (
        lambda b, v: convolution(b, v, channels=2),
        r"weights of shape \[3, 3, 2, 4\] for 3",
    ),
    "depthwise weights for other channels": (
        lambda b, v: b.add("DepthwiseConv2dNative", [v, weights(b, (3, 3, 4, 1))], "odd", padding="SAME"),
        "weights of shape",
    ),
    "weights for more channels": (lambda b, v: convolution(b, v, channels=5), "for 3 channels"),
    "groups of different size": (
        lambda b, v: convolution(b, v, channels=1, results=4),
        r"weights of shape \[3, 3, 1, 4\] for 3",
    ),
    "a bias for other results": (lambda b, v: biased(b, v, "BiasAdd", (3,)), "do not fit"),
    "a bias that is no number": (
        lambda b, v: b.add("AddV2", [convolution(b, v), b.constant("bias", [1, 2, np.nan, 4])], "odd"),
        "not all numbers",
    ),
    "pictures of different sizes": (
        lambda b, v: b.add("ConcatV2", [v, convolution(b, v, stride=2), b.constant("axis", 3, "int32")], "together"),
        r"\[n, 9, 9, 3\], \[n, 5, 5, 4\] along",
    ),
    "weights for another row": (lambda b, v: multiplied(b, mean(b, v), 5), r"weights of shape \[5, 4\] for \[n, 3\]"),
    "no weights": (lambda b, v: convolution(b, v, results=0), "weights of shape"),
    "weights that are no numbers": (
        lambda b, v: b.add("Conv2D", [v, b.constant("w", np.full((1, 1, 3, 1), np.nan))], "odd", padding="SAME"),
        "not all numbers",
    ),
    "a row instead of pictures": (lambda b, v: convolution(b, mean(b, v)), r"reads \[n, 3\] instead of pictures"),
    "too few values": (lambda b, v: reshaped(b, v, 242), r"\[n, 9, 9, 3\] to \[n, 242\]"),
    "a squeeze of what is wide": (lambda b, v: b.add("Squeeze", [v], "odd", squeeze_dims=[1, 2]), "are not 1"),
    "shapes that do not fit": (lambda b, v: b.add("AddV2", [v, convolution(b, v)], "odd"), "do not fit"),
    "negative pads": (
        lambda b, v: b.add("Pad", [v, b.constant("amounts", [[0, 0], [-1, 0], [0, 0], [0, 0]], "int32")], "odd"),
        "pads",
    ),
    "axes of floats": (lambda b, v: b.add("Mean", [v, b.constant("axes", [1.0, 2.0])], "odd"), "input 1 is float32"),
    "no second input": (lambda b, v: b.add("AddV2", [v], "odd"), "input 1 is missing"),
    "a norm of other channels": (
        lambda b, v: b.add("FusedBatchNorm", [v, *[b.constant("c", np.ones(4))] * 4], "odd", is_training=False),
        r"\[4\]",
    ),
    "an epsilon that is a name": (lambda b, v: normalised(b, v, "FusedBatchNorm", epsilon="small"), "epsilon 'small'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_hold_together_is_refused(case: str) -> None:
    step, says = REFUSED[case]

    with pytest.raises(InvalidModel, match=says):
        graph_to_onnx(fold(network(step, 243)), quantize="none")


def test_pixels_are_made_floats_and_nothing_else() -> None:
    build = Builder()
    cast = build.add("Cast", [build.input(SIDE, "uint8")], "cast", DstT="int32")
    graph = take_pixels(graph_of(build.graph_def, "images:0", f"{mean(build, cast)}:0"), SIDE)

    with pytest.raises(UnknownOperation, match=r"`Cast` \(node cast\)"):
        graph_to_onnx(fold(graph), quantize="none")
