"""What moves a window over pictures: TensorFlow's convolutions and pools, in NumPy. `kernels` has them in its table.

Pictures are [n, height, width, channels]. Speed matters a little (a proof runs some pictures), memory too: convolutions
are sums over the positions in the window, each one matrix product or one multiplication.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from birdlite.convert.saved_model.graph import MAX_CONSTANT_BYTES, attribute
from birdlite.errors import InvalidModel

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_MOST_POSITIONS = 1 << 16  # in a window: as many as there are pixels in a picture of 256x256


def convolution(node: Any, inputs: list[Array]) -> Array:
    """Conv2D. Weights are [height, width, channels of a group, results]."""
    import numpy as np

    values, weights = inputs
    _check_weights(values, weights)
    channels, results = weights.shape[2:]
    groups = values.shape[-1] // channels if channels else 0
    if groups * channels != values.shape[-1] or not groups or results % groups:
        raise _misfit(values, weights)

    def product(row: int, column: int, part: Array) -> Array:
        if groups == 1:
            result: Array = part @ weights[row, column]
            return result
        each = zip(np.split(part, groups, -1), np.split(weights[row, column], groups, -1), strict=True)
        return np.concatenate([some @ theirs for some, theirs in each], -1)

    return _sum_of(node, values, weights.shape[:2], results, product)


def depthwise(node: Any, inputs: list[Array]) -> Array:
    """DepthwiseConv2dNative. Weights are [height, width, channels, results for each]."""
    values, weights = inputs
    _check_weights(values, weights)
    channels, multiple = weights.shape[2:]
    if channels != values.shape[-1]:
        raise _misfit(values, weights)

    def product(row: int, column: int, part: Array) -> Array:
        result: Array = (part[..., None] * weights[row, column]).reshape(*part.shape[:-1], channels * multiple)
        return result

    return _sum_of(node, values, weights.shape[:2], channels * multiple, product)


def average_pool(node: Any, inputs: list[Array]) -> Array:
    """AvgPool: the mean of the pixels under the window; padding does not count."""
    import numpy as np

    values, kernel = inputs[0], _sides(node, "ksize")
    ones = np.ones((1, *values.shape[1:3], 1), values.dtype)
    total = sum(part for _, _, part in _windows(node, values, kernel))
    count = sum(part for _, _, part in _windows(node, ones, kernel))
    return np.asarray(total / count)


def max_pool(node: Any, inputs: list[Array]) -> Array:
    """MaxPool: the largest of the pixels under the window; padding never is."""
    import numpy as np

    parts = _windows(node, inputs[0], _sides(node, "ksize"), fill=-np.inf)
    return functools.reduce(np.maximum, (part for _, _, part in parts))


def check_layout(node: Any) -> None:
    """Make sure that a node takes pictures as they are here.

    Raises:
        InvalidModel: it takes them in another layout, such as NCHW.
    """
    layout = attribute(node, "data_format", "NHWC")
    if layout != "NHWC":
        raise InvalidModel(f"pictures laid out as {layout}")


def check_size(shape: Sequence[int], dtype: np.dtype[Any]) -> None:
    """Make sure that a value, which is about to be computed, has a sensible size.

    Raises:
        InvalidModel: it is as large as only a fault, or malice, makes it.
    """
    if math.prod(shape) * dtype.itemsize > MAX_CONSTANT_BYTES:
        raise InvalidModel(f"makes {list(shape)}, more than {MAX_CONSTANT_BYTES >> 20} MiB")


def _check_weights(values: Array, weights: Array) -> None:
    if values.ndim != 4 or weights.ndim != 4:
        raise InvalidModel(f"weights of shape {list(weights.shape)} on {list(values.shape)}")


def _misfit(values: Array, weights: Array) -> InvalidModel:
    return InvalidModel(f"weights of shape {list(weights.shape)} for {values.shape[-1]} channels")


def _sum_of(
    node: Any, values: Array, kernel: Sequence[int], results: int, product: Callable[[int, int, Array], Array]
) -> Array:
    """Add up what `product` makes, new arrays of `results` channels, of the values under each position."""
    dilations = _sides(node, "dilations", [1, 1, 1, 1])
    parts = _windows(node, values, kernel, dilations, results=results)
    return functools.reduce(operator.iadd, (product(*part) for part in parts))


def _windows(
    node: Any,
    values: Array,
    kernel: Sequence[int],
    dilations: Sequence[int] = (1, 1),
    *,
    fill: float = 0,
    results: int = 0,
) -> Iterator[tuple[int, int, Array]]:
    """For each position in the kernel, the values that lie under it as it moves: [n, rows, columns, channels].

    `results` are the channels that become of them, if more.
    """
    import numpy as np

    check_layout(node)
    strides = _sides(node, "strides")
    if values.ndim != 4 or min(*strides, *kernel, *dilations) < 1 or math.prod(kernel) > _MOST_POSITIONS:
        raise InvalidModel(f"a window of {list(kernel)}, strides {list(strides)}, on {list(values.shape)}")
    explicit = attribute(node, "explicit_paddings", [])
    if explicit and (len(explicit) != 8 or any(explicit[:2] + explicit[6:])):
        raise InvalidModel(f"pads {explicit}")
    pads, steps = [], []
    for side in (0, 1):
        reach = (kernel[side] - 1) * dilations[side] + 1
        given = explicit[2 + 2 * side : 4 + 2 * side] or (0, 0)
        pad, count = _moves(values.shape[1 + side], reach, strides[side], attribute(node, "padding"), given)
        pads.append(pad)
        steps.append(count)
    whole = [(0, 0), *pads, (0, 0)]
    check_size([size + sum(pad) for size, pad in zip(values.shape, whole, strict=True)], values.dtype)
    check_size([len(values), *steps, results], values.dtype)
    padded = np.pad(values, whole, constant_values=fill) if any(map(any, pads)) else values
    for row in range(kernel[0]):
        for column in range(kernel[1]):
            top, left = row * dilations[0], column * dilations[1]
            rows = slice(top, top + (steps[0] - 1) * strides[0] + 1, strides[0])
            columns = slice(left, left + (steps[1] - 1) * strides[1] + 1, strides[1])
            yield row, column, padded[:, rows, columns]


def _sides(node: Any, key: str, default: list[int] | None = None) -> tuple[int, int]:
    """Height and width of an attribute with a number for each dimension."""
    numbers = attribute(node, key, default)
    if not isinstance(numbers, list) or len(numbers) != 4 or (numbers[0], numbers[3]) != (1, 1):
        raise InvalidModel(f"{key} {numbers}")
    return int(numbers[1]), int(numbers[2])


def _moves(pixels: int, reach: int, stride: int, padding: str, explicit: Sequence[int]) -> tuple[tuple[int, int], int]:
    """Padding before and after, and steps, along one side. With SAME an odd pixel of padding goes behind."""
    if padding == "SAME":
        steps = math.ceil(pixels / stride)
        lacking = max((steps - 1) * stride + reach - pixels, 0)
        return (lacking // 2, lacking - lacking // 2), steps
    if padding not in ("VALID", "EXPLICIT"):
        raise InvalidModel(f"padding {padding!r}")
    before, after = explicit if padding == "EXPLICIT" else (0, 0)
    steps = (pixels + before + after - reach) // stride + 1
    if steps < 1 or min(before, after) < 0:
        raise InvalidModel(f"a window of {reach} px on {pixels} px")
    return (before, after), steps
