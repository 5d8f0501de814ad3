"""Texts in cells of birdlite's own CSV can be had back exactly."""

from __future__ import annotations

import pytest

from birdlite.csv_cells import exact, safe_cell


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("plain.jpg", "plain.jpg"),
        ("=eq.jpg", "'=eq.jpg"),
        ("-dash.jpg", "'-dash.jpg"),
        ("\uff20at.jpg", "'\uff20at.jpg"),
        ("'quoted.jpg", "'quoted.jpg"),
        ("'=quoted.jpg", "''=quoted.jpg"),
        ("''-two.jpg", "'''-two.jpg"),
        ("two\nlines.jpg", "two\\x0alines.jpg"),
        ("back\\x0a.jpg", "back\\x5cx0a.jpg"),
        ("C:\\users\\x.jpg", "C:\\users\\x.jpg"),
        ("m\udcf6we.jpg", "m\\udcf6we.jpg"),
        ("\ttab.jpg", "'\ttab.jpg"),
        ("", ""),
    ],
)
def test_a_cell_is_safe_and_gives_its_text_back(text: str, cell: str) -> None:
    assert safe_cell(text) == cell
    assert exact(cell) == text
