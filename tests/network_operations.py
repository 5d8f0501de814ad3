"""TFLite networks of one operator or two, for each thing that a converter must know, and pictures for them.

The tests of the conversions of `.tflite` files share them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.small_networks import PIXEL_SCALE, Network

Array = np.ndarray[Any, Any]

SAME, VALID = 0, 1
NONE, RELU, RELU_N1_TO_1, RELU6 = range(4)


def convolution(
    network: Network,
    kernel: tuple[int, int] = (3, 3),
    *,
    padding: int = SAME,
    stride: int = 1,
    dilation: int = 1,
    fused: int = NONE,
    out: tuple[int, int] = (9, 9),
    grid: tuple[float, int] = (0.15, 128),
) -> int:
    weights = [network.weights([4, *kernel, 3], 0)]
    weights += [network.bias(4, PIXEL_SCALE)]
    return network.operator(
        "CONV_2D",
        [network.entry, *weights],
        network.activation([*out, 4], *grid),
        "Conv2D",
        padding=padding,
        strideH=stride,
        strideW=stride,
        dilationHFactor=dilation,
        dilationWFactor=dilation,
        fusedActivationFunction=fused,
    )


def depthwise(network: Network, multiplier: int, stride: int, out: int) -> int:
    weights = [network.weights([1, 3, 3, 3 * multiplier], 3)]
    weights += [network.bias(3 * multiplier, PIXEL_SCALE)]
    return network.operator(
        "DEPTHWISE_CONV_2D",
        [network.entry, *weights],
        network.activation([out, out, 3 * multiplier], 0.12),
        "DepthwiseConv2D",
        padding=SAME,
        strideH=stride,
        strideW=stride,
        depthMultiplier=multiplier,
    )


def pool(network: Network, kind: str, kernel: int, stride: int, padding: int, out: int) -> int:
    return network.operator(
        kind,
        [network.entry],
        network.activation([out, out, 3], PIXEL_SCALE),
        "Pool2D",
        padding=padding,
        filterHeight=kernel,
        filterWidth=kernel,
        strideH=stride,
        strideW=stride,
    )


def mean(network: Network, keep: bool, axes: tuple[int, ...] = (1, 2)) -> int:
    shape = [1, 1, 3] if keep else [3]
    output = network.activation(shape, PIXEL_SCALE)
    return network.operator("MEAN", [network.entry, network.whole_numbers(axes)], output, "Reducer", keepDims=keep)


def fully_connected(
    network: Network,
    value: int | None = None,
    scale: float = PIXEL_SCALE,
    width: int = 243,
    *,
    bias: bool = True,
    **options: int,
) -> int:
    weights = [network.weights([6, width], 0)]
    weights += [network.bias(6, scale)] if bias else []
    inputs = [network.entry if value is None else value, *weights]
    return network.operator("FULLY_CONNECTED", inputs, network.activation([6], 0.5), "FullyConnected", **options)


def added(network: Network) -> int:
    """A picture plus its own convolution."""
    weights = [network.weights([3, 3, 3, 3], 0)]
    weights += [network.bias(3, PIXEL_SCALE)]
    output = network.activation([9, 9, 3], 0.15)
    options = {"padding": SAME, "strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}
    other = network.operator("CONV_2D", [network.entry, *weights], output, "Conv2D", **options)
    return network.operator("ADD", [network.entry, other], network.activation([9, 9, 3], 0.16), "Add")


def with_constant(network: Network, name: str, shape: list[int], fused: int = NONE) -> int:
    inputs = [network.entry, network.constant(shape)]
    options = {"fusedActivationFunction": fused}
    return network.operator(name, inputs, network.activation([9, 9, 3], 1 / 32), name.capitalize(), **options)


def padded(network: Network) -> int:
    amounts = network.whole_numbers([[0, 0], [1, 2], [3, 0], [0, 0]])
    return network.operator("PAD", [network.entry, amounts], network.activation([12, 12, 3], PIXEL_SCALE), "Pad")


def activation(network: Network, name: str, grid: tuple[float, int] = (PIXEL_SCALE, 128)) -> int:
    return network.operator(name, [network.entry], network.activation([9, 9, 3], *grid))


def relu6(network: Network) -> int:
    return network.operator("RELU6", [convolution(network)], network.activation([9, 9, 4], 0.15))


def softmax(network: Network, beta: float = 1) -> int:
    output = network.activation([3], 1 / 256, 0)
    return network.operator("SOFTMAX", [mean(network, keep=False)], output, "Softmax", beta=beta)


def scales_along_the_wrong_axis(network: Network) -> int:
    weights = network.tensor([4, 3, 3, 3], "int8", [0.01] * 3, [0] * 3, np.zeros((4, 3, 3, 3)), axis=3)
    output = network.activation([9, 9, 4], 0.1)
    return network.operator("CONV_2D", [network.entry, weights], output, "Conv2D", strideH=1, strideW=1)


def noise() -> Array:
    """Four pictures of noise, each colour of each as strong as chance will have it."""
    random = np.random.default_rng(1)
    return np.asarray(random.integers(0, 256, (4, 9, 9, 3)) * random.uniform(0, 1, (4, 1, 1, 3)), np.uint8)


CASES: dict[str, Callable[[Network], int]] = {
    "convolution": convolution,
    "convolution of one pixel": lambda n: convolution(n, (1, 1)),
    "flat convolution": lambda n: convolution(n, (1, 3)),
    "stride": lambda n: convolution(n, stride=2, out=(5, 5)),
    "stride with padding behind": lambda n: convolution(n, (2, 4), stride=2, out=(5, 5)),
    "no padding": lambda n: convolution(n, padding=VALID, stride=2, out=(4, 4)),
    "dilation": lambda n: convolution(n, dilation=2),
    "relu": lambda n: convolution(n, fused=RELU),
    "relu on its own grid": lambda n: convolution(n, fused=RELU, grid=(0.08, 0)),
    "relu6": lambda n: convolution(n, fused=RELU6),
    "relu6 on its own grid": lambda n: convolution(n, fused=RELU6, grid=(6 / 255, 0)),
    "relu6 left to the grid": lambda n: convolution(n, grid=(5.9953 / 255, 0)),
    "relu left to the grid": lambda n: convolution(n, grid=(3.7 / 255, 0)),
    "relu between -1 and 1": lambda n: convolution(n, fused=RELU_N1_TO_1, grid=(0.02, 128)),
    "depthwise convolution": lambda n: depthwise(n, 1, 1, 9),
    "depthwise convolution with stride": lambda n: depthwise(n, 1, 2, 5),
    "depthwise convolution with multiplier": lambda n: depthwise(n, 2, 1, 9),
    "addition": added,
    "addition of a constant": lambda n: with_constant(n, "ADD", [1, 1, 1, 3]),
    "addition of a picture with relu": lambda n: with_constant(n, "ADD", [1, 9, 9, 3], RELU),
    "multiplication": lambda n: with_constant(n, "MUL", [3]),
    "average": lambda n: pool(n, "AVERAGE_POOL_2D", 3, 2, SAME, 5),
    "average of everything": lambda n: pool(n, "AVERAGE_POOL_2D", 9, 1, VALID, 1),
    "maximum": lambda n: pool(n, "MAX_POOL_2D", 2, 2, SAME, 5),
    "maximum without padding": lambda n: pool(n, "MAX_POOL_2D", 3, 2, VALID, 4),
    "mean": lambda n: mean(n, keep=False),
    "mean that stays a picture": lambda n: mean(n, keep=True, axes=(-2, -3)),
    "fully connected": fully_connected,
    "fully connected without bias": lambda n: fully_connected(n, bias=False),
    "fully connected behind a mean": lambda n: fully_connected(n, mean(n, keep=False), PIXEL_SCALE, 3),
    "padding": padded,
    "relu alone": lambda n: activation(n, "RELU"),
    "relu on its own": lambda n: activation(n, "RELU", (PIXEL_SCALE / 2, 0)),
    "relu6 behind a convolution": relu6,
    "another grid": lambda n: activation(n, "QUANTIZE", (1 / 80, 100)),
    "softmax": softmax,
}
