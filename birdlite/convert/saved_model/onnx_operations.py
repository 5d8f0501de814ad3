"""The operations of a TensorFlow graph, each written as operators of ONNX. `to_onnx` calls them one after the other.

Each is given the network that it belongs to (`onnx_network`) and its node, adds what it takes, and gives its value. The
shapes in here are those of one picture, as TensorFlow has them. What TensorFlow may do but is not known here is an
`UnknownOperation`; what contradicts itself is an `InvalidModel`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from birdlite.convert.saved_model.graph import attribute, constant_of, inputs_of
from birdlite.convert.saved_model.kernels import UnknownOperation
from birdlite.convert.saved_model.onnx_network import TO_PIXELS, TO_PLANES, Network, Shape, Value, spelt
from birdlite.convert.saved_model.onnx_rules import sides_of, whole_numbers, window_of
from birdlite.convert.saved_model.onnx_weights import add_weights
from birdlite.errors import InvalidModel
from birdlite.tflite.rules import RELU, RELU6

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_EPSILON = 1e-4  # of FusedBatchNorm, where the node does not say


def _convolution(network: Network, node: Any) -> Value:
    """Conv2D and DepthwiseConv2dNative, whose weights differ in their order, and whose groups in their size."""
    source, weights = network.picture(node), network.constant(node, 1)
    height, width, channels = source.shape
    if weights.ndim != 4 or 0 in weights.shape:
        raise InvalidModel(f"weights of shape {list(weights.shape)}")
    depthwise = node.op != "Conv2D"
    groups = channels if depthwise else channels // weights.shape[2]
    results = channels * weights.shape[3] if depthwise else weights.shape[3]
    fits = weights.shape[2] * (1 if depthwise else groups) == channels
    if not fits or results % groups:
        raise InvalidModel(f"weights of shape {list(weights.shape)} for {channels} channels")
    window = window_of(node, weights.shape[:2], (height, width))
    real = network.onnx.node(
        "Conv",
        [source.name, *_weights(network, node, source, weights, results)],
        network.place,
        dilations=sides_of(node, "dilations"),
        group=groups,
        kernel_shape=weights.shape[:2],
        pads=(*window.before, *window.after),
        strides=window.strides,
    )
    return network.done(node, Value(real, (*window.out, results)))


def _matmul(network: Network, node: Any) -> Value:
    source, weights = network.value(node), network.constant(node, 1)
    if attribute(node, "transpose_a", False) or len(source.shape) != 1:
        raise UnknownOperation(node)
    if attribute(node, "transpose_b", False):
        weights = weights.T
    if weights.ndim != 2 or weights.shape[:1] != source.shape or 0 in weights.shape:
        raise InvalidModel(f"weights of shape {list(weights.shape)} for {spelt(source.shape)}")
    results = weights.shape[1]
    real = network.onnx.node("Gemm", [source.name, *_weights(network, node, source, weights, results)], network.place)
    return network.done(node, Value(real, (results,)))


def _weights(network: Network, node: Any, source: Value, weights: Array, results: int) -> list[str]:
    """Weights and, where a node behind this one adds it, bias."""
    grid = network.weight_grids.get(network.read(node, 1).name)
    if grid and grid.scale.ndim and attribute(node, "transpose_b", False):
        grid = None  # its scales are not those of the results
    return add_weights(network.onnx, network.place, node.op, weights, _bias(network, node, results), grid, source.grid)


def _bias(network: Network, node: Any, results: int) -> Array | None:
    """The constant that is added behind this node, if it is one number, or one for each result."""
    import numpy as np

    addition = network.graph.nodes.get(network.biases.get(node.name, ""))
    if addition is None:
        return None
    added = network.constant(addition, 1 - inputs_of(addition).index(node.name))
    if added.size not in (1, results) or added.shape[-1:] not in ((), (added.size,)):
        return None
    network.added.add(addition.name)
    return np.broadcast_to(added.ravel(), (results,))


def _pool(network: Network, node: Any) -> Value:
    source, kernel = network.picture(node), sides_of(node, "ksize")
    height, width, channels = source.shape
    window = window_of(node, kernel, (height, width))
    pads = (*window.before, *window.after)
    average = node.op == "AvgPool"
    if average and kernel == (height, width) and window.out == (1, 1):
        real = network.onnx.node("GlobalAveragePool", [source.name], network.place)
    else:
        # Neither format counts the padding into an average.
        kind = "AveragePool" if average else "MaxPool"
        real = network.onnx.node(
            kind, [source.name], network.place, kernel_shape=kernel, pads=pads, strides=window.strides
        )
    return network.done(node, Value(real, (*window.out, channels)), kept=source.grid)


def _mean(network: Network, node: Any) -> Value:
    source, axes = network.picture(node), network.whole_numbers(node, 1)
    if {axis % 4 for axis in axes} != {1, 2}:
        raise UnknownOperation(node)
    channels = source.shape[2]
    real = network.onnx.node("GlobalAveragePool", [source.name], network.place)
    # The grid comes before the change of shape, so that onnxruntime finds it beside the mean.
    value = network.done(node, Value(real, (1, 1, channels)), kept=source.grid)
    return value if attribute(node, "keep_dims", False) else _reshaped(network, value, (channels,))


def _squeeze(network: Network, node: Any) -> Value:
    source = network.value(node)
    axes = whole_numbers(node, "squeeze_dims") or [axis for axis, size in enumerate(source.shape, 1) if size == 1]
    if len(source.shape) != 3 or {axis % 4 for axis in axes} != {1, 2}:
        raise UnknownOperation(node)
    if source.shape[:2] != (1, 1):
        raise InvalidModel(f"height and width of {spelt(source.shape)} are not 1")
    return network.done(node, _reshaped(network, source, source.shape[2:]))


def _reshape(network: Network, node: Any) -> Value:
    source, like = network.value(node), network.read(node, 1)
    after = network.value(like).shape if like.op == "Shape" else tuple(network.whole_numbers(node, 1))
    if like.op != "Shape":
        if after[:1] != (-1,) or min(after[1:], default=0) < 1:
            raise UnknownOperation(node)
        after = after[1:]
    if math.prod(after) != math.prod(source.shape):
        raise InvalidModel(f"{spelt(source.shape)} to {spelt(after)}")
    if after != source.shape and len(after) != 1 and after[:-1] != (1, 1):
        raise UnknownOperation(node)
    return network.done(node, _reshaped(network, source, after))


def _reshaped(network: Network, value: Value, after: Shape) -> Value:
    """A row, or one pixel, of the same values in the source's order: planes are transposed back for it."""
    if value.shape == after:
        return value
    real = value.name
    if len(value.shape) == 3 and value.shape[:2] != (1, 1):
        real = network.onnx.node("Transpose", [real], f"{network.place}_pixels", perm=TO_PIXELS)
    # 0: as many as there are
    shape = network.onnx.constant(f"{network.place}_shape", (0, after[-1], *after[:-1]), "int64")
    return Value(network.onnx.node("Reshape", [real, shape], f"{network.place}_row"), after, value.grid)


def _arithmetic(network: Network, node: Any) -> Value:
    import numpy as np

    if node.name in network.added:
        (value,) = (network.values[name] for name in inputs_of(node) if name in network.values)
        return network.done(node, value)
    if attribute(node, "data_format", "NHWC") != "NHWC":
        raise UnknownOperation(node)
    values = [network.values.get(network.read(node, number).name) for number in (0, 1)]
    rank = max((len(value.shape) for value in values if value), default=0)
    operands, shapes = zip(*(_operand(network, node, number, rank) for number in (0, 1)), strict=True)
    try:
        shape = np.broadcast_shapes(*shapes)
    except ValueError:
        raise InvalidModel(f"{spelt(shapes[0])} and {spelt(shapes[1])} do not fit") from None
    return network.done(node, Value(network.onnx.node(_ARITHMETIC[node.op], [*operands], network.place), shape))


def _operand(network: Network, node: Any, number: int, rank: int) -> tuple[str, Shape]:
    """The name and shape of a value of `rank`, or of a constant made to go with one."""
    read = network.read(node, number)
    if read.op != "Const":
        value = network.value(node, number)
        if len(value.shape) != rank:
            raise UnknownOperation(node)
        return value.name, value.shape
    array = constant_of(read)
    array = array.reshape((1,) * (rank + 1 - array.ndim) + array.shape)
    if array.ndim != rank + 1 or array.shape[0] != 1:
        raise UnknownOperation(node)
    planes = array.transpose(TO_PLANES) if rank == 3 else array
    return network.onnx.constant(f"{network.place}_{number}", planes, "float32"), array.shape[1:]


def _activation(network: Network, node: Any) -> Value:
    value, limits = network.value(node), RELU if node.op == "Relu" else RELU6
    return network.done(node, value, limits, kept=value.grid if limits == RELU else None)


def _sigmoid(network: Network, node: Any) -> Value:
    value = network.value(node)
    return network.done(node, Value(network.onnx.node("Sigmoid", [value.name], network.place), value.shape))


def _softmax(network: Network, node: Any) -> Value:
    value = network.value(node)
    real = network.onnx.node("Softmax", [value.name], network.place, axis=1)  # that of the channels
    return network.done(node, Value(real, value.shape))


def _pad(network: Network, node: Any) -> Value:
    source, amounts = network.value(node), network.whole_numbers(node, 1)
    shape = (0, *source.shape)
    if len(amounts) != 2 * len(shape) or min(amounts) < 0:
        raise InvalidModel(f"pads {amounts}")
    if any(amounts[:2]) or len(shape) != 4:
        raise UnknownOperation(node)
    before, after = amounts[::2], amounts[1::2]
    padded = tuple(sum(sizes) for sizes in zip(before, shape, after, strict=True))
    pads = [sizes[axis] for sizes in (before, after) for axis in TO_PLANES]
    constant = network.onnx.constant(f"{network.place}_pads", pads, "int64")
    real = network.onnx.node("Pad", [source.name, constant], network.place)
    return network.done(node, Value(real, padded[1:]), kept=source.grid)


def _concatenation(network: Network, node: Any) -> Value:
    count = len(inputs_of(node)) - 1
    axis = network.whole_numbers(node, count)
    values = [network.value(node, number) for number in range(count)]
    if not values or len({value.shape[:-1] for value in values}) != 1 or len(axis) != 1:
        raise InvalidModel(f"{', '.join(spelt(value.shape) for value in values)} along {axis}")
    rank = len(values[0].shape)
    if axis[0] not in (-1, rank):
        raise UnknownOperation(node)
    grids = {value.grid for value in values}
    shape = (*values[0].shape[:-1], sum(value.shape[-1] for value in values))
    real = network.onnx.node("Concat", [value.name for value in values], network.place, axis=1)
    return network.done(node, Value(real, shape), kept=grids.pop() if len(grids) == 1 else None)


def _batch_norm(network: Network, node: Any) -> Value:
    source = network.picture(node)
    if attribute(node, "is_training", True):
        raise UnknownOperation(node)
    # scale, offset, mean and variance: ONNX has the same order.
    constants = [network.constant(node, number) for number in range(1, 5)]
    if any(array.shape != source.shape[2:] for array in constants):
        raise InvalidModel(f"{[list(array.shape) for array in constants]} for {spelt(source.shape)}")
    names = [
        network.onnx.constant(f"{network.place}_{number}", array, "float32") for number, array in enumerate(constants)
    ]
    epsilon = attribute(node, "epsilon", _EPSILON)
    if not isinstance(epsilon, float):
        raise InvalidModel(f"epsilon {epsilon!r}")
    real = network.onnx.node("BatchNormalization", [source.name, *names], network.place, epsilon=epsilon)
    return network.done(node, Value(real, source.shape))


def _same(network: Network, node: Any) -> Value:
    """Identity and its like, and a Cast of what is float already."""
    if attribute(node, "DstT", "float32") != "float32":
        raise UnknownOperation(node)
    return network.done(node, network.value(node))


_ARITHMETIC = {"Add": "Add", "AddV2": "Add", "BiasAdd": "Add", "Sub": "Sub", "Mul": "Mul", "RealDiv": "Div"}

OPERATIONS: dict[str, Callable[[Network, Any], Value]] = {
    **dict.fromkeys(_ARITHMETIC, _arithmetic),
    "AvgPool": _pool,
    "Cast": _same,
    "ConcatV2": _concatenation,
    "Conv2D": _convolution,
    "DepthwiseConv2dNative": _convolution,
    "FusedBatchNorm": _batch_norm,
    "FusedBatchNormV2": _batch_norm,
    "FusedBatchNormV3": _batch_norm,
    "Identity": _same,
    "MatMul": _matmul,
    "MaxPool": _pool,
    "Mean": _mean,
    "Pad": _pad,
    "Relu": _activation,
    "Relu6": _activation,
    "Reshape": _reshape,
    "Sigmoid": _sigmoid,
    "Softmax": _softmax,
    "Squeeze": _squeeze,
    "StopGradient": _same,
}
