"""A real HTTP/1.1 server on this machine that does what a test tells it, misbehaviour included.

Tests use it through the fixture `origin`. It listens on a free port of 127.0.0.1, keeps connections alive, answers each
on a thread of its own, and counts: requests, connections, and how many were under way at once. What a path answers is a
function of an `Exchange`; the methods of `Origin` that begin with a verb put such functions there.

Nothing here sleeps. What is slow waits for an event: one that the test sets, or the end of the test, which sets all.
A request counts as under way from its arrival to the moment before the last byte of its answer is sent, so that a
client that asks again at once is never counted twice.
"""

from __future__ import annotations

import os
import ssl
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from urllib.parse import unquote

from tests.wire import Exchange, Seen, Server, head, message

__all__ = ["PATIENCE", "Exchange", "Origin", "Seen", "head", "message"]

PATIENCE = 60.0  # s that a test waits for something to happen before it has failed, on a machine that is very busy
ENDLESS_CHUNK = b"\0" * 65536  # zeros: a body that has no end, 64 KiB at a time
ENDLESS_LIMIT = 512 * 1024 * 1024  # bytes after which even that ends: its client has long since failed the test

Answer = Callable[[Exchange], None]


class Origin:
    """The server. Use it in a `with` statement, or close it."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        """Start it; with a server's TLS context it speaks https."""
        self.lock = threading.Condition()
        self._answers: dict[str, Answer] = {}
        self._folders: dict[str, Path] = {}
        self._failures: dict[str, list[tuple[int, Mapping[str, str]]]] = {}
        self._events: list[threading.Event] = []
        self._log: list[tuple[str, int]] = []  # (path, +1 at arrival, -1 at departure)
        self._closing = threading.Event()
        self.requests: list[Seen] = []
        self._scheme = "http" if tls is None else "https"
        self._server = Server(self, tls)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), name="origin", daemon=True)
        self._thread.start()

    # Addresses

    @property
    def port(self) -> int:
        """The TCP port on 127.0.0.1."""
        return self._server.server_port

    @property
    def base(self) -> str:
        """The server's URL, without a slash at the end: a mirror's BASE."""
        return f"{self._scheme}://127.0.0.1:{self.port}"

    def url(self, path: str) -> str:
        """The URL of a path, which begins with a slash."""
        return self.base + path

    # Good answers

    def serve(
        self,
        path: str,
        body: bytes,
        *,
        content_type: str = "application/octet-stream",
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> str:
        """Answer `path` so, and return its URL."""
        head = {"Content-Type": content_type, **(headers or {})}
        return self.answer(path, lambda exchange: exchange.finish(message(status, head, body)))

    def serve_folder(self, prefix: str, folder: Path) -> str:
        """Answer every path below `prefix` with the file of that name in `folder`, escapes decoded; 404 without one."""
        prefix = "/" + prefix.strip("/")
        with self.lock:
            self._folders[prefix] = folder
        return self.url(prefix).rstrip("/")

    def redirect(self, path: str, to: str, *, status: int = 302) -> str:
        """Send whoever asks for `path` to the Location `to`, which is not looked at."""
        return self.serve(path, b"over there", status=status, headers={"Location": to})

    # Bad answers

    def fail(self, path: str, statuses: Iterable[int], *, headers: Mapping[str, str] | None = None) -> str:
        """Answer the next requests for `path` with these statuses, one each; then as before."""
        with self.lock:
            self._failures.setdefault(path, []).extend((status, headers or {}) for status in statuses)
        return self.url(path)

    def hold(self, path: str, body: bytes = b"") -> threading.Event:
        """Answer `path` with nothing at all until the event is set; then with `body`."""
        release = self._event()

        def answer(exchange: Exchange) -> None:
            exchange.wait(release)
            exchange.finish(message(200, {}, body))

        self.answer(path, answer)
        return release

    def stall(self, path: str, body: bytes, sent: int) -> threading.Event:
        """Send the head and the first `sent` bytes of `body`, and the rest when the event is set."""
        release = self._event()

        def answer(exchange: Exchange) -> None:
            exchange.send(head(200, {"Content-Length": str(len(body))}) + body[:sent])
            exchange.wait(release)
            exchange.finish(body[sent:])

        self.answer(path, answer)
        return release

    def drip(self, path: str, start: bytes, byte: bytes, *, every: float = 0.01) -> str:
        """Send `start`, then one `byte` every `every` s until the test is over or the client has gone.

        When `start` is a whole `head`, the body drips; when it is the beginning of one, the headers do.
        """

        def answer(exchange: Exchange) -> None:
            exchange.send(start)
            while not self._closing.wait(every):
                exchange.send(byte)
            exchange.hang_up()

        return self.answer(path, answer)

    def truncate(self, path: str, body: bytes, *, claimed: int) -> str:
        """Claim a longer body than there is, and hang up after it."""
        return self.send_raw(path, head(200, {"Content-Length": str(claimed)}) + body)

    def endless(self, path: str, *, chunked: bool = False) -> str:
        """Send zeros for as long as anybody takes them; with a chunked head, or with none that says how many."""
        length = {"Transfer-Encoding": "chunked"} if chunked else {"Connection": "close"}
        chunk = b"%x\r\n%b\r\n" % (len(ENDLESS_CHUNK), ENDLESS_CHUNK) if chunked else ENDLESS_CHUNK

        def answer(exchange: Exchange) -> None:
            exchange.send(head(200, length))
            for _ in range(ENDLESS_LIMIT // len(ENDLESS_CHUNK)):
                exchange.send(chunk)
            exchange.hang_up()

        return self.answer(path, answer)

    def reset(self, path: str, before: bytes = b"") -> str:
        """Send `before`, then cut the connection."""

        def answer(exchange: Exchange) -> None:
            exchange.send(before)
            exchange.reset()

        return self.answer(path, answer)

    def send_raw(self, path: str, data: bytes, *, keep: bool = False) -> str:
        """Send these bytes, whatever they are, and hang up unless told to `keep` the connection."""

        def answer(exchange: Exchange) -> None:
            if not keep:
                exchange.hang_up()
            exchange.finish(data)

        return self.answer(path, answer)

    def answer(self, path: str, answer: Answer) -> str:
        """Answer `path` with a function of the test's own."""
        with self.lock:
            self._answers[path] = answer
        return self.url(path)

    # What was asked

    def hits(self, path: str) -> int:
        """How many requests there were for `path`, whatever their queries."""
        with self.lock:
            return sum(path in (seen.path, _bare(seen.path)) for seen in self.requests)

    def connections(self) -> int:
        """How many connections were opened so far."""
        with self.lock:
            return self._server.opened

    def peak(self, prefix: str = "/") -> int:
        """The most requests that were under way at once, of those whose path begins with `prefix`."""
        with self.lock:
            return max(self._levels(prefix), default=0)

    def under_way(self, prefix: str = "/") -> int:
        """How many of them are under way now."""
        with self.lock:
            return (self._levels(prefix) or [0])[-1]

    def wait_for(self, requests: int, prefix: str = "/") -> None:
        """Wait until so many requests are under way at once."""
        with self.lock:
            arrived = self.lock.wait_for(lambda: (self._levels(prefix) or [0])[-1] >= requests, PATIENCE)
        assert arrived, f"{requests} requests never were under way at once"

    def wait_for_hang_up(self, connections: int = 0) -> None:
        """Wait until the client has closed all its connections but so many."""
        with self.lock:
            gone = self.lock.wait_for(lambda: len(self._server.open) <= connections, PATIENCE)
        assert gone, f"{len(self._server.open)} connections are still open"

    # Life

    def close(self) -> None:
        """Release everything that waits, cut every connection and join every thread."""
        self._closing.set()
        for event in self._events:
            event.set()
        self._server.shutdown()
        self._server.cut()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Origin:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # What the wire asks

    def wait(self, event: threading.Event) -> None:
        """Wait for an event, or for the end of the test."""
        while not event.wait(0.05) and not self._closing.is_set():
            pass

    def arrive(self, seen: Seen) -> None:
        """Take note of a request."""
        with self.lock:
            self.requests.append(seen)
            self._log.append((seen.path, 1))
            self.lock.notify_all()

    def depart(self, path: str) -> None:
        """Take note that it is answered."""
        with self.lock:
            self._log.append((path, -1))
            self.lock.notify_all()

    def answer_for(self, path: str) -> Answer:
        """Find what to do about a request: a failure that is due, an answer, a file, or 404."""
        bare = _bare(path)
        with self.lock:
            failures = self._failures.get(bare)
            if failures:
                status, headers = failures.pop(0)
                return lambda exchange: exchange.finish(message(status, headers, b"no"))
            found = self._answers.get(path) or self._answers.get(bare)
            folders = dict(self._folders)
        if found is not None:
            return found
        for prefix, folder in folders.items():
            rest = bare.removeprefix(prefix)
            if bare.startswith(prefix) and (rest.startswith("/") or prefix == "/"):
                return lambda exchange: exchange.finish(_file(folder, unquote(rest)))
        return lambda exchange: exchange.finish(message(404, {"Content-Type": "text/html"}, b"<h1>Not here</h1>"))

    def _levels(self, prefix: str) -> list[int]:
        level, levels = 0, []
        for path, change in self._log:
            if path.startswith(prefix):
                level += change
                levels.append(level)
        return levels

    def _event(self) -> threading.Event:
        event = threading.Event()
        self._events.append(event)
        return event


def _bare(path: str) -> str:
    return path.partition("?")[0]


def _file(folder: Path, name: str) -> bytes:
    path = Path(os.path.normpath(f"{folder}/{name}"))
    if not path.is_relative_to(folder) or not path.is_file():
        return message(404, {}, b"no such file")
    return message(200, {"Content-Type": "application/octet-stream"}, path.read_bytes())
