"""Small TensorFlow graphs for tests, written without TensorFlow: real networks with weights drawn at random.

Their layout is that of the birds model: quantisation-aware, its BatchNorms folded into the weights by nodes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from birdlite.convert.saved_model.graph import Graph, constant_node, graph_of, node
from birdlite.convert.saved_model.schema import message

SIDE, CLASSES = 16, 5
INPUT, OUTPUT = "images:0", "prediction:0"


_UNTYPED = ("Placeholder", "Cast", "FakeQuantWithMinMaxVars")


class Builder:
    """A GraphDef under construction. Methods give the name of the node that they add."""

    def __init__(self, seed: int = 0, *, rounds: bool = True) -> None:
        self.chance = np.random.default_rng(seed)
        self.rounds = rounds
        self.graph_def = message("GraphDef")()
        self.graph_def.versions.producer = 1205

    def add(self, op: str, inputs: list[str], name: str, **attributes: Any) -> str:
        if op not in _UNTYPED:
            attributes.setdefault("T", "float32")  # TensorFlow insists on it
        self.graph_def.node.append(node(name, op, inputs, **attributes))
        return name

    def constant(self, name: str, values: Any, dtype: str = "float32") -> str:
        self.graph_def.node.append(constant_node(name, np.asarray(values, dtype)))
        return name

    def input(self, side: int = SIDE, dtype: str = "float32") -> str:
        return self.add("Placeholder", [], "images", dtype=dtype, shape=(-1, side, side, 3))

    def fake_quant(self, value: str, low: float, high: float, *, narrow: bool = False) -> str:
        if not self.rounds:
            return value
        ends = [self.constant(f"{value}/quant/min", low), self.constant(f"{value}/quant/max", high)]
        return self.add("FakeQuantWithMinMaxVars", [value, *ends], f"{value}/quant", narrow_range=narrow)

    def convolution(
        self,
        value: str,
        name: str,
        kernel: int,
        channels: int,
        results: int,
        *,
        stride: int = 1,
        depthwise: bool = False,
    ) -> str:
        """A convolution whose BatchNorm is folded by nodes, without an activation."""
        shape = (kernel, kernel, channels, 1 if depthwise else results)
        weights = self.constant(f"{name}/weights", self.chance.normal(0, 1.2 / (kernel * channels**0.5), shape))
        gamma = self.constant(f"{name}/gamma", self.chance.uniform(0.5, 1.5, results))
        variance = self.constant(f"{name}/variance", self.chance.uniform(0.5, 2, results))
        epsilon = self.constant(f"{name}/epsilon", 1e-3)
        root = self.add("Rsqrt", [self.add("AddV2", [variance, epsilon], f"{name}/add")], f"{name}/rsqrt")
        factor = self.add("Mul", [gamma, root], f"{name}/factor")
        bias = self.constant(f"{name}/bias", self.chance.normal(0, 0.3, results))
        if depthwise:
            factor = self.add("Reshape", [factor, self.constant(f"{name}/shape", [results, 1], "int32")], f"{name}/row")
        folded = self.add("Mul", [weights, factor], f"{name}/folded")
        folded = self.fake_quant(folded, -2.0, 2.0, narrow=True)
        op = "DepthwiseConv2dNative" if depthwise else "Conv2D"
        product = self.add(op, [value, folded], f"{name}/product", padding="SAME", strides=[1, stride, stride, 1])
        return self.add("AddV2", [product, bias], name)

    def relu6(self, value: str) -> str:
        return self.fake_quant(self.add("Relu6", [value], f"{value}/relu6"), 0.0, 6.0)


def network(side: int = SIDE, classes: int = CLASSES, *, rounds: bool = True, end: str = "Softmax") -> Any:
    """A GraphDef with every operation of the birds model, rounding or not; `end` is Softmax, Sigmoid or logits."""
    build = Builder(rounds=rounds)
    scaled = build.add("Mul", [build.input(side), build.constant("two", 2.0)], "scaled")
    moved = build.add("Sub", [scaled, build.constant("one", 1.0)], "moved")
    first = build.relu6(build.convolution(moved, "first", 3, 3, 8, stride=2))
    wide = build.relu6(build.convolution(first, "wide", 3, 8, 8, depthwise=True))
    narrow = build.fake_quant(build.convolution(wide, "narrow", 1, 8, 8), -8.0, 8.0)
    total = build.fake_quant(build.add("AddV2", [first, narrow], "total"), -8.0, 12.0)
    pooled = build.add(
        "AvgPool", [total], "pooled", padding="VALID", ksize=[1, side // 2, side // 2, 1], strides=[1, 1, 1, 1]
    )
    row = build.add("Squeeze", [pooled], "row", squeeze_dims=[1, 2])
    weights = build.fake_quant(
        build.constant("logits/weights", build.chance.normal(0, 1, (8, classes))), -3.0, 3.0, narrow=True
    )
    product = build.add("MatMul", [row, weights], "logits/product")
    biases = build.constant("logits/biases", build.chance.normal(0, 1, classes))
    logits = build.fake_quant(build.add("BiasAdd", [product, biases], "logits"), -10.0, 10.0)
    build.add({"logits": "Identity"}.get(end, end), [logits], "prediction")
    return build.graph_def


def graph(side: int = SIDE, classes: int = CLASSES, *, rounds: bool = True, end: str = "Softmax") -> Graph:
    """The same, read."""
    return graph_of(network(side, classes, rounds=rounds, end=end), INPUT, OUTPUT)


def photographs(count: int = 4, side: int = SIDE) -> list[bytes]:
    """Pixels, uint8 RGB [side, side, 3] each: smooth ones with some noise."""
    chance = np.random.default_rng(7)
    rows = np.linspace(0, 200, side)[:, None, None] * chance.uniform(0, 1, (count, 1, 1, 3))
    noise = chance.uniform(0, 55, (count, side, side, 3))
    return [picture.astype(np.uint8).tobytes() for picture in rows + noise]
