"""Small TensorFlow graphs for tests: real networks with weights drawn at random, laid out like the birds model.

They are quantisation-aware, and their BatchNorms are folded into the weights by nodes. They take pictures of 16x16 px,
floats in [0, 1], and give scores of five classes. TensorFlow draws them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from birdlite.convert.graph import INPUT as PIXELS
from birdlite.convert.graph import OUTPUT as PROBABILITIES
from birdlite.convert.graph import Graph, published
from birdlite.convert.tensorflow_package import imported, quiet

SIDE, CLASSES = 16, 5
INPUT, OUTPUT = "images:0", "prediction:0"

Step = Callable[[Any, Any], Any]  # from TensorFlow and a tensor to a tensor


def drawn(step: Step, *, batch: int | None = None, side: int = SIDE) -> Graph:
    """The graph of `step(tensorflow, pixels)`: from plain pixels to probabilities."""
    definition = _definition(step, PIXELS, PROBABILITIES, "uint8", batch, side)
    return Graph(definition, side)


def source(step: Step, *, dtype: str = "float32", side: int = SIDE) -> Any:
    """The GraphDef of `step(tensorflow, images)`: from `INPUT` to `OUTPUT`, as in a SavedModel."""
    return _definition(step, INPUT, OUTPUT, dtype, None, side)


def _definition(step: Step, start: str, end: str, dtype: str, batch: int | None, side: int) -> Any:
    tensorflow = imported()
    with quiet(), tensorflow.Graph().as_default() as graph:
        images = tensorflow.compat.v1.placeholder(dtype, [batch, side, side, 3], name=start.removesuffix(":0"))
        tensorflow.identity(step(tensorflow, images), name=end.removesuffix(":0"))
        return graph.as_graph_def()


def network(*, rounds: bool = True, end: str = "softmax") -> Any:
    """A GraphDef with every operation of the birds model, rounding or not; `end` is softmax, sigmoid or identity."""
    return source(lambda tensorflow, images: _network(tensorflow, images, rounds, end))


def graph(*, rounds: bool = True, end: str = "softmax") -> Graph:
    """The same, from plain pixels to probabilities."""
    return published(network(rounds=rounds, end=end), INPUT, OUTPUT, SIDE, (0.0, 1.0))[0]


def _network(tensorflow: Any, images: Any, rounds: bool, end: str) -> Any:
    nn, chance = tensorflow.nn, np.random.default_rng(0)

    def rounded(value: Any, low: float, high: float, *, narrow: bool = False) -> Any:
        if not rounds:
            return value
        return tensorflow.quantization.fake_quant_with_min_max_vars(value, low, high, narrow_range=narrow)

    def constant(draw: Any) -> Any:
        return tensorflow.constant(draw, "float32")

    def convolution(value: Any, kernel: int, channels: int, *, stride: int = 1, depthwise: bool = False) -> Any:
        shape = (kernel, kernel, channels, 1 if depthwise else 8)
        weights = constant(chance.normal(0, 1.2 / (kernel * channels**0.5), shape))
        gamma, variance = constant(chance.uniform(0.5, 1.5, 8)), constant(chance.uniform(0.5, 2, 8))
        factor = gamma * tensorflow.math.rsqrt(variance + 1e-3)
        bias = constant(chance.normal(0, 0.3, 8))
        if depthwise:
            factor = tensorflow.reshape(factor, [8, 1])
        folded = rounded(weights * factor, -2.0, 2.0, narrow=True)
        if depthwise:
            return nn.depthwise_conv2d(value, folded, [1, stride, stride, 1], "SAME") + bias
        return nn.conv2d(value, folded, stride, "SAME") + bias

    first = rounded(nn.relu6(convolution(images * 2.0 - 1.0, 3, 3, stride=2)), 0.0, 6.0)
    wide = rounded(nn.relu6(convolution(first, 3, 8, depthwise=True)), 0.0, 6.0)
    narrow = rounded(convolution(wide, 1, 8), -8.0, 8.0)
    total = rounded(first + narrow, -8.0, 12.0)
    row = tensorflow.squeeze(nn.avg_pool2d(total, 8, 1, "VALID"), [1, 2])
    weights = rounded(constant(chance.normal(0, 1, (8, CLASSES))), -3.0, 3.0, narrow=True)
    logits = nn.bias_add(row @ weights, constant(chance.normal(0, 1, CLASSES)))
    ends = {"softmax": nn.softmax, "sigmoid": nn.sigmoid, "identity": tensorflow.identity}
    return ends[end](rounded(logits, -10.0, 10.0))


def photographs(count: int = 4, side: int = SIDE) -> list[bytes]:
    """Pixels, uint8 RGB [side, side, 3] each: smooth ones with some noise."""
    chance = np.random.default_rng(7)
    rows = np.linspace(0, 200, side)[:, None, None] * chance.uniform(0, 1, (count, 1, 1, 3))
    noise = chance.uniform(0, 55, (count, side, side, 3))
    return [picture.astype(np.uint8).tobytes() for picture in rows + noise]


def scores(engine: Any, pictures: list[bytes]) -> Any:
    """What an engine gives for each picture: [n, classes]."""
    return np.array([engine.run(picture)[0] for picture in pictures])
