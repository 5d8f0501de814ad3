"""The open-loop load of `scripts/bench_serve.py`: when requests are due, and that each has exactly one outcome."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from itertools import repeat
from pathlib import Path

import pytest

from scripts.balanced.load import Phase, Plan, Report, fire, outcomes, plan_of, report_of, steps, times

PROBLEM = json.dumps({"kind": "overload"}).encode()
Answering = Callable[[bytes, asyncio.StreamWriter], bool]
"""Answers a request's head; whether the connection goes on."""


def test_requests_come_at_the_rate_of_each_phase() -> None:
    phases = [Phase(2.0, 10.0, 10.0), Phase(2.0, 0.0, 20.0), Phase(1.0, 0.0, 0.0), Phase(1.0, 5.0, 5.0)]
    due = list(times(phases, repeat(1.0)))

    assert due[:2] == [pytest.approx(0.1), pytest.approx(0.2)]
    assert Counter(int(when - 1e-9) for when in due) == {0: 10, 1: 10, 2: 5, 3: 15, 5: 5}


def test_clients_that_know_nothing_of_each_other_come_as_often_on_the_average() -> None:
    due = list(times([Phase(100.0, 50.0, 50.0)], steps(1, regular=False)))

    assert len(due) == pytest.approx(5000, rel=0.05)
    assert due == sorted(due)


def test_the_same_seed_makes_the_same_pattern_at_each_rate() -> None:
    slow, fast = (list(times([Phase(10.0, rate, rate)], steps(7, regular=False))) for rate in (10.0, 20.0))

    assert [when / 2 for when in slow] == pytest.approx(fast[: len(slow)])


def test_plans_and_reports_survive_json(tmp_path: Path) -> None:
    plan = Plan([Phase(0.1, 10.0, 10.0)], [], ["https://a.example/1.jpg"], connections=2)
    report = asyncio.run(_load(plan, lambda _, writer: _answer(writer, 200, b"{}")))

    assert plan_of(json.loads(json.dumps(plan))) == plan
    assert report_of(json.loads(json.dumps(report))) == report


def test_each_request_has_one_outcome_whatever_the_service_does(tmp_path: Path) -> None:
    (tmp_path / "bird").write_bytes(b"bird" * 50_000)
    count = 0

    def answer(head: bytes, writer: asyncio.StreamWriter) -> bool:
        nonlocal count
        count += 1
        if count % 5 == 0:
            return _answer(writer, 503, PROBLEM)
        if count % 5 == 1:
            return _answer(writer, 503, b"<html>", "Connection: close\r\n")
        if count % 5 == 2:
            return False
        return _answer(writer, 200, b"{}")

    plan = Plan([Phase(0.2, 250.0, 250.0)], [str(tmp_path / "bird")], ["https://a.example/?a=b"], 4, regular=True)
    report = asyncio.run(_load(plan, answer))

    wanted = {"200": 20, "503 overload": 10, "503 of the balancer": 10, "no answer: the connection was closed": 10}
    assert outcomes(report.answers) == wanted
    assert report.connections >= 21  # each that was closed was followed by a new one


def test_a_request_that_waits_for_a_connection_is_charged_from_when_it_was_due() -> None:
    """Two come at once, and there is one connection, whose answers take their time."""
    seen = asyncio.Event()
    held: list[asyncio.StreamWriter] = []

    def answer(_: bytes, writer: asyncio.StreamWriter) -> bool:
        held.append(writer)
        seen.set()
        return True

    async def run() -> Report:
        plan = Plan([Phase(0.002, 1000.0, 1000.0)], [], ["https://a.example/"], connections=1, regular=True)
        server = await asyncio.start_server(lambda r, w: _serve(answer, r, w), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        load = asyncio.ensure_future(fire(f"http://127.0.0.1:{port}", plan))
        await seen.wait()
        seen.clear()
        released = asyncio.get_running_loop().time()
        _answer(held[0], 200, b"{}")
        await seen.wait()
        _answer(held[1], 200, b"{}")
        report = await load
        assert all(report.began + answer.due + answer.took >= released for answer in report.answers)
        server.close()
        return report

    report = asyncio.run(run())
    assert (len(held), report.connections) == (2, 1)
    assert outcomes(report.answers) == {"200": 2}


def test_a_request_that_is_never_answered_is_given_up() -> None:
    plan = Plan([Phase(0.01, 300.0, 300.0)], [], ["https://a.example/"], patience=0.05, regular=True)
    report = asyncio.run(_load(plan, lambda *_: True))

    assert outcomes(report.answers) == {"no answer in 0.05 s": 3}


def test_no_service_at_all_is_an_outcome(free_port: int) -> None:
    plan = Plan([Phase(0.01, 300.0, 300.0)], [], ["u"], regular=True)

    ((outcome, count),) = outcomes(asyncio.run(fire(f"http://127.0.0.1:{free_port}", plan)).answers).items()
    assert outcome.startswith("no connection: ")
    assert count == 3


async def _load(plan: Plan, answer: Answering) -> Report:
    """Run a plan against a server that answers so."""
    server = await asyncio.start_server(lambda r, w: _serve(answer, r, w), "127.0.0.1", 0)
    try:
        return await fire(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", plan)
    finally:
        server.close()


async def _serve(answer: Answering, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    goes_on = True
    try:
        while goes_on:
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length or 0))
            goes_on = answer(head, writer)
    except asyncio.IncompleteReadError:
        pass
    finally:
        writer.close()


def _answer(writer: asyncio.StreamWriter, status: int, body: bytes, more: str = "") -> bool:
    writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode() + body)
    return "close" not in more
