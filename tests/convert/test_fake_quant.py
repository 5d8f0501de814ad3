"""The rounding of quantisation-aware training, as TensorFlow does it."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from birdlite.convert.saved_model.fake_quant import fake_quantized, grid, grid_of, stored
from birdlite.convert.saved_model.graph import node
from birdlite.errors import InvalidModel


def test_a_range_is_moved_so_that_zero_is_on_the_grid() -> None:
    found = grid(-1.004, 2.0, 8, narrow=False)

    assert float(found.scale) == pytest.approx(3.004 / 255)
    assert int(found.zero_point) == 85
    assert fake_quantized(np.zeros(1, np.float32), found).tolist() == [0.0]


def test_a_narrow_range_has_one_value_less() -> None:
    found = grid(-1.0, 1.0, 8, narrow=True)

    assert float(found.scale) == pytest.approx(2 / 254)
    assert (int(found.zero_point), found.lowest, found.highest) == (128, 1, 255)


@pytest.mark.parametrize(("low", "high", "zero_point"), [(2.0, 6.0, 0), (-6.0, -2.0, 255)])
def test_a_range_without_zero_keeps_its_zero_point_at_an_end(low: float, high: float, zero_point: int) -> None:
    assert int(grid(low, high, 8, narrow=False).zero_point) == zero_point


def test_values_are_rounded_to_the_grid_and_cut_off_at_its_ends() -> None:
    wide = grid(0.0, 255.0, 8, narrow=False)
    values = np.array([-3.0, 0.4, 0.5, 1.6, 254.7, 999.0], np.float32)

    assert fake_quantized(values, wide).tolist() == [0.0, 0.0, 1.0, 2.0, 255.0, 255.0]


def test_what_is_on_a_grid_has_a_whole_number_and_comes_back_from_it() -> None:
    each = grid([-1.0, -3.0], [2.0, 1.0], 8, narrow=True)
    values = fake_quantized(np.random.default_rng(0).normal(0, 2, (50, 2)).astype(np.float32), each)

    numbers = stored(values, each)

    assert (numbers.min(), numbers.max()) == (1, 255)
    assert np.allclose((numbers - each.zero_point) * each.scale, values, atol=1e-6)


@pytest.mark.parametrize(
    ("low", "high", "bits"),
    [
        (1.0, 1.0, 8), (2.0, 1.0, 8), (np.nan, 1.0, 8), (0.0, np.inf, 8), (0.0, 1.0, 1), (0.0, 1.0, 17),
        (-3e38, 3e38, 8), (0.0, [1.0, 2.0], 8),
    ],
)  # fmt: skip
def test_what_is_no_range_is_refused(low: Any, high: Any, bits: int) -> None:
    with pytest.raises(InvalidModel, match="FakeQuant"):
        grid(low, high, bits, narrow=False)


def test_a_zero_point_halfway_is_rounded_as_tensorflow_rounds_it() -> None:
    assert [int(grid(-half, 255 - half, 8, narrow=False).zero_point) for half in (0.5, 1.5, 2.5)] == [1, 2, 3]


def test_a_zero_point_just_below_halfway_is_rounded_down() -> None:
    # -low / scale is the float32 next below 0.5, and adding 0.5 to that gives 1.
    found = grid(-0.47484452, 241.69588, 8, narrow=False)

    assert float(np.float32(0.47484452) / found.scale) == 0.5 - 2**-25
    assert int(found.zero_point) == 0


@pytest.mark.parametrize("high", [0.0, 1e-40])
def test_a_channel_without_a_range_is_all_zeros(high: float) -> None:
    dead = grid([-1.0, 0.0], [1.0, high], 8, narrow=True)
    values = np.array([[0.5, 0.5], [-3.0, -3.0]], np.float32)

    found = fake_quantized(values, dead)

    assert dead.scale.tolist() == [pytest.approx(2 / 254), 0.0]
    assert found[:, 0] == pytest.approx([0.5, -1.0], abs=0.005)
    assert found[:, 1].tolist() == [0.0, 0.0]
    assert stored(found, dead)[:, 1].tolist() == [int(dead.zero_point[1])] * 2


def test_a_node_says_its_range_or_reads_it() -> None:
    ends = [np.array(0, np.float32), np.array(6, np.float32)]

    assert grid_of(node("a", "FakeQuantWithMinMaxVars", []), ends) == grid(0, 6, 8, narrow=False)
    assert grid_of(node("a", "FakeQuantWithMinMaxArgs", []), []) == grid(-6, 6, 8, narrow=False)
    assert grid_of(node("a", "FakeQuantWithMinMaxArgs", [], min=-1.0, num_bits=4), []) == grid(-1, 6, 4, narrow=False)


@pytest.mark.parametrize(
    ("op", "shapes"),
    [
        ("FakeQuantWithMinMaxVars", []),
        ("FakeQuantWithMinMaxVars", [()]),
        ("FakeQuantWithMinMaxVars", [(3,), (3,)]),
        ("FakeQuantWithMinMaxVarsPerChannel", [(), ()]),
        ("FakeQuantWithMinMaxVarsPerChannel", [(3, 3), (3, 3)]),
        ("FakeQuantWithMinMaxVarsPerChannel", [(3,), ()]),
    ],
)
def test_a_node_without_the_ranges_that_it_reads_is_refused(op: str, shapes: list[tuple[int, ...]]) -> None:
    ranges = [np.full(shape, number, np.float32) for number, shape in enumerate(shapes)]

    with pytest.raises(InvalidModel, match="a has no range"):
        grid_of(node("a", op, []), ranges)


def test_a_range_of_something_else_than_numbers_is_refused() -> None:
    with pytest.raises(InvalidModel, match="a has no range"):
        grid_of(node("a", "FakeQuantWithMinMaxArgs", [], min="float32"), [])


def test_a_number_of_bits_that_is_none_is_refused() -> None:
    for bits in (8.5, "float32"):
        with pytest.raises(InvalidModel, match="bits"):
            grid_of(node("a", "FakeQuantWithMinMaxArgs", [], num_bits=bits), [])


@pytest.mark.skipif(find_spec("tensorflow") is None, reason="the extra `convert` is not installed")
def test_tensorflow_rounds_the_same() -> None:
    from birdlite.convert.with_tensorflow import imported

    fake_quant: Any = imported().raw_ops.FakeQuantWithMinMaxVars
    chance = np.random.default_rng(0)
    different = values_in_all = 0
    for _ in range(200):
        low, high = np.sort(chance.normal(0, 5, 2)).astype(np.float32)
        bits, narrow = int(chance.integers(2, 17)), bool(chance.integers(2))
        values = chance.normal(0, 6, 500).astype(np.float32)

        expected = fake_quant(inputs=values, min=low, max=high, num_bits=bits, narrow_range=narrow).numpy()
        found = fake_quantized(values, grid(low, high, bits, narrow=narrow))

        step = (high - low) / (2**bits - 1 - narrow)
        assert np.abs(found - expected).max() <= step * 1.001
        different += int((found != expected).sum())
        values_in_all += len(values)
    assert different <= values_in_all / 10_000  # halfway between two steps, a fused multiplication decides
