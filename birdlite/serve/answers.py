"""What the service answers: the document of `classify --format json`, problems as RFC 9457 has them, and the stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from birdlite.results import Failure, FailureKind, Result, RunSummary
from birdlite.serve.intake import Problem
from birdlite.timing import Breakdown, Stage, Timeline
from birdlite.writers.base import ModelFacts
from birdlite.writers.record import milliseconds, record, timing, to_json

JSON, LINES, PROBLEM = "application/json", "application/x-ndjson", "application/problem+json"

STATUSES: Mapping[FailureKind, int] = {
    "not_found": 422,
    "http_status": 502,
    "network": 502,
    "timeout": 504,
    "too_large": 413,
    "not_an_image": 415,
    "decode": 422,
    "blocked": 403,
    "unsupported": 415,
    "cancelled": 503,
}
"""The status of an answer whose only picture failed."""

_TITLES = {
    400: "The request makes no sense",
    403: "Not allowed",
    404: "No such resource",
    405: "Not this method",
    408: "Too slow",
    413: "Too large",
    415: "Not a picture that can be read",
    422: "The picture cannot be classified",
    500: "A fault in birdlite",
    502: "The picture's server did not give it",
    503: "Not now",
    504: "Out of time",
}

STAGES: Mapping[Stage, str] = {"queue": "queue", "image fetch": "fetch", "decode": "decode", "inference": "infer"}
"""The stages of a request, and their names in Server-Timing."""


def document(results: Sequence[Result], model: ModelFacts, timeline: Timeline) -> str:
    """The answer for several pictures, or for one that was classified."""
    breakdown = timeline.breakdown()
    ok = sum(result.ok for result in results)
    rate = ok / breakdown.wall_ms * 1e3
    summary = RunSummary(len(results), ok, len(results) - ok, breakdown.wall_ms, rate)._asdict()
    summary["wall_ms"] = milliseconds(breakdown.wall_ms)
    summary["images_per_second"] = round(rate, 2)
    return to_json(
        {
            "results": [record(result, times=True) for result in results],
            "model": model._asdict(),
            "summary": summary,
            "timing": timing(breakdown),
        }
    )


def line(result: Result) -> str:
    """The answer for one picture of a stream."""
    return to_json(record(result, times=True)) + "\n"


def problem_of(failure: Failure) -> Problem:
    """The problem of an answer whose only picture failed."""
    return Problem(STATUSES[failure.kind], failure.message, kind=failure.kind)


def problem(found: Problem, request_id: str) -> str:
    """A problem document."""
    return to_json(
        {
            "type": "about:blank",
            "title": _TITLES.get(found.status, "Error"),
            "status": found.status,
            "detail": found.detail,
            "kind": found.kind,
            "request_id": request_id,
        }
    )


def server_timing(breakdown: Breakdown) -> str:
    """The header of that name: what each stage took, in ms, for a browser's network panel."""
    spent = [(STAGES[one.stage], one.spent_ms) for one in breakdown.stages if one.stage in STAGES]
    return ", ".join(f"{name};dur={ms:.1f}" for name, ms in [*spent, ("total", breakdown.wall_ms)])
