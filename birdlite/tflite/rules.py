"""Rules of the `.tflite` format that a file does not state: where a window lies, a tensor's grid, what is cut off.

`convert.tflite_to_onnx` calls this for each operator. Nothing here is about ONNX.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from birdlite.errors import InvalidModel
from birdlite.tflite.graph import GraphTensor

ELSEWHERE = "; for other models than plain quantised ones: pip install 'birdlite[convert]', and tf2onnx"

SIGN = 128  # between an int8 and the uint8 that stands for the same value

_LAST = 255  # the highest uint8
_SAME, _VALID = 0, 1  # the schema's Padding


class Grid(NamedTuple):
    """The 256 values that an activation can have: scale * (stored - zero_point), where stored is a uint8."""

    scale: float
    zero_point: int


class Limits(NamedTuple):
    """Where an activation function cuts off, below and above. None is nowhere."""

    lower: float | None
    upper: float | None


class Window(NamedTuple):
    """How a window moves over a picture. All are (height, width), px."""

    strides: tuple[int, int]
    before: tuple[int, int]  # padding above and on the left
    after: tuple[int, int]
    out: tuple[int, int]  # size of the result


NOWHERE, RELU, RELU6 = Limits(None, None), Limits(0, None), Limits(0, 6)
_FUSED = {0: NOWHERE, 1: RELU, 2: Limits(-1, 1), 3: RELU6}  # by the schema's ActivationFunctionType


def grid_of(tensor: GraphTensor) -> Grid | None:
    """The grid of an activation, an int8 moved to uint8; None for a tensor of floats.

    Raises:
        InvalidModel: it is stored in some other way.
    """
    if tensor.dtype == "float32":
        return None
    quantization = tensor.quantization
    if quantization is None or len(quantization.scales) != 1:
        raise InvalidModel(f"{tensor.dtype} {list(tensor.shape)} without one scale cannot be converted{ELSEWHERE}")
    return Grid(quantization.scales[0], quantization.zero_points[0] + SIGN * (tensor.dtype == "int8"))


def limits_in_integers(fused: int, grid: Grid | None) -> Limits:
    """What a node of its own must cut off before a result is put on `grid`: nothing where the grid ends anyway.

    `fused` is the number of the operator's activation function.
    """
    lower, upper = _activation(fused)
    if grid is None:
        return Limits(lower, upper)
    if lower is not None and grid.zero_point + round(lower / grid.scale) <= 0:
        lower = None
    if upper is not None and grid.zero_point + round(upper / grid.scale) >= _LAST:
        upper = None
    return Limits(lower, upper)


def limits_in_floats(fused: int, grid: Grid | None) -> Limits:
    """What a node must cut off where there is no grid any more: what the source's activation function cuts off.

    A source may say none, but its grid begin at 0, as it does behind a Relu: old converters, such as that of the
    official model, left the activation to the grid. Such a source saturates at both ends of the grid, and so must the
    result; but a grid that ends within one step of 6 is that of a Relu6, whose end was rounded. All other grids belong
    to sums of either sign and were chosen wide enough for them; where those saturate, it is by accident.
    """
    said = _activation(fused)
    if said != NOWHERE or grid is None or grid.zero_point != 0:
        return said
    end = _LAST * grid.scale
    return RELU6 if abs(end - 6) <= grid.scale else Limits(0, end)


def _activation(fused: int) -> Limits:
    if fused not in _FUSED:
        raise InvalidModel(f"its activation function, number {fused}, is not known here{ELSEWHERE}")
    return _FUSED[fused]


def window_of(
    options: dict[str, Any], size: tuple[int, int], kernel: tuple[int, int], dilations: tuple[int, int]
) -> Window:
    """Where a window of `kernel` px lies on a picture of `size` px. All are (height, width).

    Raises:
        InvalidModel: it cannot be moved so.
    """
    strides = (options["StrideH"], options["StrideW"])
    padding = options["Padding"]
    if min(*strides, *kernel, *dilations) < 1 or padding not in (_SAME, _VALID):
        raise InvalidModel(f"window {list(kernel)}, stride {list(strides)}, dilation {list(dilations)}")
    rows, columns = (
        _along_one_side(pixels, (extent - 1) * dilation + 1, stride, same=padding == _SAME)
        for pixels, extent, stride, dilation in zip(size, kernel, strides, dilations, strict=True)
    )
    before, after, out = zip(rows, columns, strict=True)
    return Window(strides, before, after, out)


def _along_one_side(pixels: int, reach: int, stride: int, *, same: bool) -> tuple[int, int, int]:
    """Padding before and after, and steps. With SAME every stride has its result; an odd pixel goes behind."""
    if not same:
        return 0, 0, (pixels - reach) // stride + 1
    steps = -(-pixels // stride)
    lacking = max((steps - 1) * stride + reach - pixels, 0)
    return lacking // 2, lacking - lacking // 2, steps
