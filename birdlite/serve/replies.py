"""The results of a request's pictures, for as long as its client waits: all of them, or a line for each.

When the client goes away, its pictures go with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.requests import ClientDisconnect
from starlette.responses import Response

from birdlite.results import Failure, Result
from birdlite.serve import answers, problems
from birdlite.serve.pictures import BROKEN
from birdlite.targets import BadTarget, Target

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from birdlite.serve.pictures import Begun

Task = asyncio.Task[Result]

Value = TypeVar("Value")


async def all_of(tasks: Sequence[Task], receive: Receive) -> list[Result]:
    """All results, in order.

    Raises:
        ClientDisconnect: the client has gone.
        BirdliteError: the engine is broken.
    """
    async with aclosing(_as_they_finish(tasks, receive)) as finished:
        async for task in finished:
            task.result()  # the first error ends it
    return [task.result() for task in tasks]


async def first_turn(begun: Begun, until: float, receive: Receive) -> None:
    """Wait until a picture has its turn, before the head of an answer in lines. Until then the request may be refused.

    Raises:
        ClientDisconnect: the client has gone.
        Overloaded: it is refused.
    """
    if begun.first is None or begun.first.began is not None:
        return
    turn = asyncio.ensure_future(begun.first.turn(until))
    try:
        async with aclosing(_as_they_finish([turn], receive)) as finished:
            async for _ in finished:
                turn.result()
    except asyncio.TimeoutError:
        pass  # the time of the request is up: each picture says so
    except BaseException:
        for task in begun.tasks:
            task.cancel()
        raise


class Lines(Response):
    """The answer that has a line for each picture, as soon as it is finished."""

    def __init__(
        self, targets: Sequence[Target | BadTarget], tasks: Sequence[Task], over: Callable[[], object]
    ) -> None:
        """`over` is called at the end, whatever happens."""
        super().__init__(media_type=answers.LINES)
        del self.headers["content-length"]
        self._names = dict(zip(tasks, targets, strict=True))
        self._tasks = tasks
        self._over = over

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            async with aclosing(_as_they_finish(self._tasks, receive)) as finished:
                async for task in finished:
                    line = answers.line(self._result(task, scope["state"]["id"])).encode()
                    await send({"type": "http.response.body", "body": line, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except ClientDisconnect:
            pass
        finally:
            self._over()

    def _result(self, task: Task, request_id: str) -> Result:
        """What became of a picture. The answer has begun, so a broken engine and a fault are records too."""
        try:
            return task.result()
        except BROKEN:  # the log says already which
            why = "the model cannot be run now"
        except Exception as error:  # noqa: BLE001 - an error in birdlite itself
            problems.log_fault(error, request_id=request_id)
            why = "a fault in birdlite; its log says more"
        target = self._names[task]
        return Result(target.index, target.name, Failure("cancelled", f"{target.name}: {why}"))


async def _as_they_finish(
    tasks: Sequence[asyncio.Task[Value]], receive: Receive
) -> AsyncGenerator[asyncio.Task[Value], None]:
    """Give out the tasks as they finish, and cancel those that are left when the client goes or the caller stops.

    Raises:
        ClientDisconnect: the client has gone.
    """
    finished: asyncio.Queue[asyncio.Future[Any]] = asyncio.Queue()
    watching = asyncio.ensure_future(_gone(receive))
    futures: list[asyncio.Future[Any]] = [*tasks, watching]
    for future in futures:
        future.add_done_callback(finished.put_nowait)
    try:
        for _ in tasks:
            task = await finished.get()
            if task is watching:
                raise ClientDisconnect
            yield task  # type: ignore[misc]
    finally:
        for future in futures:
            future.cancel()


async def _gone(receive: Receive) -> None:
    """Wait until the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
