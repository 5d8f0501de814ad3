"""Small ONNX classifiers of floats for tests, written node by node, and ONNX Runtime to run and optimise them.

They take pictures of 16x16 px. Where a network `rounds`, its activations have pairs of QuantizeLinear and
DequantizeLinear, as `to_onnx` makes them of a source that was trained so, and its weights lie on a grid.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from birdlite.convert.onnx_graph import OnnxGraph

SIDE, CLASSES = 16, 5
WEIGHT_STEP = 2 / 127  # of weights that were rounded

Array = np.ndarray[Any, Any]


class Network:
    """A network under construction. Methods add nodes behind `value` and make `value` what they give."""

    def __init__(self, *, rounds: bool = False, seed: int = 0) -> None:
        self.graph = OnnxGraph()
        self.chance = np.random.default_rng(seed)
        self.rounds = rounds
        self.value = self.graph.pixels(2 / 255, 0)
        self._nodes = 0
        self.add("Sub", self.constant("one", 1))  # from -1 to 1

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        self._nodes += 1
        self.value = self.graph.node(kind, [self.value, *inputs], f"{kind.lower()}{self._nodes}", **attributes)
        return self.value

    def constant(self, name: str, values: Any, dtype: str = "float32") -> str:
        return self.graph.constant(f"{name}{self._nodes}", values, dtype)

    def weights(self, *shape: int, deviation: float = 0.4) -> str:
        values = self.chance.normal(0, deviation, shape)
        if self.rounds:
            values = np.clip(np.rint(values / WEIGHT_STEP), -127, 127) * WEIGHT_STEP
        return self.constant("weights", values)

    def round(self, scale: float, zero_point: int = 0) -> str:
        """Round what the last node gives, if this network rounds."""
        if self.rounds:
            self.value = self.graph.rounded(self.value, scale, zero_point)
        return self.value

    def convolution(self, results: int, channels: int, *, kernel: int = 3, groups: int = 1, stride: int = 1) -> str:
        """A convolution with a bias, a Clip to 0..6, and its rounding."""
        weights = self.weights(results, channels // groups, kernel, kernel, deviation=0.8 / kernel)
        bias = self.constant("bias", self.chance.normal(0, 0.3, results))
        pads = [kernel // 2] * 4
        self.add("Conv", weights, bias, group=groups, pads=pads, strides=[stride] * 2, kernel_shape=[kernel] * 2)
        self.add("Clip", self.constant("low", 0), self.constant("high", 6))
        return self.round(6 / 255)

    def row(self, size: int) -> str:
        return self.add("Reshape", self.constant("shape", (0, size), "int64"))

    def classify(self, size: int) -> bytes:
        """The finished model: `size` values of each picture become scores."""
        self.add("Gemm", self.weights(size, CLASSES), self.constant("bias", self.chance.normal(0, 1, CLASSES)))
        self.round(20 / 255, 128)
        self.add("Softmax")
        return self.graph.finish(self.value, SIDE, CLASSES)


def classifier(*, rounds: bool = False) -> bytes:
    """A convolution, a depthwise and a residual one, a pool, a matrix product."""
    network = Network(rounds=rounds)
    first = network.convolution(8, 3, stride=2)
    network.convolution(8, 8, groups=8)
    network.convolution(8, 8, kernel=1)
    network.add("Add", first)
    network.round(12 / 255)
    network.add("GlobalAveragePool")
    network.row(8)
    return network.classify(8)


def by_onnxruntime(model: bytes, pictures: Array, *, optimized: bool = True) -> Array:
    """The scores of `pictures`, uint8 [n, side, side, 3]."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    if not optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.x64quantprecision", "1")  # exact products also without VNNI
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    (scores,) = session.run(None, {"pixels": pictures})
    return np.asarray(scores)


def optimised_kinds(model: bytes, folder: Path) -> list[str]:
    """The operators that onnxruntime makes of a model for every CPU."""
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return [node.op_type for node in onnx.load(folder / "optimised.onnx").graph.node]


def noise() -> Array:
    """Twelve pictures of noise, each colour of each as strong as chance will have it."""
    random = np.random.default_rng(1)
    return np.asarray(random.integers(0, 256, (12, SIDE, SIDE, 3)) * random.uniform(0, 1, (12, 1, 1, 3)), np.uint8)


def apart(model: bytes, other: bytes) -> float:
    """The largest difference of a score of two models on noise."""
    return float(np.abs(by_onnxruntime(model, noise()) - by_onnxruntime(other, noise())).max())
