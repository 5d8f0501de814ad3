"""The service as an ASGI application: its routes, and what they share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from birdlite.serve import answers, intake, problems, replies
from birdlite.serve.bodies import Bodies, Room
from birdlite.serve.intake import Asked
from birdlite.serve.options import SPARE_CONNECTIONS, ServeOptions
from birdlite.serve.pictures import BROKEN, Pictures
from birdlite.serve.problems import Overloaded, Problem, named
from birdlite.serve.requests import Requests
from birdlite.timing import Timeline
from birdlite.writers.base import ModelFacts
from birdlite.writers.record import to_json

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from birdlite.serve.metrics import Metrics

Handler = Callable[["Service", Request], Awaitable[Response]]


class Service:
    """What the routes share: the pictures, the bounds, and whether the service is about to end."""

    def __init__(self, pictures: Pictures, options: ServeOptions) -> None:
        self.pictures = pictures
        self.options = options
        self.bodies = Bodies(pictures.classifier.room)
        self.draining = False  # not ready any more, and still answering
        self.refusing = False  # no new work
        self.busy = 0  # requests that classify
        pictures.count = lambda *facts: self.metrics.count(*facts)

    @cached_property
    def metrics(self) -> Metrics:
        """The numbers, made when the first one is counted: a start does not wait for their package."""
        from birdlite.serve.metrics import Metrics

        return Metrics(self.pictures, ROUTES, lambda: self.ready)

    @property
    def ready(self) -> bool:
        """Whether a balancer should send requests here."""
        return self.pictures.ready and not self.draining

    def check(self) -> None:
        """Refuse a request that cannot be answered now.

        Raises:
            Problem: the service is not ready, or has no connections to spare.
        """
        if self.refusing:
            raise Problem(503, "the service is about to end; try again", kind="not_ready", retry_after=1)
        if not self.pictures.loaded:
            raise Problem(503, "the model is not loaded yet; try again", kind="not_ready", retry_after=1)
        if self.pictures.broken is not None:
            raise Problem(503, "the model cannot be run now; try again", kind="engine", retry_after=5)
        most = max(1, self.options.connections - SPARE_CONNECTIONS)
        if self.busy > most and not self.bodies.give_up_slowest():
            raise Overloaded("too many requests are under way")

    @cached_property
    def model(self) -> ModelFacts:
        """The model that is loaded, and its engine. Looked up once: the number of threads is read from the system."""
        classifier = self.pictures.classifier
        card = classifier.model
        return ModelFacts(card.card.name, card.sha256, classifier.engine_name, self.pictures.settings.threads)

    def app(self) -> ASGIApp:
        """The application."""
        return Requests(self._answer, self)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        response = await self._respond(request)
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        """Let a route answer, and turn what it raises into a problem document."""
        try:
            return await _route(request)(self, request)
        except ClientDisconnect:
            return Response(status_code=499)  # nobody reads it
        except asyncio.CancelledError:
            if not self.refusing:
                raise
            return self._problem(request, Problem(503, "the service ends", kind="not_ready", retry_after=1))
        except Problem as found:
            return self._problem(request, found)
        except BROKEN:  # the log says already which
            return self._problem(
                request, Problem(503, "the model cannot be run now; try again", kind="engine", retry_after=5)
            )
        except Exception as error:  # noqa: BLE001 - an error in birdlite itself
            problems.log_fault(error, request_id=request.state.id)
            return self._problem(request, Problem(500, "a fault in birdlite; its log says more", kind="fault"))

    def _problem(self, request: Request, found: Problem) -> Response:
        """The answer for a request that has none.

        What is still on its way of the request's body is read and dropped by the connection, so that the client
        sees this answer. Only a client that is too slow, or asks before it sends, is cut off.
        """
        if isinstance(found, Overloaded):
            self.metrics.shed.inc()
        headers = {} if found.retry_after is None else {"Retry-After": str(found.retry_after)}
        if found.status == 408 or "expect" in request.headers:
            headers["Connection"] = "close"
        if found.status == 405:
            headers["Allow"] = ", ".join(ROUTES[request.scope["path"]][1])
        return Response(found.document(request.state.id), found.status, headers, media_type=problems.TYPE)


def _route(request: Request) -> Handler:
    """What answers a request.

    Raises:
        Problem: nothing does.
    """
    path, method = request.scope["path"], request.method
    if path not in ROUTES:
        raise Problem(404, f"no such path: {named(path)}")
    handler, methods = ROUTES[path]
    if ("GET" if method == "HEAD" else method) not in methods:
        raise Problem(405, f"{named(method)} is not for this path: {named(path)}")
    return handler


async def _classify(service: Service, request: Request) -> Response:
    """Pictures in, answers out."""
    room = Room(service.bodies)

    def over() -> None:
        service.busy -= 1
        room.give_back()

    service.busy += 1
    streams = False
    try:
        service.check()
        until = request.state.began + service.options.request_timeout
        service.pictures.admission.check(intake.lane(request), 1, until)
        asked = await intake.read(request, service.pictures.settings, service.options, room)
        timeline = Timeline(request.state.began)
        begun = service.pictures.begin(asked.targets, asked.settings, timeline, until)
        if asked.several and _wants_lines(request):
            await replies.first_turn(begun, until, request.receive)
            streams = True
            return replies.Lines(asked.targets, begun.tasks, over)
        return await _whole(service, request, asked, begun.tasks, timeline)
    finally:
        if not streams:
            over()


def _wants_lines(request: Request) -> bool:
    return answers.wants_lines(", ".join(request.headers.getlist("accept")))


async def _whole(
    service: Service, request: Request, asked: Asked, tasks: list[replies.Task], timeline: Timeline
) -> Response:
    """All results at once."""
    results = await replies.all_of(tasks, request.receive)
    if not asked.several and (failure := results[0].failure) is not None:
        raise problems.of_failure(failure)
    if _wants_lines(request):  # it is a single one
        return Response(answers.line(results[0]), media_type=answers.LINES)
    breakdown = timeline.breakdown()
    facts = results, service.model, breakdown
    long = answers.is_long(results)
    made = await asyncio.to_thread(answers.document, *facts) if long else answers.document(*facts)
    return Response(made, 200, {"Server-Timing": answers.server_timing(breakdown)}, media_type=answers.JSON)


async def _model(service: Service, _request: Request) -> Response:
    if not service.pictures.loaded:
        raise Problem(503, "the model is not loaded yet; try again", kind="not_ready", retry_after=1)
    card = service.pictures.classifier.model.card
    facts = service.model._asdict() | {"classes": card.classes, "side": card.side, "format": card.format}
    return Response(to_json(facts) + "\n", media_type=answers.JSON)


async def _livez(_service: Service, _request: Request) -> Response:
    return Response("alive\n", media_type="text/plain")


async def _readyz(service: Service, _request: Request) -> Response:
    if service.ready:
        return Response("ready\n", media_type="text/plain")
    return Response("not ready\n", 503, media_type="text/plain")


async def _metrics(service: Service, _request: Request) -> Response:
    from birdlite.serve.metrics import TYPE

    facts = service.model if service.pictures.loaded else None
    return Response(service.metrics.text(facts), headers={"Content-Type": TYPE})


async def _page(service: Service, _request: Request) -> Response:
    from birdlite.serve import page  # most services never show it

    pictures = service.pictures
    model = service.model.name if pictures.loaded else ""
    document = page.document(pictures.settings, service.options, model=model, ready=service.ready)
    return Response(document, headers=page.headers(), media_type=page.TYPE)


async def _openapi(_service: Service, _request: Request) -> Response:
    from birdlite.serve import openapi

    return Response(openapi.text(), media_type=answers.JSON)


ROUTES: dict[str, tuple[Handler, list[str]]] = {
    "/v1/classify": (_classify, ["GET", "POST"]),
    "/v1/model": (_model, ["GET"]),
    "/livez": (_livez, ["GET"]),
    "/readyz": (_readyz, ["GET"]),
    "/metrics": (_metrics, ["GET"]),
    "/openapi.json": (_openapi, ["GET"]),
    "/": (_page, ["GET"]),
}
"""What answers each path, and by which methods. HEAD is answered wherever GET is."""
