"""What the operations of a TensorFlow graph compute, in NumPy: for its constants, and for the reference of a proof.

`fold` computes constants with `run`, `numpy_engine` whole networks. Values are NHWC, as TensorFlow's are by default,
and of the dtype that they have there. Speed matters a little (a proof runs some pictures), memory too: convolutions are
sums over the positions of the kernel, each one matrix product or one multiplication.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from birdlite.convert.saved_model import fake_quant
from birdlite.convert.saved_model.graph import MAX_CONSTANT_BYTES, attribute, constant_of
from birdlite.errors import InvalidModel

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

Kernel: TypeAlias = "Callable[[Any, list[Array]], Array]"

_EPSILON = 1e-4  # the default of FusedBatchNorm


class UnknownOperation(InvalidModel):
    """An operation is not known here; TensorFlow may know it."""

    def __init__(self, node: Any) -> None:
        self.operation: str = node.op
        super().__init__(
            f"the operation `{node.op}` (node {node.name}) is not known here; for other models: "
            "pip install 'birdlite[convert]'"
        )


def check_known(node: Any) -> None:
    """Make sure that a node can be run.

    Raises:
        UnknownOperation: it cannot.
    """
    if node.op not in KERNELS:
        raise UnknownOperation(node)


def run(node: Any, inputs: list[Array]) -> Array:
    """Compute the first output of a node.

    Raises:
        UnknownOperation: it is not known here.
        InvalidModel: what it is given does not fit it.
    """
    import numpy as np

    check_known(node)
    try:
        with np.errstate(over="ignore", divide="ignore", invalid="ignore", under="ignore"):
            return np.asarray(KERNELS[node.op](node, inputs))
    except InvalidModel as error:
        raise InvalidModel(f"{node.op} {node.name}: {error}") from None
    except (ValueError, IndexError, TypeError, OverflowError) as error:
        raise InvalidModel(f"{node.op} {node.name}: what it reads does not fit it: {error}") from None


# Elementwise


def _elementwise(name: str) -> Kernel:
    """A kernel that is one of NumPy's own functions."""

    def kernel(node: Any, inputs: list[Array]) -> Array:
        import numpy as np

        shape = np.broadcast_shapes(*(array.shape for array in inputs))
        if math.prod(shape) * inputs[0].dtype.itemsize > MAX_CONSTANT_BYTES:
            raise InvalidModel(f"gives {list(shape)}, more than {MAX_CONSTANT_BYTES >> 20} MiB")
        result: Array = getattr(np, name)(*inputs)
        return result

    return kernel


def _cast(node: Any, inputs: list[Array]) -> Array:
    return inputs[0].astype(attribute(node, "DstT"))


def _rsqrt(node: Any, inputs: list[Array]) -> Array:
    import numpy as np

    result: Array = np.reciprocal(np.sqrt(inputs[0]))
    return result


def _relu(node: Any, inputs: list[Array]) -> Array:
    import numpy as np

    result: Array = np.maximum(inputs[0], inputs[0].dtype.type(0))
    return result


def _relu6(node: Any, inputs: list[Array]) -> Array:
    import numpy as np

    return np.clip(inputs[0], inputs[0].dtype.type(0), inputs[0].dtype.type(6))


def _sigmoid(node: Any, inputs: list[Array]) -> Array:
    import numpy as np

    one = inputs[0].dtype.type(1)
    result: Array = one / (one + np.exp(-inputs[0]))
    return result


def _softmax(node: Any, inputs: list[Array]) -> Array:
    import numpy as np

    powers = np.exp(inputs[0] - inputs[0].max(axis=-1, keepdims=True))
    result: Array = powers / powers.sum(axis=-1, keepdims=True)
    return result


def _fake_quant(node: Any, inputs: list[Array]) -> Array:
    return fake_quant.fake_quantized(inputs[0], fake_quant.grid_of(node, inputs[1:]))


def _batch_norm(node: Any, inputs: list[Array]) -> Array:
    import numpy as np

    _check_layout(node)
    if attribute(node, "is_training", True):
        raise InvalidModel("it is in training")
    values, gamma, beta, mean, variance = inputs
    scale = gamma / np.sqrt(variance + np.float32(attribute(node, "epsilon", _EPSILON)))
    result: Array = values * scale + (beta - mean * scale)
    return result


# Shapes


def _reshape(node: Any, inputs: list[Array]) -> Array:
    return inputs[0].reshape([int(size) for size in inputs[1]])


def _squeeze(node: Any, inputs: list[Array]) -> Array:
    axes = attribute(node, "squeeze_dims", [])
    if axes:
        return inputs[0].squeeze(tuple(axes))
    # The batch is one picture here, and stays.
    return inputs[0].squeeze(tuple(axis for axis in range(1, inputs[0].ndim) if inputs[0].shape[axis] == 1))


def _expand_dims(node: Any, inputs: list[Array]) -> Array:
    import numpy as np

    return np.expand_dims(inputs[0], int(inputs[1]))


def _transpose(node: Any, inputs: list[Array]) -> Array:
    return inputs[0].transpose([int(axis) for axis in inputs[1]])


def _pad(node: Any, inputs: list[Array]) -> Array:
    import numpy as np

    value = inputs[2] if len(inputs) > 2 else 0
    return np.pad(inputs[0], [(int(before), int(after)) for before, after in inputs[1]], constant_values=value)


def _concatenate(node: Any, inputs: list[Array]) -> Array:
    import numpy as np

    return np.concatenate(inputs[:-1], axis=int(inputs[-1]))


def _mean(node: Any, inputs: list[Array]) -> Array:
    axes = tuple(int(axis) for axis in inputs[1].reshape(-1))
    result: Array = inputs[0].mean(axis=axes, keepdims=bool(attribute(node, "keep_dims", False)))
    return result


# Sums of products


def _matmul(node: Any, inputs: list[Array]) -> Array:
    first, second = inputs
    if attribute(node, "transpose_a", False):
        first = first.T
    if attribute(node, "transpose_b", False):
        second = second.T
    product: Array = first @ second
    return product


def _convolution(node: Any, inputs: list[Array]) -> Array:
    """Weights are [height, width, channels, results]."""
    values, weights = inputs
    if weights.shape[2] != values.shape[-1]:
        raise InvalidModel(f"weights of shape {list(weights.shape)} for {values.shape[-1]} channels")
    return _sum_of(node, values, weights.shape[:2], lambda row, column, part: part @ weights[row, column])


def _depthwise(node: Any, inputs: list[Array]) -> Array:
    """Weights are [height, width, channels, results for each]."""
    values, weights = inputs
    channels, multiple = weights.shape[2:]
    if channels != values.shape[-1]:
        raise InvalidModel(f"weights of shape {list(weights.shape)} for {values.shape[-1]} channels")

    def product(row: int, column: int, part: Array) -> Array:
        result: Array = (part[..., None] * weights[row, column]).reshape(*part.shape[:-1], channels * multiple)
        return result

    return _sum_of(node, values, weights.shape[:2], product)


def _sum_of(node: Any, values: Array, kernel: Sequence[int], product: Callable[[int, int, Array], Array]) -> Array:
    """Add up what `product` makes of the values under each position of the kernel."""
    total: Array | None = None
    for row, column, part in _windows(node, values, kernel, attribute(node, "dilations", [1, 1, 1, 1]), fill=0):
        addend = product(row, column, part)
        total = addend if total is None else total + addend
    if total is None:
        raise InvalidModel(f"a kernel of {list(kernel)}")
    return total


def _average_pool(node: Any, inputs: list[Array]) -> Array:
    """The mean of the pixels under the window; padding does not count."""
    import numpy as np

    values = inputs[0]
    kernel = attribute(node, "ksize")[1:3]
    ones = np.ones((1, *values.shape[1:3], 1), values.dtype)
    total = sum(part for _, _, part in _windows(node, values, kernel, [1, 1, 1, 1], fill=0))
    count = sum(part for _, _, part in _windows(node, ones, kernel, [1, 1, 1, 1], fill=0))
    return np.asarray(total / count)


def _max_pool(node: Any, inputs: list[Array]) -> Array:
    import numpy as np

    kernel = attribute(node, "ksize")[1:3]
    parts = [part for _, _, part in _windows(node, inputs[0], kernel, [1, 1, 1, 1], fill=-np.inf)]
    result: Array = np.maximum.reduce(parts)
    return result


def _windows(
    node: Any, values: Array, kernel: Sequence[int], dilations: Sequence[int], *, fill: float
) -> list[tuple[int, int, Array]]:
    """For each position in the kernel, the values that lie under it as it moves: [n, rows, columns, channels]."""
    import numpy as np

    _check_layout(node)
    strides = attribute(node, "strides")[1:3]
    if values.ndim != 4 or min(*strides, *kernel, *dilations[1:3]) < 1:
        raise InvalidModel(f"a window of {list(kernel)}, strides {strides}, on {list(values.shape)}")
    explicit = attribute(node, "explicit_paddings", [])
    pads, steps = [], []
    for side in (0, 1):
        reach = (kernel[side] - 1) * dilations[1 + side] + 1
        given = explicit[2 + 2 * side : 4 + 2 * side] if explicit else None
        pad, count = _moves(values.shape[1 + side], reach, strides[side], attribute(node, "padding"), given)
        pads.append(pad)
        steps.append(count)
    padded = np.pad(values, [(0, 0), *pads, (0, 0)], constant_values=fill) if any(map(any, pads)) else values
    parts = []
    for row in range(kernel[0]):
        for column in range(kernel[1]):
            top, left = row * dilations[1], column * dilations[2]
            rows = slice(top, top + (steps[0] - 1) * strides[0] + 1, strides[0])
            columns = slice(left, left + (steps[1] - 1) * strides[1] + 1, strides[1])
            parts.append((row, column, padded[:, rows, columns]))
    return parts


def _moves(
    pixels: int, reach: int, stride: int, padding: str, explicit: Sequence[int] | None
) -> tuple[tuple[int, int], int]:
    """Padding before and after, and steps, along one side. With SAME an odd pixel of padding goes behind."""
    if padding == "SAME":
        steps = math.ceil(pixels / stride)
        lacking = max((steps - 1) * stride + reach - pixels, 0)
        return (lacking // 2, lacking - lacking // 2), steps
    before, after = explicit if explicit and padding == "EXPLICIT" else (0, 0)
    steps = (pixels + before + after - reach) // stride + 1
    if steps < 1 or min(before, after) < 0:
        raise InvalidModel(f"a window of {reach} px on {pixels} px")
    return (before, after), steps


def _check_layout(node: Any) -> None:
    layout = attribute(node, "data_format", "NHWC")
    if layout != "NHWC":
        raise InvalidModel(f"pictures laid out as {layout}")


def _first(node: Any, inputs: list[Array]) -> Array:
    return inputs[0]


def _constant(node: Any, inputs: list[Array]) -> Array:
    return constant_of(node)


KERNELS: dict[str, Kernel] = {
    "Add": _elementwise("add"),
    "AddV2": _elementwise("add"),
    "AvgPool": _average_pool,
    "BiasAdd": _elementwise("add"),
    "Cast": _cast,
    "ConcatV2": _concatenate,
    "Const": _constant,
    "Conv2D": _convolution,
    "DepthwiseConv2dNative": _depthwise,
    "ExpandDims": _expand_dims,
    "FakeQuantWithMinMaxArgs": _fake_quant,
    "FakeQuantWithMinMaxVars": _fake_quant,
    "FakeQuantWithMinMaxVarsPerChannel": _fake_quant,
    "FusedBatchNorm": _batch_norm,
    "FusedBatchNormV2": _batch_norm,
    "FusedBatchNormV3": _batch_norm,
    "Identity": _first,
    "MatMul": _matmul,
    "MaxPool": _max_pool,
    "Maximum": _elementwise("maximum"),
    "Mean": _mean,
    "Minimum": _elementwise("minimum"),
    "Mul": _elementwise("multiply"),
    "Neg": _elementwise("negative"),
    "Pad": _pad,
    "PadV2": _pad,
    "RealDiv": _elementwise("true_divide"),
    "Relu": _relu,
    "Relu6": _relu6,
    "Reshape": _reshape,
    "Rsqrt": _rsqrt,
    "Sigmoid": _sigmoid,
    "Softmax": _softmax,
    "Sqrt": _elementwise("sqrt"),
    "Square": _elementwise("square"),
    "Squeeze": _squeeze,
    "StopGradient": _first,
    "Sub": _elementwise("subtract"),
    "Transpose": _transpose,
}
