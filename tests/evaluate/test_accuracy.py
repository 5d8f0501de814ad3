"""The figures of an evaluation, against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest

from birdlite.evaluate.accuracy import BINS, Confusion, Tally, wilson_interval
from birdlite.results import Prediction


def candidates(*pairs: tuple[int, float]) -> tuple[Prediction, ...]:
    return tuple(Prediction(rank, key, f"species {key}", score) for rank, (key, score) in enumerate(pairs, start=1))


def tally_of_five() -> Tally:
    """Four pictures and a failure: right at 0.95 and 0.85, wrong but third at 0.85, wrong altogether at 0.35."""
    tally = Tally()
    tally.add(0, candidates((0, 0.95), (1, 0.02), (2, 0.01)))
    tally.add(1, candidates((1, 0.85), (0, 0.05), (2, 0.01)))
    tally.add_failed()
    tally.add(2, candidates((0, 0.85), (1, 0.05), (2, 0.01)))
    tally.add(2, candidates((0, 0.35), (1, 0.3), (3, 0.2), (2, 0.1)))
    return tally


def test_rates_are_of_the_pictures_that_did_not_fail() -> None:
    figures = tally_of_five().figures()

    assert (figures.pictures, figures.failed) == (5, 1)
    assert figures.top1 == 2 / 4
    assert figures.top3 == 3 / 4  # a fourth place does not count, even where it is given
    assert figures.mean_score == pytest.approx((0.95 + 0.85 + 0.85 + 0.35) / 4)


@pytest.mark.parametrize(("right", "pictures"), [(2, 4), (1, 3), (811, 922), (20, 20), (0, 7)])
def test_each_end_of_the_interval_is_1_96_standard_deviations_from_the_share(right: int, pictures: int) -> None:
    low, high = wilson_interval(right, pictures)

    assert 0 <= low <= right / pictures <= high <= 1
    for end in (low, high):
        if 0 < end < 1:  # what defines them: Wilson 1927
            deviation = math.sqrt(end * (1 - end) / pictures)
            assert abs(right / pictures - end) == pytest.approx(1.96 * deviation, rel=1e-4)


@pytest.mark.parametrize(("right", "low", "high"), [(2, 0.342, 1.0), (0, 0.0, 0.658), (1, 0.095, 0.905)])
def test_two_pictures_make_nothing_certain(right: int, low: float, high: float) -> None:
    assert wilson_interval(right, 2) == pytest.approx((low, high), abs=5e-4)


def test_the_figures_have_the_interval_of_the_best_candidates() -> None:
    figures = tally_of_five().figures()

    assert (figures.top1_low, figures.top1_high) == wilson_interval(2, 4)


def test_the_calibration_error_weighs_each_bin_by_its_pictures() -> None:
    # 0.9-1: 1 picture, 0.05 off; 0.8-0.9: 2 pictures, 0.85 against 1/2; 0.3-0.4: 1 picture, 0.35 against 0
    expected = 1 / 4 * 0.05 + 2 / 4 * 0.35 + 1 / 4 * 0.35

    assert tally_of_five().figures().calibration_error == pytest.approx(expected)


def test_the_calibration_table_has_the_pictures_of_each_bin() -> None:
    table = tally_of_five().calibration()

    assert [(row.low, row.high) for row in table] == [(at / 10, (at + 1) / 10) for at in range(10)]
    assert {at: row.pictures for at, row in enumerate(table) if row.pictures} == {3: 1, 8: 2, 9: 1}
    assert (table[8].mean_score, table[8].accuracy) == pytest.approx((0.85, 0.5))
    assert (table[3].mean_score, table[3].accuracy) == pytest.approx((0.35, 0.0))
    assert (table[0].mean_score, table[0].accuracy) == (None, None)


@pytest.mark.parametrize(("score", "at"), [(0.0, 0), (0.0999, 0), (1.0, 9), *((step / 10, step) for step in range(10))])
def test_a_bin_holds_its_lower_edge_and_the_last_one_both(score: float, at: int) -> None:
    tally = Tally()
    tally.add(0, candidates((0, score)))

    assert [row.pictures for row in tally.calibration()] == [int(step == at) for step in range(BINS)]


def test_confusions_come_most_frequent_first_then_by_id_and_no_more_than_wanted() -> None:
    tally = Tally()
    for true, predicted in [(3, 1), (2, 0), (1, 2), (2, 0), (1, 0), (1, 1)]:
        tally.add(true, candidates((predicted, 0.5)))

    assert tally.confusions(10) == [Confusion(2, 0, 2), Confusion(1, 0, 1), Confusion(1, 2, 1), Confusion(3, 1, 1)]
    assert tally.confusions(2) == [Confusion(2, 0, 2), Confusion(1, 0, 1)]
    assert tally.confusions(0) == []


def test_where_every_picture_failed_there_are_no_rates() -> None:
    tally = Tally()
    tally.add_failed()
    figures = tally.figures()

    assert (figures.pictures, figures.failed) == (1, 1)
    assert set(figures[2:]) == {None}
