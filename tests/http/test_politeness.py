"""Who birdlite says it is, how much it asks of one host at once, and when it asks again."""

from __future__ import annotations

import functools
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate

import pytest

from birdlite import __version__
from birdlite.errors import PictureError, UsageError
from birdlite.http.politeness import (
    BACKOFF_CAP_S,
    HostLimits,
    backoff,
    check_user_agent,
    may_pass,
    parse_per_host,
    retry_after,
)
from birdlite.settings import USER_AGENT, WIKIMEDIA, PerHost
from tests.fetching import until
from tests.origin import PATIENCE

HOST = "a.example"
NOW = 1_700_000_000.0  # s since 1970


def plenty() -> float:
    """How long a caller can still wait: long enough."""
    return PATIENCE


def queue_is(limits: HostLimits, length: int) -> bool:
    return limits.counts()[HOST] == (1, length)


def test_the_user_agent_names_the_tool_its_version_and_a_contact() -> None:
    assert USER_AGENT.startswith(f"birdlite/{__version__} (")
    assert "contact: https://" in USER_AGENT
    check_user_agent(USER_AGENT)


@pytest.mark.parametrize(
    "text", ["", " ", "birds\n", "birds\r\nX-Evil: 1", "vögel", " birds", "birds\x00", "birds\x7f"]
)
def test_a_user_agent_that_no_header_can_carry_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--user-agent") as refusal:
        check_user_agent(text)
    assert str(refusal.value).isprintable()


@pytest.mark.parametrize(
    ("values", "general", "wikimedia", "other"),
    [
        ([], 6, 2, 6),
        (["12"], 12, 2, 12),
        (["3", "12"], 12, 2, 12),
        (["upload.wikimedia.org=1"], 6, 1, 6),
        (["12,Upload.Wikimedia.org.=4"], 12, 4, 12),
        (["A.example=3", " 9 "], 9, 2, 3),
        (["", "8,"], 8, 2, 8),
    ],
)
def test_limits_are_set_in_general_and_by_name(values: list[str], general: int, wikimedia: int, other: int) -> None:
    limits = parse_per_host(values)
    assert limits.general == general
    assert (limits.limit(WIKIMEDIA), limits.limit("a.example")) == (wikimedia, other)


@pytest.mark.parametrize("value", ["0", "-1", "six", "1.5", "a.example=", "=3", "a.example=0", "a=b=c", "9999999", "٣"])
def test_a_limit_that_makes_no_sense_is_refused(value: str) -> None:
    with pytest.raises(UsageError, match="--per-host"):
        parse_per_host([value])


def test_a_host_with_dots_and_capitals_is_the_same_host() -> None:
    limits = HostLimits(PerHost(1))
    limits.enter("A.Example", plenty)
    assert limits.counts() == {"a.example": (1, 0)}


def test_the_limit_is_reached_and_never_passed() -> None:
    limits = HostLimits(PerHost(3))
    seen: list[int] = []
    three = threading.Barrier(3)

    def visit(_: int) -> None:
        limits.enter(HOST, plenty)
        try:
            three.wait(PATIENCE)  # breaks unless three are in at once
            seen.append(limits.counts()[HOST][0])
        finally:
            limits.leave(HOST)

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(visit, range(30)))
    assert max(seen) == 3
    assert len(seen) == 30


def test_hosts_do_not_wait_for_each_other() -> None:
    limits = HostLimits(PerHost(1))
    limits.enter("a.example", plenty)
    limits.enter("b.example", plenty)
    assert limits.counts() == {"a.example": (1, 0), "b.example": (1, 0)}


def test_turns_come_in_the_order_of_arrival() -> None:
    limits = HostLimits(PerHost(1))
    limits.enter(HOST, plenty)
    order: list[int] = []

    def visit(number: int) -> None:
        limits.enter(HOST, plenty)
        order.append(number)
        limits.leave(HOST)

    threads = [threading.Thread(target=visit, args=(number,)) for number in range(8)]
    for queue, thread in enumerate(threads, start=1):
        thread.start()
        until(functools.partial(queue_is, limits, queue))
    limits.leave(HOST)
    for thread in threads:
        thread.join(PATIENCE)
    assert order == list(range(8))


def test_who_gives_up_waiting_leaves_the_queue() -> None:
    limits = HostLimits(PerHost(1))
    limits.enter(HOST, plenty)
    patience = iter([1.0, 0.001])

    def left() -> float:
        for rest in patience:
            return rest
        raise PictureError("timeout", "no longer")

    with pytest.raises(PictureError, match="no longer"):
        limits.enter(HOST, left)
    assert limits.counts() == {HOST: (1, 0)}
    limits.leave(HOST)
    assert limits.counts() == {}


def test_a_turn_that_comes_as_its_owner_gives_up_goes_to_the_next() -> None:
    limits = HostLimits(PerHost(1))
    limits.enter(HOST, plenty)
    asked = iter([False, True])

    def left() -> float:
        if next(asked):
            limits.leave(HOST)  # the turn is handed to this very waiter...
            raise PictureError("cancelled", "no longer wanted")  # ...who has just stopped waiting
        return plenty()

    with pytest.raises(PictureError, match="no longer wanted"):
        limits.enter(HOST, left)
    limits.enter(HOST, plenty)  # would wait for ever if the turn had been lost
    assert limits.counts() == {HOST: (1, 0)}


def test_hosts_that_nobody_visits_are_forgotten() -> None:
    limits = HostLimits(PerHost())
    for number in range(1000):
        limits.enter(f"{number}.example", plenty)
        limits.leave(f"{number}.example")
    assert limits.counts() == {}


# Further tries


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 520, 522, 529])
def test_what_may_pass_is_worth_another_try(status: int) -> None:
    assert may_pass(status)


@pytest.mark.parametrize("status", [200, 301, 400, 401, 403, 404, 410, 416, 451, 501, 505, 511, 600])
def test_what_will_not_change_is_not(status: int) -> None:
    assert not may_pass(status)


@pytest.mark.parametrize(("setbacks", "ceiling"), [(1, 0.2), (2, 0.4), (3, 0.8), (4, 1.6), (6, 5.0), (5000, 5.0)])
def test_the_ceiling_of_the_wait_doubles_up_to_a_cap(
    setbacks: int, ceiling: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.random", lambda: 1.0)
    assert backoff(setbacks, base=0.2) == pytest.approx(min(ceiling, BACKOFF_CAP_S))


def test_the_wait_is_drawn_from_the_whole_range_below_the_ceiling(monkeypatch: pytest.MonkeyPatch) -> None:
    draws = iter([0.0, 0.5])
    monkeypatch.setattr("random.random", lambda: next(draws))
    assert backoff(2, base=0.2) == 0.0
    assert backoff(2, base=0.2) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 120 ", 120.0),
        ("1.5", 1.5),
        (formatdate(NOW + 90, usegmt=True), 90.0),
        (formatdate(NOW - 90, usegmt=True), 0.0),
        ("9999999999", 9_999_999_999.0),
        ("0000000000007", 7.0),
        ("1.5000000000", 1.5),
        ("9" * 400, math.inf),
        ("Tue, 14 Nov 2023 22:14:50 GMT", 90.0),
        ("Tuesday, 14-Nov-23 22:14:50 GMT", 90.0),  # the obsolete forms that RFC 9110 still allows
        ("Tue Nov 14 22:14:50 2023", 90.0),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 0.0),
        ("Fri, 31 Dec 99999 23:59:59 GMT", math.inf),
    ],
)
def test_a_server_says_when_to_come_back_in_seconds_or_by_date(
    value: str, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: NOW)
    assert retry_after(value) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "value",
    [None, "", "soon", "-1", "+1", "1e9", "٣", "inf", "nan", "Mon, 99 Foo 2023 99:99:99 GMT"],
)
def test_what_is_neither_is_ignored(value: str | None) -> None:
    assert retry_after(value) is None
