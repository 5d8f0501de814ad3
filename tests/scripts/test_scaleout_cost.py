"""The model of a batch's cost that `scripts/bench_scaleout.py` fits, checks and carries on."""

from __future__ import annotations

import pytest

from scripts.scaleout.cost import Cost, fitted, wall

COST = Cost(start=0.5, picture=0.02)


def test_one_machine_pays_for_each_start_and_each_picture() -> None:
    assert wall(COST, machines=1, indexes=1, pictures=1000).whole == pytest.approx(0.5 + 20)
    assert wall(COST, machines=1, indexes=8, pictures=1000).whole == pytest.approx(8 * 0.5 + 20)


def test_the_constants_come_back_out_of_what_they_give() -> None:
    cost = COST._replace(merge=0.25)
    whole, divided = (wall(cost, 1, indexes, 1000).whole for indexes in (1, 8))

    assert fitted(whole, divided, 8, 1000, merge=0.25) == pytest.approx(cost)


def test_a_start_that_cannot_be_told_from_noise_is_none() -> None:
    assert fitted(whole=20.0, divided=19.9, indexes=8, pictures=1000) == Cost(0.0, 0.02)


@pytest.mark.parametrize("machines", [2, 4, 10, 100])
def test_machines_cut_the_time_but_never_to_their_share(machines: int) -> None:
    alone, together = (wall(COST, count, count, 100_000).whole for count in (1, machines))

    assert alone / machines < together < 2 * alone / machines


def test_the_largest_of_many_shares_is_waited_for() -> None:
    """With a hundred shares of a thousand pictures, three standard deviations of them: some 96 pictures."""
    time = wall(Cost(0.0, 1.0), machines=100, indexes=100, pictures=100_000)

    assert time.waiting == pytest.approx(96, abs=1)
    assert time.whole == pytest.approx(1000 + time.waiting)


def test_more_indexes_make_the_last_one_shorter_and_cost_starts() -> None:
    free, dear = Cost(0.0, 0.02), Cost(10.0, 0.02)

    assert wall(free, 10, 40, 100_000).whole < wall(free, 10, 10, 100_000).whole
    assert wall(dear, 10, 40, 100_000).whole > wall(dear, 10, 10, 100_000).whole


def test_a_round_that_is_not_full_is_waited_for() -> None:
    assert wall(COST, machines=4, indexes=5, pictures=1000).whole > 2 * 0.5 + 2 * 200 * 0.02


def test_more_machines_than_indexes_have_nothing_to_do() -> None:
    assert wall(COST, machines=10, indexes=2, pictures=1000) == wall(COST, 2, 2, 1000)


def test_every_index_reads_the_whole_list_and_machines_do_not_make_that_less() -> None:
    with_list = COST._replace(line=1e-5)

    for machines in (1, 10):
        more = wall(with_list, machines, 4 * machines, 100_000)
        assert more.reading == pytest.approx(4 * 100_000 * 1e-5)
        assert more.whole - wall(COST, machines, 4 * machines, 100_000).whole == pytest.approx(more.reading)


def test_the_merge_comes_once_at_the_end_and_has_all_records() -> None:
    time = wall(COST._replace(merge=0.1, record=1e-4), machines=10, indexes=40, pictures=100_000)

    assert time.merging == pytest.approx(0.1 + 10)
    assert time.whole - wall(COST, 10, 40, 100_000).whole == pytest.approx(time.merging)


def test_the_parts_of_the_time_add_up() -> None:
    cost = Cost(0.5, 0.02, 0.1, 1e-6, 1e-5)
    time = wall(cost, machines=7, indexes=30, pictures=10_000)
    ideal = 10_000 * 0.02 / 7

    assert time.whole == pytest.approx(ideal + time.starts + time.reading + time.waiting + time.merging)


def test_a_slow_machine_with_as_much_to_do_as_the_others_is_waited_for_twice_as_long() -> None:
    still = Cost(0.0, 1.0)  # of machines that are one and the same it is known how long they take
    even, slow = (wall(still, 1, 1, 1000, slowest=speed).whole for speed in (1.0, 0.5))

    assert slow == pytest.approx(2 * even)


def test_more_indexes_than_machines_take_work_off_a_slow_one() -> None:
    one_each = wall(COST, 10, 10, 100_000, slowest=0.5).whole
    four_each = wall(COST, 10, 40, 100_000, slowest=0.5).whole

    assert one_each == pytest.approx(2 * wall(COST, 10, 10, 100_000).whole, rel=0.05)
    assert four_each < 0.7 * one_each
