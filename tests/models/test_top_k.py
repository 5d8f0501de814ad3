"""The best k scores, ties in the order of ids."""

from __future__ import annotations

import pytest

from birdlite.models.labels import Labels, top_k

LABELS = Labels(("a", "b", "c", "d", "background"), ("A", None, "C", "D", None))


def test_the_best_come_first_with_rank_id_and_both_names() -> None:
    first, second = top_k([0.1, 0.2, 0.7, 0.0, 0.0], LABELS, 2, 0.0)

    assert first == (1, 2, "c", 0.7, "C")
    assert second == (2, 1, "b", 0.2, None)


def test_equal_scores_come_in_the_order_of_their_ids() -> None:
    assert [p.id for p in top_k([0.1, 0.25, 0.1, 0.25, 0.1], LABELS, 4, 0.0)] == [1, 3, 0, 2]


@pytest.mark.parametrize(("k", "expected"), [(1, 1), (5, 5), (50, 5)])
def test_there_are_never_more_than_k_nor_more_than_outputs(k: int, expected: int) -> None:
    assert len(top_k([0.2] * 5, LABELS, k, 0.0)) == expected


def test_what_is_below_the_least_score_is_left_out_and_what_equals_it_stays() -> None:
    assert [p.id for p in top_k([0.5, 0.4, 0.05, 0.05, 0.0], LABELS, 3, 0.4)] == [0, 1]
    assert top_k([0.2] * 5, LABELS, 3, 0.9) == ()
