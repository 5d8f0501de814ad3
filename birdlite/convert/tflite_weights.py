"""Weights and biases of a `.tflite` model as constants of an ONNX graph: dequantised to floats, or whole numbers.

`tflite_to_onnx` calls it for convolutions and fully connected layers. Scales per channel stay per channel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from birdlite.convert.onnx_graph import OnnxGraph, real_values
from birdlite.errors import InvalidModel
from birdlite.tflite.graph import GraphTensor
from birdlite.tflite.rules import ELSEWHERE, SIGN, Grid

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike


def array_of(tensor: GraphTensor) -> np.ndarray[Any, Any]:
    """A constant as it is stored, read-only.

    Raises:
        InvalidModel: it is no constant.
    """
    import numpy as np

    return np.frombuffer(tensor.constant(), tensor.dtype).reshape(tensor.shape)


def add_weights(
    onnx: OnnxGraph,
    place: str,
    weights: GraphTensor,
    bias: GraphTensor | None,
    grid: Grid | None,
    *,
    axis: int,
    permutation: tuple[int, ...],
    integers: bool,
) -> list[str]:
    """Add the weights, their dimensions in the order of `permutation`, and the bias if there is one; gives their names.

    `grid` is that of the operator's input, None if it is of floats. `axis` is the one of `weights` along which the
    results lie, and with them the scales if there are several. The names begin with `place`.

    Raises:
        InvalidModel: they are not constant, do not fit, or are floats and should be `integers`.
    """
    import numpy as np

    stored, name, results = array_of(weights).transpose(permutation), f"{place}_weights", weights.shape[axis]
    if weights.dtype == "float32" and not integers:
        return [onnx.constant(name, stored, "float32"), *_add_bias(onnx, place, bias, results, None, integers)]
    quantization = weights.quantization
    if quantization is None or grid is None:
        raise InvalidModel(f"its weights, {weights.dtype}, or what they are for are not quantised{ELSEWHERE}")
    one = len(quantization.scales) == 1
    if not one and quantization.axis != axis:
        raise InvalidModel(f"its weights have a scale for each index along {quantization.axis} instead of {axis}")
    scale, zero_point = (quantization.scales[0], quantization.zero_points[0]) if one else quantization[:2]
    axis = permutation.index(axis)
    if integers:
        shift = SIGN if weights.dtype == "uint8" else 0
        array = onnx.constant(name, stored.astype("int16") - shift, "int8")
        added = onnx.dequantized(array, scale, np.subtract(zero_point, shift), "int8", axis=axis)
    else:
        added = onnx.constant(name, real_values(stored, scale, zero_point, axis), "float32")
    return [added, *_add_bias(onnx, place, bias, results, np.multiply(grid.scale, scale), integers)]


def _add_bias(
    onnx: OnnxGraph, place: str, bias: GraphTensor | None, results: int, scale: ArrayLike | None, integers: bool
) -> list[str]:
    """Add the bias. Its scale is input's times weights', whatever the file says, as for runtimes; None for floats."""
    import numpy as np

    if bias is None:
        return []
    wanted = "float32" if scale is None else "int32"
    if bias.dtype != wanted or bias.shape != (results,):
        raise InvalidModel(f"its bias is {bias.dtype} {list(bias.shape)} instead of {wanted} [{results}]")
    stored, name = array_of(bias), f"{place}_bias"
    if scale is None:
        return [onnx.constant(name, stored, "float32")]
    if integers:
        return [onnx.dequantized(onnx.constant(name, stored, "int32"), scale, np.zeros(np.shape(scale)), "int32")]
    return [onnx.constant(name, real_values(stored, scale, 0, 0), "float32")]
