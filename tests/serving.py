"""A real service in a thread, on a free port, and what tests say to it: with httpx, or byte by byte."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from birdlite import log
from birdlite.run.classifier import Classifier
from birdlite.serve import first_picture
from birdlite.serve.app import Service
from birdlite.serve.listening import listen
from birdlite.serve.options import ServeOptions
from birdlite.serve.pictures import Pictures
from birdlite.serve.server import Server
from birdlite.settings import Settings
from tests.origin import PATIENCE

Serve = Callable[..., "Running"]
"""Starts a service with options of its own."""


class Running:
    """The service, in a `with` statement. Options are as on the command line, but it ends without a drain."""

    def __init__(self, classifier: Classifier, settings: Settings, **options: Any) -> None:
        self.lines: list[tuple[int, str, dict[str, object]]] = []  # of the log
        self._options = ServeOptions(port=0, **{"drain": 0.01, "grace": PATIENCE, **options})
        self._classifier = classifier
        self._settings = settings
        self._socket = listen("127.0.0.1", 0)
        self.port: int = self._socket.getsockname()[1]
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="service", daemon=True)
        self.error: BaseException | None = None
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=PATIENCE, trust_env=False)

    def __enter__(self) -> Running:
        self.take_log()
        self._thread.start()
        assert self._ready.wait(PATIENCE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self.wait()
        self.client.close()
        gc.unfreeze()  # the service has frozen what belongs to the tests
        assert kind is not None or self.faults == []
        assert self.error is None

    def take_log(self) -> None:
        """Take what is logged from now on: nothing of a request that has its answer already."""
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(asyncio.sleep(0), self.loop).result(PATIENCE)
        assert self.faults == []
        self.lines.clear()
        log.to(lambda level, message, fields: self.lines.append((level, message, fields)), log.DEBUG)

    @property
    def faults(self) -> list[str]:
        """What the log says of errors in birdlite, and what asyncio and uvicorn complain of."""
        said = (message for _, message, _ in self.lines)
        return [message for message in said if "fault" in message or message.startswith(("asyncio", "uvicorn"))]

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - the test's thread looks at it
            self.error = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        pictures = Pictures(self._classifier, self._settings, self._options.queue, self._options.max_wait)
        self.service = Service(pictures, self._options)
        loading = first_picture.begin(self._classifier, self._settings)
        self.server = Server(self.service, self._socket, loading, self._ready.set)
        await self.server.run()

    def stop(self) -> None:
        """Let it end, as SIGTERM does."""
        if self._thread.is_alive():
            self.loop.call_soon_threadsafe(self.server.stop)

    def wait(self) -> None:
        """Wait for its end."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    # Requests

    def post(
        self, data: bytes, content_type: str = "image/jpeg", headers: dict[str, str] | None = None, **more: Any
    ) -> httpx.Response:
        """One picture as the body."""
        head = {"Content-Type": content_type, **(headers or {})}
        return self.client.post("/v1/classify", content=data, headers=head, **more)

    def form(self, *files: bytes, **more: Any) -> httpx.Response:
        """Several pictures as a form."""
        parts = [("file", (f"{number}.jpg", data, "image/jpeg")) for number, data in enumerate(files)]
        return self.client.post("/v1/classify", files=parts, **more)

    def urls(self, *urls: str, headers: dict[str, str] | None = None, **fields: object) -> httpx.Response:
        """Several URLs as JSON."""
        return self.client.post("/v1/classify", json={"urls": urls, **fields}, headers=headers)

    def logged(self, request_id: str) -> dict[str, object]:
        """What the log says of a request."""
        self.client.get("/livez")  # the line is written by now
        (fields,) = [fields for _, _, fields in self.lines if fields.get("request_id") == request_id]
        return fields

    def later(self, ask: Callable[[], httpx.Response]) -> Later:
        """Ask in a thread."""
        return Later(ask)

    def number(self, name: str, /, **labels: str) -> float:
        """What /metrics says of one number; 0 if it is not there. The labels must leave only one."""
        answer = self.client.get("/metrics")
        assert answer.status_code == 200
        samples = (one for family in text_string_to_metric_families(answer.text) for one in family.samples)
        found = [one for one in samples if one.name == name and labels.items() <= one.labels.items()]
        assert len(found) <= 1, found
        return found[0].value if found else 0.0

    def wait_for(self, number: float, name: str, /, **labels: str) -> None:
        """Ask /metrics until it says so."""
        for _ in range(20_000):
            if self.number(name, **labels) == number:
                return
        raise AssertionError(f"{name} never was {number}, but {self.number(name, **labels)}")

    def until(self, comes_true: Callable[[], bool]) -> None:
        """Ask for what is always there until something is so."""
        for _ in range(20_000):
            if comes_true():
                return
            self.client.get("/livez")
        raise AssertionError("it never was so")

    # Bytes

    def connect(self, *, receive: int | None = None) -> socket.socket:
        """A connection; `receive` bytes are what its system takes without being asked."""
        made = socket.socket()
        if receive is not None:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        made.settimeout(PATIENCE)
        made.connect(("127.0.0.1", self.port))
        return made

    def raw(self, *pieces: bytes) -> bytes:
        """Send bytes, and give all that comes until the service hangs up."""
        with self.connect() as connection:
            for piece in pieces:
                connection.sendall(piece)
            return read_all(connection)


class Later:
    """An answer that a thread waits for."""

    def __init__(self, ask: Callable[[], httpx.Response]) -> None:
        self._answer: httpx.Response | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._ask, args=(ask,), daemon=True)
        self._thread.start()

    def _ask(self, ask: Callable[[], httpx.Response]) -> None:
        try:
            self._answer = ask()
        except BaseException as error:  # noqa: BLE001 - `answer` raises it
            self._error = error

    @property
    def answer(self) -> httpx.Response:
        """Wait for it."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        if self._error is not None:
            raise self._error
        assert self._answer is not None
        return self._answer


def read_all(connection: socket.socket) -> bytes:
    """All that comes until the other side hangs up."""
    found = b""
    while True:
        try:
            part = connection.recv(65536)
        except ConnectionResetError:
            return found
        if not part:
            return found
        found += part


def ask_livez(connection: socket.socket) -> None:
    """A first request and its answer. After it, the service does not wait for a head until some of it comes."""
    connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = b""
    while not answer.endswith(b"alive\n"):
        part = connection.recv(65536)
        assert part, answer
        answer += part


def head_of(answer: bytes) -> bytes:
    """The first line of an answer."""
    return answer.partition(b"\r\n")[0]
