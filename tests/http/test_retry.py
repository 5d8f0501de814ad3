"""Which failures deserve another try, and how long to wait."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from birdlite.http.retry import BACKOFF_CAP_S, backoff, may_pass, retry_after

NOW = 1_700_000_000.0  # s since 1970


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 520, 522, 529])
def test_what_may_pass_is_worth_another_try(status: int) -> None:
    assert may_pass(status)


@pytest.mark.parametrize("status", [200, 301, 400, 401, 403, 404, 410, 416, 451, 501, 505, 511, 600])
def test_what_will_not_change_is_not(status: int) -> None:
    assert not may_pass(status)


@pytest.mark.parametrize(("setbacks", "ceiling"), [(1, 0.2), (2, 0.4), (3, 0.8), (4, 1.6), (6, 5.0), (5000, 5.0)])
def test_the_ceiling_of_the_wait_doubles_up_to_a_cap(setbacks: int, ceiling: float) -> None:
    assert backoff(setbacks, chance=lambda: 1.0, base=0.2) == pytest.approx(min(ceiling, BACKOFF_CAP_S))


def test_the_wait_is_drawn_from_the_whole_range_below_the_ceiling() -> None:
    draws = iter([0.0, 0.5])
    assert backoff(2, chance=lambda: next(draws), base=0.2) == 0.0
    assert backoff(2, chance=lambda: next(draws), base=0.2) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 120 ", 120.0),
        ("1.5", 1.5),
        (formatdate(NOW + 90, usegmt=True), 90.0),
        (formatdate(NOW - 90, usegmt=True), 0.0),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 0.0),  # the obsolete form that RFC 9110 still allows
    ],
)
def test_a_server_says_when_to_come_back_in_seconds_or_by_date(value: str, seconds: float) -> None:
    assert retry_after(value, now=lambda: NOW) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "value", [None, "", "soon", "-1", "1e9", "9999999999", "٣", "inf", "nan", "Mon, 99 Foo 2023 99:99:99 GMT"]
)
def test_what_is_neither_is_ignored(value: str | None) -> None:
    assert retry_after(value, now=lambda: NOW) is None
