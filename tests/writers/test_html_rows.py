"""Rows of the report, which are kept until the end of the run."""

from __future__ import annotations

import random

import pytest

from birdlite.writers.html_sections import KeptRows


def kept(indexes: list[int], limit: int = 5, *, by_index: bool = True) -> list[str]:
    rows = KeptRows(limit, by_index=by_index)
    for index in indexes:
        if rows.wants(index):
            rows.add(index, f"<tr>{index} Möwe</tr>\n")
    assert len(rows) == min(limit, len(indexes))
    return list(rows)


@pytest.mark.parametrize("seed", range(10))
def test_the_first_by_index_are_kept_in_whatever_order_they_come(seed: int) -> None:
    assert kept(random.Random(seed).sample(range(100), 100)) == [f"<tr>{index} Möwe</tr>\n" for index in range(5)]


def test_without_indexes_of_one_list_the_first_to_come_are_kept() -> None:
    assert kept([7, 0, 7, 3, 9, 1, 0], by_index=False) == [f"<tr>{index} Möwe</tr>\n" for index in (7, 0, 7, 3, 9)]


def test_rows_of_one_index_stay_in_their_order() -> None:
    rows = KeptRows(3, by_index=True)
    for text in "abc":
        rows.add(4, text)

    assert list(rows) == ["a", "b", "c"]


def test_a_row_that_would_not_be_kept_is_not_wanted() -> None:
    rows = KeptRows(2, by_index=True)
    rows.add(3, "c")
    rows.add(2, "b")

    assert [rows.wants(index) for index in (1, 2, 3, 4)] == [True, True, False, False]
