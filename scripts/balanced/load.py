"""An open-loop load on an HTTP service: requests are sent when they are due, whatever became of the earlier ones.

    python -m scripts.balanced.load URL < PLAN > REPORT

PLAN and REPORT are JSON of `Plan` and `Report`. `bench_serve` runs this as a process of its own.

A request's time counts from when it was due, so a service that stalls is charged with all who had to wait for it. At
most `connections` are open; who is due and finds none free waits, and its time runs. Each request has exactly one
outcome: its status, with the kind that a problem document has (`503 overload`), or the words for what happened instead.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlsplit

OK, SHED = "200", "503 overload"


class Phase(NamedTuple):
    """A time in which the rate of requests rises or falls steadily, or stays."""

    seconds: float
    first: float  # requests a second, at its beginning
    last: float


class Plan(NamedTuple):
    """What to send, and when."""

    phases: list[Phase]
    files: list[str]  # pictures to send
    urls: list[str]  # of pictures to name. Each request takes one of files and URLs by chance
    connections: int = 256
    patience: float = 60.0  # s until a request is given up; more than the service may take
    seed: int = 1
    regular: bool = False  # evenly spaced; else as many clients that know nothing of each other send


class Answer(NamedTuple):
    """What became of one request."""

    due: float  # s from the beginning
    took: float  # s since then
    outcome: str


class Report(NamedTuple):
    """What became of all."""

    began: float  # s on the monotonic clock
    seconds: float  # until the last answer
    cpu: float  # s of a processor that the load itself took
    late: float  # s: one request in a hundred was sent later than so much after it was due
    connections: int  # that were opened
    answers: list[Answer]


def main(url: str) -> None:
    """Read, send, write."""
    plan = plan_of(json.load(sys.stdin))
    json.dump(asyncio.run(fire(url, plan)), sys.stdout)


def plan_of(values: list[object]) -> Plan:
    """A plan that has been JSON."""
    phases, *rest = values
    return Plan([Phase(*phase) for phase in phases], *rest)  # type: ignore[attr-defined, arg-type]


def report_of(values: list[object]) -> Report:
    """A report that has been JSON."""
    *rest, answers = values
    return Report(*rest, [Answer(*answer) for answer in answers])  # type: ignore[attr-defined, arg-type, call-arg]


async def fire(url: str, plan: Plan) -> Report:
    """Send all requests of a plan to the service at `url`."""
    where = urlsplit(url)
    crowd = _Crowd(where.hostname or "", where.port or 80, plan)
    began, cpu = time.monotonic(), time.process_time()
    answers = await crowd.fire(began)
    late = sorted(crowd.late)[len(crowd.late) * 99 // 100] if crowd.late else 0.0
    return Report(began, time.monotonic() - began, time.process_time() - cpu, late, crowd.opened, answers)


def requests(files: Sequence[str], urls: Sequence[str], host: str) -> list[bytes]:
    """The requests, whole."""
    sent = [_upload(Path(file).read_bytes(), host) for file in files]
    return sent + [
        f"GET /v1/classify?url={quote(url, safe='')} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode() for url in urls
    ]


def _upload(data: bytes, host: str) -> bytes:
    head = (
        f"POST /v1/classify HTTP/1.1\r\nHost: {host}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


def times(phases: Sequence[Phase], steps: Iterator[float]) -> Iterator[float]:
    """When requests are due, in s. `steps` lie between them, in requests: 1 each, or 1 on the average."""
    begin, wanted, count = 0.0, next(steps), 0.0  # requests until the next one, and those of earlier phases
    for seconds, first, last in phases:
        whole = (first + last) / 2 * seconds
        while wanted <= count + whole:
            part = wanted - count
            slope = (last - first) / seconds
            yield begin + 2 * part / (first + (first * first + 2 * slope * part) ** 0.5)
            wanted += next(steps)
        begin += seconds
        count += whole


def steps(seed: int, *, regular: bool) -> Iterator[float]:
    """How far apart requests are, in requests."""
    chance = random.Random(seed)
    while True:
        yield 1.0 if regular else chance.expovariate(1.0)


def outcomes(answers: Sequence[Answer]) -> Counter[str]:
    """How many had which outcome."""
    return Counter(answer.outcome for answer in answers)


class _Crowd:
    """All connections, and the requests that wait for one."""

    def __init__(self, host: str, port: int, plan: Plan) -> None:
        self._address = host, port
        self._plan = plan
        self._requests = requests(plan.files, plan.urls, f"{host}:{port}")
        self._due = list(times(plan.phases, steps(plan.seed, regular=plan.regular)))
        self._order = random.Random(plan.seed).choices(self._requests, k=len(self._due))
        self._answers: list[Answer | None] = [None] * len(self._due)
        self._left = len(self._due)
        self._over = asyncio.Event()
        self._idle: list[_Connection] = []
        self._waiting: deque[int] = deque()
        self._opening: set[asyncio.Task[None]] = set()
        self._open = 0
        self.opened = 0
        self.late: list[float] = []  # s, for each request that was sent

    async def fire(self, began: float) -> list[Answer]:
        """Send what is due, until all is answered or given up."""
        self._began = began
        loop = asyncio.get_running_loop()
        for number, due in enumerate(self._due):
            wait = began + due - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            loop.call_at(
                loop.time() + self._plan.patience, self.note, number, f"no answer in {self._plan.patience:g} s"
            )
            self._send(number)
        if self._left:
            await self._over.wait()
        for connection in self._idle:
            connection.transport.close()
        return [answer for answer in self._answers if answer is not None]

    def note(self, number: int, outcome: str) -> None:
        """What became of a request. The first word counts."""
        if self._answers[number] is None:
            due = self._due[number]
            self._answers[number] = Answer(due, time.monotonic() - self._began - due, outcome)
            self._left -= 1
            if not self._left:
                self._over.set()

    def free(self, connection: _Connection) -> None:
        """It can take a request."""
        while self._waiting:
            number = self._waiting.popleft()
            if self._answers[number] is None:
                self._give(connection, number)
                return
        self._idle.append(connection)

    def lost(self, connection: _Connection) -> None:
        """It is closed."""
        self._open -= 1
        if connection in self._idle:
            self._idle.remove(connection)
        if self._waiting:
            self._more()

    def _send(self, number: int) -> None:
        if self._idle:
            self._give(self._idle.pop(), number)
            return
        self._waiting.append(number)
        if self._open < self._plan.connections:
            self._more()

    def _give(self, connection: _Connection, number: int) -> None:
        self.late.append(time.monotonic() - self._began - self._due[number])
        connection.send(number, self._order[number])

    def _more(self) -> None:
        self._open += 1
        self.opened += 1
        task = asyncio.ensure_future(self._connect())
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _connect(self) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: _Connection(self), *self._address)
        except OSError as error:
            self._open -= 1
            if self._waiting:
                self.note(self._waiting.popleft(), f"no connection: {error.strerror or error}")


class _Connection(asyncio.Protocol):
    """A connection that is kept, with one request at a time."""

    def __init__(self, crowd: _Crowd) -> None:
        self._crowd = crowd
        self._number: int | None = None  # of the request that is under way
        self._got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is there."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._crowd.free(self)

    def send(self, number: int, request: bytes) -> None:
        """Send a request."""
        self._number, self._got = number, b""
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Take a part of an answer."""
        self._got += data
        head, found, body = self._got.partition(b"\r\n\r\n")
        if not found or self._number is None:
            return
        lines = head.lower().split(b"\r\n")
        lengths = [int(line[15:]) for line in lines if line.startswith(b"content-length:")]
        if lengths and len(body) >= lengths[0]:
            number, self._number = self._number, None
            self._crowd.note(number, _outcome(head, body))
            if b"connection: close" in lines:
                self.transport.close()
            else:
                self._crowd.free(self)

    def connection_lost(self, error: Exception | None) -> None:
        """It has ended."""
        if self._number is not None:
            self._crowd.note(self._number, f"no answer: {error or 'the connection was closed'}")
        self._crowd.lost(self)


def _outcome(head: bytes, body: bytes) -> str:
    status = head[9:12].decode("latin-1")
    if status == OK:
        return OK
    try:
        return f"{status} {json.loads(body)['kind']}"
    except (ValueError, KeyError, TypeError):
        return f"{status} of the balancer"


if __name__ == "__main__":
    main(*sys.argv[1:])
