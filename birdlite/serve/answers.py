"""What the service answers: the document of `classify --format json`, its records as lines, and the stages."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from birdlite.results import Result, RunSummary
from birdlite.settings import decimal_number
from birdlite.timing import Breakdown, Stage
from birdlite.writers.base import ModelFacts
from birdlite.writers.record import milliseconds, record, timing, to_json

JSON, LINES = "application/json", "application/x-ndjson"

MANY = 1000
"""Candidates in an answer that are better written by a thread: they take the event loop several ms."""

_QUOTED = re.compile(r'"(?:\\.|[^"\\])*"?')

STAGES: Mapping[Stage, str] = {"queue": "queue", "image fetch": "fetch", "decode": "decode", "inference": "infer"}
"""The stages of a request, and their names in Server-Timing."""


def wants_lines(accept: str) -> bool:
    """Whether a client asks for lines by name, and not for JSON rather. `accept` is the value of its Accept."""
    if LINES not in accept.lower():
        return False
    weights: dict[str, float] = {}
    for one in _QUOTED.sub("", accept.lower()).split(","):
        name, *parameters = (part.strip() for part in one.split(";"))
        weights[name] = _weight(parameters)
    json = next((weights[name] for name in (JSON, "application/*", "*/*") if name in weights), 0.0)
    lines = weights.get(LINES, 0.0)
    return lines > 0 and lines >= json


def _weight(parameters: Sequence[str]) -> float:
    """How much a type is wanted. A weight that cannot be read is 0."""
    for name, _, value in (parameter.partition("=") for parameter in parameters):
        if name.rstrip() == "q":
            try:
                return decimal_number(value)
            except ValueError:
                return 0.0
    return 1.0


def document(results: Sequence[Result], model: ModelFacts, breakdown: Breakdown) -> str:
    """The answer for one picture that was classified, or for several."""
    ok = sum(result.ok for result in results)
    rate = ok / breakdown.wall_ms * 1e3
    summary = RunSummary(len(results), ok, len(results) - ok, breakdown.wall_ms, rate)._asdict()
    summary["wall_ms"] = milliseconds(breakdown.wall_ms)
    summary["images_per_second"] = round(rate, 2)
    found = {
        "results": [record(result, times=True) for result in results],
        "model": model._asdict(),
        "summary": summary,
        "timing": timing(breakdown),
    }
    return to_json(found) + "\n"


def is_long(results: Sequence[Result]) -> bool:
    """Whether writing the answer takes so long that a thread should do it."""
    return sum(len(result.predictions) for result in results) > MANY


def line(result: Result) -> str:
    """One picture of a stream."""
    return to_json(record(result, times=True)) + "\n"


def server_timing(breakdown: Breakdown) -> str:
    """The header of that name: what each stage took, in ms, for a browser's network panel."""
    spent = [(STAGES[one.stage], one.spent_ms) for one in breakdown.stages if one.stage in STAGES]
    return ", ".join(f"{name};dur={ms:.1f}" for name, ms in [*spent, ("total", breakdown.wall_ms)])
