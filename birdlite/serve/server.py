"""Listens, and ends in good order. `birdlite serve` calls `run`.

The first SIGTERM (or Ctrl-C, or SIGHUP): not ready, wait `drain` seconds so that balancers notice, refuse new work,
finish what is under way, end. The second one ends at once. Connections that send no whole head in time are dropped, and
so are those whose client does not read its answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Iterator

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from birdlite import log
from birdlite.errors import BirdliteError, OutputError
from birdlite.local_file import reason
from birdlite.serve.app import Service

HEAD_S = 10.0
"""s for the head of a request to arrive."""

KEEP_ALIVE_S = 15
"""s that an idle connection is kept."""

UNREAD_S = 10.0
"""s for a client to take an answer that is complete."""

MAX_HEAD = 32 << 10  # bytes of a request's head


class _Connection(H11Protocol):
    """A connection that does not wait for ever for its client."""

    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._waits_for_head():
            if self._patience is None:
                self._expect_head()
        else:
            self._forget()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self.loop.call_later(UNREAD_S, self.transport.abort)  # closing waits for the client to read

    def _waits_for_head(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is None or cycle.response_complete

    def _expect_head(self) -> None:
        self._patience = self.loop.call_later(HEAD_S, self._drop)

    def _forget(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _drop(self) -> None:
        self._patience = None
        if self._waits_for_head():
            self.transport.abort()


class _Server(uvicorn.Server):
    """uvicorn, whose signals are ours."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there.

    Raises:
        OutputError: it is in use, or there is no such address.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listening = socket.socket(found[0], found[1])
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(found[4])
            listening.listen(2048)
        except OSError:
            listening.close()
            raise
    except OSError as error:
        raise OutputError(f"cannot listen on {host} port {port}: {reason(error)}") from None
    return listening


def run(service: Service, listening: socket.socket, started: Callable[[], object]) -> None:
    """Serve until a signal comes. `started` is called when the service is ready.

    Raises:
        BirdliteError: the model cannot be loaded.
    """
    asyncio.run(_Run(service, listening, started).run())


class _Run:
    """One life of the service."""

    def __init__(self, service: Service, listening: socket.socket, started: Callable[[], object]) -> None:
        self._service = service
        self._listening = listening
        self._started = started
        self._stop = asyncio.Event()
        self._failure: BirdliteError | None = None
        options = service.options
        config = uvicorn.Config(
            service.app(),
            http=_Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=options.connections,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=max(1, round(options.grace)),
            h11_max_incomplete_event_size=MAX_HEAD,
        )
        self._server = _Server(config)

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._signalled, number)
        tasks = [asyncio.ensure_future(task) for task in (self._load(), self._service.pictures.look_after())]
        ending = asyncio.ensure_future(self._end())
        try:
            await self._server.serve([self._listening])
        finally:
            for task in (*tasks, ending):
                task.cancel()
        if self._failure is not None:
            raise self._failure

    def _signalled(self, number: int) -> None:
        if self._stop.is_set():
            os._exit(128 + number)
        self._stop.set()

    async def _load(self) -> None:
        """Load the model in a thread, while the service already says that it is not ready."""
        pictures, metrics = self._service.pictures, self._service.metrics
        try:
            await asyncio.to_thread(pictures.load)
        except BirdliteError as error:
            self._failure = error
            self._server.should_exit = True
            return
        metrics.model(*self._service.model()[:3])
        self._started()

    async def _end(self) -> None:
        await self._stop.wait()
        service = self._service
        service.draining = True
        log.info(f"ending: not ready any more; new work is refused in {service.options.drain:g} s")
        await asyncio.sleep(service.options.drain)
        service.refusing = True
        self._server.should_exit = True
