"""FakeQuant: the rounding that a quantisation-aware graph does in floats, as TensorFlow computes it.

`fold` takes it out of a graph and keeps its grids, which are the ranges that an int8 result needs; `kernels` computes
it, for the constants and for the reference. Nudging and rounding are those of TensorFlow's fake_quant_ops_functor.h, in
32-bit floats throughout.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from birdlite.convert.saved_model.graph import attribute
from birdlite.errors import InvalidModel

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

OPERATIONS = frozenset({"FakeQuantWithMinMaxVars", "FakeQuantWithMinMaxVarsPerChannel", "FakeQuantWithMinMaxArgs"})

_MIN_BITS, _MAX_BITS = 2, 16  # what TensorFlow accepts
_ARGS_RANGE = (-6.0, 6.0)  # the defaults of FakeQuantWithMinMaxArgs
_RANKS = {"FakeQuantWithMinMaxVars": 0, "FakeQuantWithMinMaxVarsPerChannel": 1}  # of both ends, which the others read


class Grid(NamedTuple):
    """The values that are left after rounding: scale * (stored - zero_point), stored in lowest..highest.

    `scale` and `zero_point` are float32 and int64 arrays: without dimensions, or of one: the last of the tensor. The
    scale is 0 where the range is from 0 to 0, as a dead channel has it: nothing but 0 is left there.
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

    if not _MIN_BITS <= bits <= _MAX_BITS:
        raise InvalidModel(f"FakeQuant of {bits} bits")
    low, high = np.asarray(minimum, np.float32), np.asarray(maximum, np.float32)
    if low.shape != high.shape or low.ndim > 1 or not _are_ranges(low, high):
        raise InvalidModel(f"FakeQuant from {minimum} to {maximum}")
    lowest, highest = 1 if narrow else 0, 2**bits - 1
    scale = (high - low) / np.float32(highest - lowest)
    # TensorFlow takes numbers as small as these for 0.
    alive = scale >= np.finfo(np.float32).tiny
    from_low = np.clip(np.float32(lowest) - low / np.where(alive, scale, np.float32(1)), lowest, highest)
    # Adding 0.5 would round the float32 next below 0.5 up.
    zero_point = np.floor(from_low) + (from_low - np.floor(from_low) >= np.float32(0.5))
    return Grid(np.where(alive, scale, np.float32(0)), np.asarray(zero_point, np.int64), lowest, highest)


def _are_ranges(low: Array, high: Array) -> bool:
    """Whether there is something between all ends, float32, or both are 0."""
    import numpy as np

    with np.errstate(over="ignore", invalid="ignore"):
        finite = np.isfinite(high - low)
    return bool(np.all(finite & ((low < high) | ((low == 0) & (high == 0)))))


def grid_of(node: Any, ranges: list[Array]) -> Grid:
    """The grid of a FakeQuant node; `ranges` are the values, float32, of its inputs behind the first.

    Raises:
        InvalidModel: it has none.
    """
    bits, narrow = attribute(node, "num_bits", 8), attribute(node, "narrow_range", False)
    if not isinstance(bits, int):
        raise InvalidModel(f"FakeQuant of {bits} bits")
    if node.op in _RANKS:
        fits = [end.ndim for end in ranges] == [_RANKS[node.op]] * 2
        ends: Sequence[Any] = ranges
    else:
        ends = attribute(node, "min", _ARGS_RANGE[0]), attribute(node, "max", _ARGS_RANGE[1])
        fits = all(isinstance(end, float) for end in ends)
    if not fits:
        raise InvalidModel(f"{node.name} has no range")
    return grid(ends[0], ends[1], bits, narrow=narrow)


def fake_quantized(values: Array, grid: Grid) -> Array:
    """`values` rounded to the grid, and what lies outside brought to its ends. Arrays are float32."""
    import numpy as np

    low, high = (((end - grid.zero_point) * grid.scale).astype(np.float32) for end in (grid.lowest, grid.highest))
    inverse, half = _inverse(grid), np.float32(0.5)
    zero = np.floor(-low * inverse + half)
    steps = np.floor((np.clip(values, low, high) - low) * inverse - zero + half)
    return np.asarray(steps * grid.scale, np.float32)


def stored(values: Array, grid: Grid) -> Array:
    """The whole numbers, int64, that stand for values on the grid."""
    import numpy as np

    numbers = np.rint(values * _inverse(grid)).astype(np.int64) + grid.zero_point
    return np.asarray(np.clip(numbers, grid.lowest, grid.highest))


def _inverse(grid: Grid) -> Array:
    """One divided by the scale, or 0 where that is 0."""
    import numpy as np

    alive, one = grid.scale > 0, np.float32(1)
    inverse: Array = np.where(alive, one / np.where(alive, grid.scale, one), np.float32(0))
    return inverse
