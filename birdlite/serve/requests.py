"""Around all routes: an id for each request, its log line, its count, and the headers that every answer has.

`connection` takes id and headers for its own answers to what is no request.
"""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any, Protocol

from birdlite import log
from birdlite.serve.problems import named
from birdlite.timing import clock

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from birdlite.serve.metrics import Metrics

_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-[!-~]{0,100})?")  # W3C Trace Context

_QUIET = frozenset({"/livez", "/readyz", "/metrics"})  # asked for every few seconds
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

REFUSED = "birdlite.refused"
"""In the scope of a request, by its connection, which has answered because the body is nonsense: with this status."""

_ALWAYS = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))


def id_of(scope: Mapping[str, Any]) -> str:
    """The id of a request: its own if it has one that is harmless, else one that is made."""
    state: dict[str, Any] = scope["state"]
    if "id" not in state:
        given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        state["id"] = given if _ID.fullmatch(given) else new_id()
    return str(state["id"])


def new_id() -> str:
    """An id for what has none."""
    return uuid.uuid4().hex


def headers_of(request_id: str) -> list[tuple[bytes, bytes]]:
    """The headers that every answer has."""
    return [*_ALWAYS, (b"x-request-id", request_id.encode())]


class State(Protocol):
    """What is asked of the service."""

    draining: bool

    @property
    def metrics(self) -> Metrics:
        """Where requests are counted."""


class Requests:
    """An ASGI application around another one."""

    def __init__(self, inner: ASGIApp, service: State) -> None:
        self._inner = inner
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        began = clock()
        scope["path"] = scope["raw_path"].decode("latin-1")  # as it is spelled: a proxy's rules need not decode paths
        request_id = id_of(scope)
        scope["state"]["began"] = began
        status = 499  # the client has gone before there was an answer

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *headers_of(request_id)]
                if self._service.draining:  # the client's next request goes elsewhere
                    message["headers"].append((b"connection", b"close"))
            await send(message)

        try:
            await self._inner(scope, receive, sending)
        finally:
            self._count(scope, scope.get(REFUSED, status), clock() - began)

    def _count(self, scope: Scope, status: int, took: float) -> None:
        path, method = scope["path"], scope["method"]
        route = path if path in self._service.metrics.routes else "other"
        metrics = self._service.metrics
        metrics.requests.labels(route, method if method in _METHODS else "other", str(status)).inc()
        metrics.seconds.labels(route).observe(took)
        say = log.debug if path in _QUIET else log.info
        trace = dict(scope["headers"]).get(b"traceparent", b"").decode("latin-1")
        fields = {"traceparent": trace} if _TRACEPARENT.fullmatch(trace) else {}
        what = f"{named(method)} {named(path)}"
        say(what, status=status, ms=round(took * 1e3, 1), request_id=scope["state"]["id"], **fields)
