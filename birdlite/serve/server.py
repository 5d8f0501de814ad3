"""Listens, and ends in good order. `birdlite serve` calls `listen` and `run`.

`stop`, which the command calls at SIGTERM: not ready, wait `drain` seconds so that balancers notice, refuse new work,
finish what is under way, end.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, cast

from uvicorn.config import Config
from uvicorn.server import Server as UvicornServer

from birdlite import log
from birdlite.memory_limit import collect_often
from birdlite.serve import foreign_log, packages
from birdlite.serve.app import Service
from birdlite.serve.connection import Connection, Crowd
from birdlite.serve.listening import BACKLOG
from birdlite.serve.problems import Problem

if TYPE_CHECKING:
    import socket

KEEP_ALIVE_S = 15
"""s that an idle connection is kept."""

ACCEPTED = 100
"""Connections that the event loop takes at once, before it looks after the others again."""

SETTLE_S = 0.1
"""s after the service is ready: the first answers go before what it does then."""


class _Uvicorn(UvicornServer):
    """uvicorn, whose signals are ours."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen. How many connections the event loop takes at once is not how many may wait for it."""
        await super().startup(sockets)
        for one in sockets or ():
            one.listen(BACKLOG)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them alone."""
        yield


class Server:
    """One life of the service."""

    def __init__(
        self, service: Service, listening: socket.socket, loading: Future[None], started: Callable[[], object]
    ) -> None:
        """`loading` is the model's first picture (`first_picture`). `started` is called when the service is ready."""
        self._service = service
        self._listening = listening
        self._loading = loading
        self._started = started
        self._stop = asyncio.Event()
        self._uvicorn = _Uvicorn(self._config())
        self._cut_off = 0  # requests, by the end of the grace

    def _config(self) -> Config:
        options = self._service.options
        connection = partial(Connection, crowd=Crowd(options.connections), refused=self._refused)
        return Config(
            self._service.app(),
            http=cast("type[asyncio.Protocol]", connection),
            ws="none",
            lifespan="off",
            backlog=ACCEPTED,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=cast("int", options.grace),  # which asyncio waits for: a fraction will do
        )

    async def run(self) -> None:
        """Serve until `stop`.

        Raises:
            BirdliteError: the model cannot be loaded.
            ServeMissing: the package for metrics cannot be imported.
        """
        foreign_log.take_over()
        starting = [asyncio.ensure_future(self._load()), asyncio.ensure_future(self._settle())]
        tasks = [*starting, *map(asyncio.ensure_future, (self._service.pictures.look_after(), self._end()))]
        try:
            await self._uvicorn.serve([self._listening])
            self._cut_off = len(self._uvicorn.server_state.tasks)
            for task in starting:
                if task.done():
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            self._service.pictures.classifier.cancel()  # a download of the model ends too

    def stop(self) -> None:
        """End in good order. Only for the event loop's thread."""
        self._stop.set()

    def tally(self) -> dict[str, int]:
        """What became of all requests for pictures, once the event loop has ended."""
        service = self._service
        counted = service.metrics.tally() if "metrics" in vars(service) else {"requests": 0}
        more = {"cut_off": self._cut_off, "log_lines_lost": log.lost()}
        return counted | {name: number for name, number in more.items() if number}

    async def _load(self) -> None:
        """Become ready. Until then, the service says that it is not."""
        try:
            await asyncio.wrap_future(self._loading)
        except BaseException:
            self._uvicorn.should_exit = True
            raise
        self._service.pictures.loaded = True
        if not self._stop.is_set():
            self._started()

    async def _settle(self) -> None:
        """Do what a start need not wait for, a little after it."""
        await asyncio.wrap_future(self._loading)
        await asyncio.sleep(SETTLE_S)
        try:
            await asyncio.to_thread(import_module, "birdlite.serve.metrics")
        except Exception as error:  # a package that is broken may raise anything
            self._uvicorn.should_exit = True
            raise packages.broken(error) from error
        collect_often()

    async def _end(self) -> None:
        await self._stop.wait()
        service = self._service
        service.draining = True
        if service.pictures.loaded:
            log.info(f"ending: not ready any more; new work is refused in {service.options.drain:g} s")
            await asyncio.sleep(service.options.drain)
        service.refusing = True
        self._uvicorn.should_exit = True

    def _refused(self, problem: Problem, request_id: str, under_way: bool) -> None:
        """Count what is no request. A request under way whose body makes no sense is counted as any other."""
        if not under_way:
            self._service.metrics.requests.labels("other", "other", str(problem.status)).inc()
        log.warning("no request", status=problem.status, detail=problem.detail, request_id=request_id)
