"""Weights and biases of a TensorFlow graph as constants of ONNX: floats, or whole numbers on the source's grid.

`onnx_operations` calls it for convolutions and MatMul. TensorFlow's weights have their results along the last
dimension; those of a depthwise convolution, [height, width, channels, multiplier], along the last two.

Whole numbers are int8 with the zero point 0, for which onnxruntime has kernels that make MobileNetV2 half as fast again
as any other zero point. The grid of the source has 254 steps, but hardly a result uses those of them that are more than
127 away from 0 (of 17,989 results of the birds model 74 do). So each result keeps the source's step, and with it its
values exactly; one that reaches farther gets a step of its own. So does one whose bias, in products of this step and
the input's, would not leave room in 32 bits for the sum: its weights are next to nothing beside the bias.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from birdlite.convert.onnx_graph import OnnxGraph
from birdlite.convert.saved_model.fake_quant import Grid
from birdlite.errors import InvalidModel
from birdlite.tflite import rules

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_LAST_INT8 = 127
_LAST_UINT8 = 255
_MOST_BIAS = 2**30  # leaves half of an int32 to the sum of products


def add_weights(
    onnx: OnnxGraph,
    place: str,
    op: str,
    weights: Array,
    bias: Array | None,
    grid: Grid | None,
    input_grid: rules.Grid | None,
) -> list[str]:
    """Add the weights of an operation `op` and, where there is one, its bias [results]; gives their names.

    They are whole numbers where the weights lie on a `grid` of 8 bits and what they are for on `input_grid`. The names
    begin with `place`.

    Raises:
        InvalidModel: they are no numbers, or their grid is none.
    """
    import numpy as np

    names = f"{place}_weights", f"{place}_bias"
    arranged = _arranged(op, weights)
    if not np.isfinite(arranged).all() or not np.isfinite(0 if bias is None else bias).all():
        raise InvalidModel("its weights are not all numbers")
    if grid is None or input_grid is None or grid.highest > _LAST_UINT8:
        added = [onnx.constant(names[0], arranged, "float32")]
        return added if bias is None else [*added, onnx.constant(names[1], bias, "float32")]
    axis = 1 if op == "MatMul" else 0
    others = tuple(other for other in range(arranged.ndim) if other != axis)
    scales = _of_results(op, grid, weights.shape)
    farthest = np.rint(np.abs(arranged).max(others) / scales)
    scales = scales * np.maximum(farthest, _LAST_INT8) / _LAST_INT8
    if bias is not None:
        scales = np.maximum(scales, np.abs(bias) / (input_grid.scale * _MOST_BIAS))
    added = [_add(onnx, names[0], np.rint(arranged / np.expand_dims(scales, others)), scales, "int8", axis)]
    if bias is None:
        return added
    bias_scales = input_grid.scale * scales
    return [*added, _add(onnx, names[1], np.rint(bias / bias_scales), bias_scales, "int32", 0)]


def _add(onnx: OnnxGraph, name: str, stored: Array, scales: Array, dtype: str, axis: int) -> str:
    """Add whole numbers with a scale for each index along `axis`, or with one if they are all the same."""
    import numpy as np

    scale = scales if np.ptp(scales) else scales[0]
    return onnx.dequantized(onnx.constant(name, stored, dtype), scale, np.zeros(np.shape(scale)), dtype, axis=axis)


def _of_results(op: str, grid: Grid, shape: tuple[int, ...]) -> Array:
    """The scales of weights of TensorFlow's `shape`, float64, one for each result.

    Raises:
        InvalidModel: they are no scales, or do not fit.
    """
    import numpy as np

    scales = np.asarray(grid.scale, np.float64)
    if not np.isfinite(scales).all() or scales.min(initial=1) <= 0 or scales.size not in (1, shape[-1]):
        raise InvalidModel("the scales of its weights are not positive numbers, or too many or few")
    scales = np.broadcast_to(scales, shape[-1:])
    return np.tile(scales, shape[2]) if op == "DepthwiseConv2dNative" else scales


def _arranged(op: str, weights: Array) -> Array:
    """In ONNX's order: [results, channels of a group, height, width], or for MatMul as they are."""
    if op == "MatMul":
        return weights
    if op == "Conv2D":
        return weights.transpose(3, 2, 0, 1)
    height, width, channels, multiplier = weights.shape
    return weights.transpose(2, 3, 0, 1).reshape(channels * multiplier, 1, height, width)
