"""FakeQuant: the rounding that a quantisation-aware graph does in floats, as TensorFlow computes it.

`fold` takes it out of a graph and keeps its grids, which are the ranges that an int8 result needs; `kernels` computes
it, for the constants and for the reference. Nudging and rounding are those of TensorFlow's fake_quant_ops_functor.h, in
32-bit floats throughout.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from birdlite.convert.saved_model.graph import attribute
from birdlite.errors import InvalidModel

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

OPERATIONS = frozenset({"FakeQuantWithMinMaxVars", "FakeQuantWithMinMaxVarsPerChannel", "FakeQuantWithMinMaxArgs"})

_MIN_BITS, _MAX_BITS = 2, 16  # what TensorFlow accepts
_ARGS_RANGE = (-6.0, 6.0)  # the defaults of FakeQuantWithMinMaxArgs


class Grid(NamedTuple):
    """The values that are left after rounding: scale * (stored - zero_point), stored in lowest..highest.

    `scale` and `zero_point` are float32 and int64 arrays: without dimensions, or of one: the last of the tensor.
    """

    scale: Array
    zero_point: Array
    lowest: int  # 0, or 1 for a narrow range
    highest: int  # 255 for 8 bits


def grid(minimum: Any, maximum: Any, bits: int, *, narrow: bool) -> Grid:
    """The grid of a range, moved so that 0 is on it.

    Raises:
        InvalidModel: it is no range, or TensorFlow has no such number of bits.
    """
    import numpy as np

    low, high = np.asarray(minimum, np.float32), np.asarray(maximum, np.float32)
    if not _MIN_BITS <= bits <= _MAX_BITS:
        raise InvalidModel(f"FakeQuant of {bits} bits")
    if low.shape != high.shape or low.ndim > 1 or not bool(np.all(np.isfinite(low) & np.isfinite(high) & (low < high))):
        raise InvalidModel(f"FakeQuant from {minimum} to {maximum}")
    lowest, highest = int(narrow), 2**bits - 1
    scale = (high - low) / np.float32(highest - lowest)
    zero_point = np.floor(np.clip(np.float32(lowest) - low / scale, lowest, highest) + np.float32(0.5))
    return Grid(scale.astype(np.float32), zero_point.astype(np.int64), lowest, highest)


def grid_of(node: Any, ranges: list[Array]) -> Grid:
    """The grid of a FakeQuant node; `ranges` are the values of its inputs behind the first.

    Raises:
        InvalidModel: it has none.
    """
    if node.op == "FakeQuantWithMinMaxArgs":
        ends = attribute(node, "min", _ARGS_RANGE[0]), attribute(node, "max", _ARGS_RANGE[1])
    elif len(ranges) == 2:
        ends = ranges[0], ranges[1]
    else:
        raise InvalidModel(f"{node.name} has no range")
    return grid(*ends, attribute(node, "num_bits", 8), narrow=attribute(node, "narrow_range", False))


def fake_quantized(values: Array, grid: Grid) -> Array:
    """`values` rounded to the grid, and what lies outside brought to its ends. Arrays are float32."""
    import numpy as np

    low, high = (((end - grid.zero_point) * grid.scale).astype(np.float32) for end in (grid.lowest, grid.highest))
    inverse, half = np.float32(1) / grid.scale, np.float32(0.5)
    zero = np.floor(-low * inverse + half)
    steps = np.floor((np.clip(values, low, high) - low) * inverse - zero + half)
    return np.asarray(steps * grid.scale, np.float32)


def stored(values: Array, grid: Grid) -> Array:
    """The whole numbers, int64, that stand for values on the grid."""
    import numpy as np

    return np.clip(np.rint(values / grid.scale).astype(np.int64) + grid.zero_point, grid.lowest, grid.highest)
