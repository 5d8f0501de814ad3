"""Networks of one operation between pixels and scores, and what gives the scores: NumPy, or ONNX Runtime.

The tests of the conversion of TensorFlow graphs to ONNX share them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from birdlite.convert.saved_model.graph import Graph, graph_of
from birdlite.convert.saved_model.numpy_engine import NumpyEngine
from birdlite.convert.saved_model.pixels import take_pixels
from tests.tiny_graphs import Builder

SIDE = 9  # px
FLOAT_MOST = 1e-5  # between the same network in floats by two runtimes; measured: 1e-6
STEP = 16 / 255  # of the grid that results are rounded to

Array = np.ndarray[Any, Any]
Step = Callable[[Builder, str], str]  # adds nodes behind the one named; gives the last of them


def by_onnxruntime(model: bytes, pictures: Array, *, optimized: bool = True) -> Array:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    if not optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.x64quantprecision", "1")  # exact products also without VNNI
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    (scores,) = session.run(None, {"pixels": pictures})
    return np.asarray(scores)


def by_numpy(graph: Graph, pictures: Array) -> Array:
    engine = NumpyEngine(graph)
    try:
        return np.array(engine.run(pictures.tobytes(), len(pictures)))
    finally:
        engine.close()


def optimised_kinds(model: bytes, folder: Path) -> list[str]:
    """The operators that onnxruntime makes of a model for every CPU."""
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return [node.op_type for node in onnx.load(folder / "optimised.onnx").graph.node]


def network(step: Step, size: int | None, *, rounds: bool = False, side: int = SIDE) -> Graph:
    """A graph that takes plain pixels and gives `size` scores of each: what `step` makes of them, in a row.

    Pixels reach it as -1..1; None leaves the result as it is. With `rounds`, what `step` takes and gives is rounded.
    """
    build = Builder(seed=3, rounds=rounds)
    scaled = build.add("Mul", [build.input(side), build.constant("two", 2.0)], "scaled")
    entry = build.fake_quant(build.add("Sub", [scaled, build.constant("one", 1.0)], "entry"), -1.0, 1.0)
    value = build.fake_quant(step(build, entry), -8.0, 8.0)
    if size is not None:
        value = build.add("Reshape", [value, build.constant("shape", [-1, size], "int32")], "scores")
    return take_pixels(graph_of(build.graph_def, "images:0", f"{value}:0"), side)


def noise(side: int = SIDE) -> Array:
    """Four pictures of noise, each colour of each as strong as chance will have it."""
    random = np.random.default_rng(1)
    return np.asarray(random.integers(0, 256, (4, side, side, 3)) * random.uniform(0, 1, (4, 1, 1, 3)), np.uint8)


def weights(build: Builder, shape: tuple[int, ...], name: str = "weights") -> str:
    made = build.constant(name, build.chance.normal(0, 1.5 / np.prod(shape[:-1]) ** 0.5, shape))
    return build.fake_quant(made, -2.5, 2.0, narrow=True)


def convolution(
    build: Builder,
    value: str,
    kernel: tuple[int, int] = (3, 3),
    *,
    channels: int = 3,
    results: int = 4,
    padding: str = "SAME",
    stride: int = 1,
    **attributes: Any,
) -> str:
    kernels = weights(build, (*kernel, channels, results))
    strides = [1, stride, stride, 1]
    return build.add("Conv2D", [value, kernels], "conv", padding=padding, strides=strides, **attributes)


def depthwise(build: Builder, value: str, multiplier: int, stride: int = 1) -> str:
    kernels = weights(build, (3, 3, 3, multiplier))
    return build.add("DepthwiseConv2dNative", [value, kernels], "conv", padding="SAME", strides=[1, stride, stride, 1])


def biased(build: Builder, value: str, op: str, shape: tuple[int, ...], *, first: bool = False) -> str:
    bias = build.constant("bias", build.chance.normal(0, 1, shape))
    inputs = [bias, convolution(build, value)] if first else [convolution(build, value), bias]
    return build.add(op, inputs, "biased")


def with_constant(build: Builder, value: str, op: str, shape: tuple[int, ...], *, first: bool = False) -> str:
    constant = build.constant("constant", build.chance.uniform(0.5, 2, shape))
    return build.add(op, [constant, value] if first else [value, constant], "result")


def pool(build: Builder, value: str, op: str, kernel: int, stride: int, padding: str, **attributes: Any) -> str:
    sides = {"ksize": [1, kernel, kernel, 1], "strides": [1, stride, stride, 1], "padding": padding}
    return build.add(op, [value], "pooled", **sides, **attributes)


def mean(build: Builder, value: str, axes: tuple[int, ...] = (1, 2), **attributes: Any) -> str:
    return build.add("Mean", [value, build.constant("axes", axes, "int32")], "mean", **attributes)


def squeezed(build: Builder, value: str, *axes: int) -> str:
    pooled = pool(build, value, "AvgPool", SIDE, 1, "VALID")
    return build.add("Squeeze", [pooled], "row", **({"squeeze_dims": [*axes]} if axes else {}))


def reshaped(build: Builder, value: str, *shape: int) -> str:
    return build.add("Reshape", [value, build.constant("new", [-1, *shape], "int32")], "reshaped")


def multiplied(build: Builder, value: str, size: int = 3, name: str = "product", **attributes: Any) -> str:
    shape = (4, size) if attributes.get("transpose_b") else (size, 4)
    return build.add("MatMul", [value, weights(build, shape, f"{name}/weights")], name, **attributes)


def classified(build: Builder, value: str) -> str:
    bias = build.constant("bias", build.chance.normal(0, 1, 4))
    return build.add("BiasAdd", [multiplied(build, reshaped(build, value, 243), 243), bias], "logits")


def residual(build: Builder, value: str, op: str = "AddV2") -> str:
    other = build.fake_quant(convolution(build, value, results=3), -6.0, 6.0)
    return build.add(op, [value, other], "total")


def padded(build: Builder, value: str) -> str:
    amounts = build.constant("amounts", [[0, 0], [1, 2], [3, 0], [0, 1]], "int32")
    return build.add("Pad", [value, amounts], "padded")


def normalised(build: Builder, value: str, op: str, **attributes: Any) -> str:
    parts = [build.constant(f"part{i}", build.chance.uniform(0.5, 2, 3)) for i in range(4)]
    return build.add(op, [value, *parts], "normal", is_training=False, **attributes)


def concatenated(build: Builder, value: str, axis: int) -> str:
    other = build.fake_quant(convolution(build, value), -6.0, 6.0)
    return build.add("ConcatV2", [value, other, value, build.constant("axis", axis, "int32")], "together")


def squeeze_and_excite(build: Builder, value: str) -> str:
    """A picture times a weight for each of its channels, which depends on their means."""
    pooled = reshaped(build, multiplied(build, mean(build, value), 3), 1, 1, 4)
    return build.add("Mul", [convolution(build, value), build.add("Sigmoid", [pooled], "gate")], "gated")
