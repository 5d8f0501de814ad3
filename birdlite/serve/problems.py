"""Why a request has no answer, as RFC 9457 has it: a status, and a line for a person.

Every module of the service may raise a `Problem`. `app` makes it the answer, and so does `connection` for what is not
even HTTP.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from http import HTTPStatus

from birdlite import log
from birdlite.errors import one_line, without_secrets
from birdlite.printable import printable
from birdlite.results import Failure, FailureKind
from birdlite.secret_names import decoded
from birdlite.writers.record import to_json

TYPE = "application/problem+json"

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

KINDS = (
    "request",  # it makes no sense
    "overload",  # too many pictures wait, or too much is in memory
    "not_ready",  # the model is not loaded yet, or the service is about to end
    "engine",  # the model cannot be run now
    "fault",  # an error in birdlite itself
)
"""Kinds of problems, beside the kinds of failures of a picture."""

_LONGEST_NAMED = 200  # characters: to look for secrets in so many takes 2 ms at most, and more with more of them
_LONGEST_WAIT_S = 60.0  # to ask a client for


class Problem(Exception):
    """Why a request has no answer."""

    def __init__(self, status: int, detail: str, *, kind: str = "request", retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.kind = kind  # of `KINDS`, or of a picture's failure
        self.retry_after = retry_after  # s

    def document(self, request_id: str) -> str:
        """The body of the answer."""
        found = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "kind": self.kind,
            "request_id": request_id,
        }
        return to_json(found) + "\n"


class Overloaded(Problem):
    """The request cannot be taken on now: it is shed."""

    def __init__(self, why: str, wait: float = 0.0) -> None:
        """`wait` is after how many s it may be worth another try."""
        seconds = max(1, math.ceil(min(wait, _LONGEST_WAIT_S)))
        super().__init__(503, f"{why}; try again in {seconds} s", kind="overload", retry_after=seconds)


def named(text: str) -> str:
    """What a client sent, for a line: without secrets, escaped ones too. Of what is long, only how long it is."""
    if len(text) > _LONGEST_NAMED:
        return f"({len(text)} characters)"
    plain = decoded(text)
    return one_line(printable(text if without_secrets(plain) == plain else plain))


def log_fault(error: Exception, **fields: object) -> None:
    """Say in the log that there is an error in birdlite itself."""
    log.error(f"a fault in birdlite, please report it: {type(error).__name__}: {one_line(error)}", **fields)


def of_failure(failure: Failure) -> Problem:
    """The problem of a request whose only picture failed."""
    status = STATUSES[failure.kind]
    return Problem(status, printable(failure.message), kind=failure.kind, retry_after=1 if status == 503 else None)
