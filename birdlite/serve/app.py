"""The service as an ASGI application: its routes, request ids, and the log line of each request."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from birdlite import log
from birdlite.errors import BirdliteError, one_line
from birdlite.results import Result
from birdlite.serve import answers, intake
from birdlite.serve.admission import Overloaded
from birdlite.serve.intake import Asked, Bodies, Problem
from birdlite.serve.metrics import TYPE, Metrics
from birdlite.serve.options import ServeOptions
from birdlite.serve.pictures import Pictures
from birdlite.timing import Timeline, clock
from birdlite.writers.base import ModelFacts
from birdlite.writers.record import to_json

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ID = r"[A-Za-z0-9._:-]{1,128}"
_QUIET = frozenset({"/livez", "/readyz", "/metrics"})  # asked for every few seconds

Handler = Callable[["Service", Request], Awaitable[Response]]


class Service:
    """What the routes share: the pictures, the bounds, and whether the service is about to end."""

    def __init__(self, pictures: Pictures, options: ServeOptions) -> None:
        self.pictures = pictures
        self.options = options
        self.bodies = Bodies(pictures.classifier.room)
        self.metrics = Metrics(pictures)
        self.draining = False  # not ready any more, and still answering
        self.refusing = False  # no new work

    @property
    def ready(self) -> bool:
        """Whether a balancer should send requests here."""
        return self.pictures.ready and self.pictures.broken is None and not self.draining

    def model(self) -> ModelFacts:
        """The model and its engine."""
        classifier = self.pictures.classifier
        card = classifier.model
        return ModelFacts(card.card.name, card.sha256, classifier.engine_name, self.pictures.settings.threads)

    def app(self) -> ASGIApp:
        """The application."""
        routes = [
            Route("/v1/classify", self._handler(_classify), methods=["GET", "POST"]),
            Route("/v1/model", self._handler(_model)),
            Route("/livez", self._handler(_livez)),
            Route("/readyz", self._handler(_readyz)),
            Route("/metrics", self._handler(_metrics)),
        ]
        handlers = {404: self._unknown, 405: self._unknown}
        return _Requests(Starlette(routes=routes, exception_handlers=handlers), self)

    def _handler(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """Turn what a handler raises into a problem document."""

        async def handle(request: Request) -> Response:
            try:
                return await handler(self, request)
            except Problem as found:
                return self.problem(request, found)
            except Overloaded as overloaded:
                self.metrics.shed.inc()
                after = overloaded.retry_after
                return self.problem(request, Problem(503, str(overloaded), kind="overload", retry_after=after))
            except ClientDisconnect:
                return Response(status_code=499)  # nobody reads it
            except BirdliteError as error:
                log.error(str(error), request_id=request.state.id)
                return self.problem(request, Problem(503, "the model cannot be run now", kind="engine", retry_after=5))

        return handle

    def problem(self, request: Request, found: Problem) -> Response:
        """The answer for a request that has none. The connection ends if its body was not read."""
        headers = {} if found.retry_after is None else {"Retry-After": str(found.retry_after)}
        if request.method == "POST":
            headers["Connection"] = "close"
        text = answers.problem(found, request.state.id)
        return Response(text, found.status, headers, media_type=answers.PROBLEM)

    async def _unknown(self, request: Request, error: Exception) -> Response:
        status = getattr(error, "status_code", 404)
        what = "no such path" if status == 404 else f"{request.method} is not for this path"
        return self.problem(request, Problem(status, f"{what}: {one_line(request.url.path)}"))


class _Requests:
    """Around all routes: an id for each request, its log line, and its count."""

    def __init__(self, inner: ASGIApp, service: Service) -> None:
        self._inner = inner
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        began = clock()
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"").decode("latin-1")
        request_id = given if re.fullmatch(_ID, given) else uuid.uuid4().hex
        scope.setdefault("state", {}).update(id=request_id, began=began)
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        if b"content-length" in headers and b"transfer-encoding" in headers:
            response = Response("both Content-Length and Transfer-Encoding\n", 400, {"Connection": "close"})
            await response(scope, receive, sending)
        else:
            await self._inner(scope, receive, sending)
        self._count(scope, status, clock() - began, headers.get(b"traceparent", b""))

    def _count(self, scope: Scope, status: int, took: float, trace: bytes) -> None:
        path: str = scope["path"]
        route = scope["route"].path if "route" in scope else "other"
        metrics = self._service.metrics
        metrics.requests.labels(route, scope["method"], str(status)).inc()
        metrics.seconds.labels(route).observe(took)
        say = log.debug if path in _QUIET else log.info
        fields = {"traceparent": one_line(trace.decode("latin-1"))} if trace else {}
        what = f"{scope['method']} {one_line(path)}"
        say(what, status=status, ms=round(took * 1e3, 1), request_id=scope["state"]["id"], **fields)


async def _classify(service: Service, request: Request) -> Response:
    """Pictures in, answers out."""
    if service.refusing or not service.pictures.ready:
        what = "the service is about to end" if service.refusing else "the model is not loaded yet"
        raise Problem(503, f"{what}; try again", kind="not_ready", retry_after=1)
    until = request.state.began + service.options.request_timeout
    service.pictures.admission.check("upload" if request.method == "POST" else "url", 1, until - clock())
    with service.bodies.room() as room:
        asked = await intake.read(request, service.pictures.settings, service.options, room)
        lane = "url" if any(getattr(target, "kind", "") == "url" for target in asked.targets) else "upload"
        service.pictures.admission.check(lane, len(asked.targets), until - clock())  # type: ignore[arg-type]
        timeline = Timeline(request.state.began)
        if answers.LINES in request.headers.get("accept", ""):
            return StreamingResponse(_lines(service, asked, timeline, until), media_type=answers.LINES)
        results = await _while_connected(request, _all(service, asked, timeline, until))
    if not asked.several and (failure := results[0].failure) is not None:
        raise answers.problem_of(failure)
    headers = {"Server-Timing": answers.server_timing(timeline.breakdown())}
    return Response(answers.document(results, service.model(), timeline), 200, headers, media_type=answers.JSON)


async def _all(service: Service, asked: Asked, timeline: Timeline, until: float) -> list[Result]:
    pictures = service.pictures
    return await asyncio.gather(
        *(pictures.classify(target, asked.settings, timeline, until) for target in asked.targets)
    )


async def _lines(service: Service, asked: Asked, timeline: Timeline, until: float) -> AsyncIterator[str]:
    """A line for each picture, as it is finished."""
    tasks = [
        asyncio.ensure_future(service.pictures.classify(target, asked.settings, timeline, until))
        for target in asked.targets
    ]
    try:
        for finished in asyncio.as_completed(tasks):
            yield answers.line(await finished)
    finally:
        for task in tasks:
            task.cancel()


async def _while_connected(request: Request, work: Awaitable[list[Result]]) -> list[Result]:
    """Do the work as long as somebody waits for it.

    Raises:
        ClientDisconnect: the client has gone; its pictures go with it.
    """
    working = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        watching.cancel()
        working.cancel()


async def _gone(request: Request) -> None:
    """Wait until the client has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _model(service: Service, _request: Request) -> Response:
    if not service.pictures.ready:
        raise Problem(503, "the model is not loaded yet", kind="not_ready", retry_after=1)
    card = service.pictures.classifier.model.card
    facts = service.model()._asdict() | {"classes": card.classes, "side": card.side, "format": card.format}
    return Response(to_json(facts), media_type=answers.JSON)


async def _livez(_service: Service, _request: Request) -> Response:
    return Response("alive\n", media_type="text/plain")


async def _readyz(service: Service, _request: Request) -> Response:
    return Response(
        "ready\n" if service.ready else "not ready\n", 200 if service.ready else 503, media_type="text/plain"
    )


async def _metrics(service: Service, _request: Request) -> Response:
    return Response(service.metrics.text(), headers={"Content-Type": TYPE})
