"""A server of pictures of which every tenth target goes wrong, in one of many ways. For `scripts.soak`.

What happens to a target depends on its number alone: `fault_of` says which fault it has, and what must become of it.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import socket
import struct
import threading
from asyncio import StreamReader, StreamWriter
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from birdlite.demo import FOLDER, PICTURES_FOLDER
from scripts.picture_kinds import chunk
from tests.wire import head, message

HOST = "birds.invalid"  # asked for through the server as a mirror, so that the list does not depend on its port
EVERY = 10  # one target in so many is faulty
DRIP_S = 0.05  # between two bytes

_REQUEST = re.compile(rb"GET /[^/ ]+/(moved/)?(\d+)\.jpg[ ?]")
_ZEROS = bytes(1 << 16)
_HTML = b"<!doctype html><title>Sorry</title><p>The bird has flown."
_GZIP_BOMB = gzip.compress(bytes(100 << 20))
_HUGE_PNG = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
_HUGE_PNG += chunk(b"IDAT", b"x\x9c\x03\0\0\0\0\1") + chunk(b"IEND", b"")


class Visit:
    """One request for a target, and the means to answer it."""

    def __init__(self, number: int, tries: int, picture: bytes, streams: tuple[StreamReader, StreamWriter]) -> None:
        self.number = number
        self.tries = tries  # from 1
        self.picture = picture
        self._reader, self._writer = streams

    async def send(self, data: bytes) -> None:
        """Send bytes, and wait until the client takes them."""
        self._writer.write(data)
        await self._writer.drain()

    async def good(self) -> None:
        """Send the picture."""
        await self.send(message(200, {"Content-Type": "image/jpeg"}, self.picture))

    async def until_gone(self) -> None:
        """Wait until the client hangs up."""
        while await self._reader.read(1 << 10):
            pass

    def reset(self) -> None:
        """Cut the connection, as a crash does."""
        connection: socket.socket = self._writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()


Answer = Callable[[Visit], Awaitable[None]]


class Fault(NamedTuple):
    """A way to go wrong."""

    name: str
    expected: str  # what becomes of the target: `ok`, or the kind of its failure
    answer: Answer


def _always(make: Callable[[Visit], bytes]) -> Answer:
    async def answer(visit: Visit) -> None:
        await visit.send(make(visit))

    return answer


def _once(make: Callable[[Visit], bytes]) -> Answer:
    async def answer(visit: Visit) -> None:
        await (visit.send(make(visit)) if visit.tries == 1 else visit.good())

    return answer


def _refusal(status: int, **fields: str) -> Callable[[Visit], bytes]:
    said = message(status, {name.replace("_", "-"): value for name, value in fields.items()}, _HTML)
    return lambda _: said


def _body(data: Callable[[bytes], bytes], status: int = 200, **fields: str) -> Callable[[Visit], bytes]:
    """An answer with something made of the picture as its body."""
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    return lambda visit: message(status, named, data(visit.picture))


def _dripping(start: bytes) -> Answer:
    async def answer(visit: Visit) -> None:
        await visit.send(start)
        while True:
            await asyncio.sleep(DRIP_S)
            await visit.send(b"a")

    return answer


async def _endless(visit: Visit) -> None:
    await visit.send(head(200, {"Transfer-Encoding": "chunked"}))
    while True:
        await visit.send(b"%x\r\n%b\r\n" % (len(_ZEROS), _ZEROS))


async def _reset(visit: Visit) -> None:
    visit.reset()


_cut = _body(lambda picture: picture[:-100], Content_Length="99999")
_moved = "/" + HOST + "/moved/{}.jpg"

FAULTS = (
    Fault("404", "http_status", _always(_refusal(404))),
    Fault("410", "http_status", _always(_refusal(410))),
    Fault("403", "http_status", _always(_refusal(403))),
    Fault("401 of an unknown kind", "http_status", _always(_refusal(401, WWW_Authenticate="Odd a=b"))),
    Fault("429 for 1 s, then fine", "ok", _once(_refusal(429, Retry_After="1"))),
    Fault("429 for an hour", "http_status", _always(_refusal(429, Retry_After="3600"))),
    Fault("500", "http_status", _always(_refusal(500))),
    Fault("503, then fine", "ok", _once(_refusal(503))),
    Fault("a body cut off", "network", _always(_cut)),
    Fault("a body cut off, then fine", "ok", _once(_cut)),
    Fault("a head that drips", "timeout", _dripping(b"HTTP/1.1 200 OK\r\nX-Slow: ")),
    Fault("a body that drips", "timeout", _dripping(head(200, {"Content-Length": "99999"}))),
    Fault("nothing until the deadline", "timeout", lambda visit: visit.until_gone()),
    Fault("reset before the head", "network", _reset),
    Fault("a length that is too short", "decode", _always(_body(lambda data: data, Content_Length="9000"))),
    Fault("two lengths", "network", _always(_body(lambda data: data, Content_Length="9000, 9001"))),
    Fault("a length of a terabyte", "too_large", _always(_body(lambda data: data, Content_Length=str(1 << 40)))),
    Fault("chunks without an end", "too_large", _endless),
    Fault("chunks of no number", "network", _always(_body(lambda data: b"zz\r\n" + data, Transfer_Encoding="chunked"))),
    Fault("another protocol", "network", _always(lambda _: b"SSH-2.0-OpenSSH_9.2\r\n\r\n")),
    Fault(
        "a part of the picture", "http_status", _always(_body(lambda data: data, 206, Content_Range="bytes 9-90/99"))
    ),
    Fault("a redirect that works", "ok", _always(lambda visit: _redirect(_moved.format(visit.number)))),
    Fault("a redirect to itself", "http_status", _always(lambda visit: _redirect(f"/{HOST}/{visit.number:07}.jpg"))),
    Fault("a redirect to a file", "unsupported", _always(lambda _: _redirect("file:///etc/passwd"))),
    Fault("a gzip bomb", "too_large", _always(_body(lambda _: _GZIP_BOMB, Content_Encoding="gzip"))),
    Fault("an unknown compression", "unsupported", _always(_body(lambda data: data[::-1], Content_Encoding="br"))),
    Fault("a page", "not_an_image", _always(_body(lambda _: _HTML, Content_Type="image/jpeg"))),
    Fault("JSON", "not_an_image", _always(_body(lambda _: json.dumps({"error": "no bird"}).encode()))),
    Fault("an empty body", "not_an_image", _always(_body(lambda _: b""))),
    Fault("half a picture", "decode", _always(_body(lambda data: data[: len(data) // 2]))),
    Fault("a decompression bomb", "too_large", _always(_body(lambda _: _HUGE_PNG))),
    Fault("a picture that is called a page", "ok", _always(_body(lambda data: data, Content_Type="text/html"))),
    Fault("bytes behind the picture", "ok", _always(_body(lambda data: data + _ZEROS))),
)


def _redirect(to: str) -> bytes:
    return message(302, {"Location": to}, b"")


def fault_of(number: int) -> Fault | None:
    """The fault of a target; None for a good one."""
    turn, place = divmod(number, EVERY)
    return FAULTS[turn % len(FAULTS)] if place == turn % EVERY else None


def demo_pictures() -> list[tuple[str, bytes]]:
    """The pictures that targets show in turn: the scientific name of the bird, and the file."""
    lines = Path(FOLDER, "names.txt").read_text().splitlines()
    names = {
        common.rstrip(")").lower().replace(" ", "-"): name for name, _, common in (li.partition(" (") for li in lines)
    }
    return [(names[path.stem], path.read_bytes()) for path in sorted(Path(PICTURES_FOLDER).iterdir())]


class HostileServer:
    """Serves targets at a bounded rate, in a thread, within `with`."""

    def __init__(self, pictures: Sequence[bytes], rate: float) -> None:
        """`rate` is how many targets a second are answered at most; further tries of one do not count."""
        self._pictures = pictures
        self._pause = 1 / rate
        self._due = 0.0  # when the next target is answered, on the loop's clock
        self._tries = Counter[int]()  # of faulty targets
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="hostile")
        self.port = 0

    def __enter__(self) -> HostileServer:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *exception: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    @property
    def mirror(self) -> str:
        """What to give as `--mirror`."""
        return f"http://127.0.0.1:{self.port}"

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._attend, "127.0.0.1", 0, backlog=512)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()  # the end of the loop cancels what is under way

    async def _attend(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Answer requests on a connection until one is faulty, or the client hangs up."""
        try:
            while request := _REQUEST.match(await reader.readuntil(b"\r\n\r\n")):
                if not await self._answer(bool(request[1]), int(request[2]), (reader, writer)):
                    break
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client has gone, or the server is closed
        finally:
            writer.close()

    async def _answer(self, moved: bool, number: int, streams: tuple[StreamReader, StreamWriter]) -> bool:
        """Answer one request; whether the connection stays."""
        fault = None if moved else fault_of(number)
        tries = 1
        if fault is not None:
            self._tries[number] += 1
            tries = self._tries[number]
        if tries == 1 and not moved:
            await self._turn()
        visit = Visit(number, tries, self._pictures[number % len(self._pictures)], streams)
        await (visit.good() if fault is None else fault.answer(visit))
        return fault is None

    async def _turn(self) -> None:
        now = self._loop.time()
        self._due = max(now, self._due + self._pause)
        await asyncio.sleep(self._due - now)
