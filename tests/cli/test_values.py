"""What options accept, and what they say about the rest."""

from __future__ import annotations

import pytest

from birdlite.cli.values import folder, fraction, pair, seconds, size, whole


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1", 1), ("500000", 500_000), ("64M", 64 * 1024**2), ("1k", 1024), (" 2G ", 2 * 1024**3), ("3m", 3 * 1024**2)],
)
def test_a_size_may_have_a_unit(text: str, expected: int) -> None:
    assert size(text) == expected


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5M", "M", "10T", "1e6", "٣", "k1", "1" * 20])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a size"):
        size(text)


def test_whole_numbers_keep_to_their_bounds() -> None:
    assert (whole("1", 1, 10), whole("10", 1, 10)) == (1, 10)
    for text in ("0", "11", "-1", "9" * 5000):
        with pytest.raises(ValueError, match="must be between 1 and 10"):
            whole(text, 1, 10)
    for text in ("", "-", "--1", "1.0", "ten", "²", "1_0", "\N{FULLWIDTH DIGIT ONE}"):
        with pytest.raises(ValueError, match="not a whole number"):
            whole(text, 1, 10)


@pytest.mark.parametrize("text", ["https://example.org/cache", "ftp://h", "s3://bucket/cache", "FILE:///cache"])
def test_a_folder_is_no_url(text: str) -> None:
    with pytest.raises(ValueError, match="must be a folder of this machine, not a URL"):
        folder(text)
    assert folder("birds: all/2024") == "birds: all/2024"


@pytest.mark.parametrize("text", ["0", "-1", "86401", "inf", "nan", "soon", "1_0", "\N{FULLWIDTH DIGIT ONE}"])
def test_seconds_are_above_zero_and_at_most_a_day(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be above 0|not a number"):
        seconds(text)
    assert seconds("0.5") == 0.5


@pytest.mark.parametrize("text", ["-0.1", "1.1", "nan", "half", "0.8_0"])
def test_a_fraction_lies_between_0_and_1(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be between|not a number"):
        fraction(text)
    assert (fraction("0"), fraction("1")) == (0.0, 1.0)


def test_a_pair_is_two_numbers_in_order() -> None:
    assert pair("-1,1") == (-1.0, 1.0)
    for text in ("1", "1,0", "0,0", "a,b", "0,nan", "0,1e9", "0,1,2", ""):
        with pytest.raises(ValueError, match="number"):
            pair(text)
