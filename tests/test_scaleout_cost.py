"""The model of a batch's cost that `scripts/bench_scaleout.py` fits, checks and carries on."""

from __future__ import annotations

import pytest

from scripts.scaleout.cost import Cost, fitted, wall

COST = Cost(start=0.5, picture=0.02)


def test_one_machine_pays_for_each_start_and_each_picture() -> None:
    assert wall(COST, machines=1, indexes=1, pictures=1000) == pytest.approx(0.5 + 20)
    assert wall(COST, machines=1, indexes=8, pictures=1000) == pytest.approx(8 * 0.5 + 20)


def test_the_constants_come_back_out_of_what_they_give() -> None:
    whole, divided = (wall(COST, 1, indexes, 1000) for indexes in (1, 8))

    assert fitted(whole, divided, 8, 1000) == pytest.approx(COST)


def test_a_start_that_cannot_be_told_from_noise_is_none() -> None:
    assert fitted(whole=20.0, divided=19.9, indexes=8, pictures=1000) == Cost(0.0, 0.02)


@pytest.mark.parametrize("machines", [2, 4, 10, 100])
def test_machines_cut_the_time_but_never_to_their_share(machines: int) -> None:
    alone, together = wall(COST, 1, 1, 100_000), wall(COST, machines, machines, 100_000)

    assert alone / machines < together < 2 * alone / machines


def test_the_largest_of_many_shares_is_waited_for() -> None:
    """With a hundred shares of a thousand pictures, three standard deviations of them: some 96 pictures."""
    late = wall(Cost(0.0, 1.0), machines=100, indexes=100, pictures=100_000) - 1000

    assert late == pytest.approx(96, abs=1)


def test_more_indexes_make_the_last_one_shorter_and_cost_starts() -> None:
    free, dear = Cost(0.0, 0.02), Cost(10.0, 0.02)

    assert wall(free, 10, 40, 100_000) < wall(free, 10, 10, 100_000)
    assert wall(dear, 10, 40, 100_000) > wall(dear, 10, 10, 100_000)


def test_a_round_that_is_not_full_is_waited_for() -> None:
    assert wall(COST, machines=4, indexes=5, pictures=1000) > 2 * 0.5 + 2 * 200 * 0.02


def test_more_machines_than_indexes_have_nothing_to_do() -> None:
    assert wall(COST, machines=10, indexes=2, pictures=1000) == wall(COST, 2, 2, 1000)
