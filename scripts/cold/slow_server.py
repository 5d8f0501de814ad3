"""A web server that is as far away and as narrow as one chooses: static files over a slow line, without root.

    .venv/bin/python -m scripts.cold.slow_server FOLDER [--round-trip MS] [--bandwidth MBIT_S]

Prints its URL and serves until it is ended. `bench_cold` and `draw_waterfall` start it by `running`, in a process of
its own, so that it takes no time of the clients' interpreter.

- A request is answered one round trip after it came; the first on a connection after two, for the handshake.
- All answers share one line of that bandwidth, in pieces of 16 KiB, in turn; a piece arrives when its last byte would.
- TCP's slow start is left out. It would make every client wait longer, and hide more of what a client does meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import unquote

PIECE = 16 * 1024  # bytes: the shared line turns to the next answer after each


class Line:
    """The line that all answers share."""

    def __init__(self, bytes_per_second: float) -> None:
        """0 is a line without a limit."""
        self._rate = bytes_per_second
        self._turn = asyncio.Lock()  # first come, first served: answers that are under way alternate
        self._free_at = 0.0  # s on the loop's clock

    async def send(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        """Let the pieces of one answer through."""
        for at in range(0, len(data), PIECE):
            piece = data[at : at + PIECE]
            async with self._turn:
                await self._transmit(len(piece))
                writer.write(piece)
            await writer.drain()

    async def _transmit(self, size: int) -> None:
        """Wait as long as that takes. What the timer oversleeps is made good by the next piece."""
        if self._rate:
            now = asyncio.get_running_loop().time()
            if now - self._free_at > PIECE / self._rate:  # the line was idle
                self._free_at = now
            self._free_at += size / self._rate
            await asyncio.sleep(self._free_at - now)


class Site:
    """The files of one folder behind a line."""

    def __init__(self, folder: str, round_trip: float, line: Line) -> None:
        """`round_trip` in s."""
        self._folder = os.path.realpath(folder)
        self._round_trip = round_trip
        self._line = line

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection until it is closed."""
        delay = 2 * self._round_trip
        try:
            while head := await _head(reader):
                await asyncio.sleep(delay)
                request, *headers = head.lower().split(b"\r\n")
                path = head.split()[1].decode("ascii", "replace")
                await self._line.send(self._answer(unquote(path.partition("?")[0])), writer)
                if b"connection: close" in headers or request.endswith(b"http/1.0"):
                    break
                delay = self._round_trip
        except ConnectionError:
            return  # a client that hangs up has what it wanted
        finally:
            writer.close()

    def _answer(self, path: str) -> bytes:
        file = os.path.normpath(self._folder + path)
        if not file.startswith(self._folder + os.sep) or not os.path.isfile(file):
            return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        with open(file, "rb") as opened:
            body = opened.read()
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


async def _head(reader: asyncio.StreamReader) -> bytes:
    """Read one request without a body; nothing at the end of the connection."""
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""


async def serve(folder: str, round_trip_ms: float, megabits: float) -> None:
    """Serve on a free port of the loopback interface, for ever; its URL is the first line printed."""
    site = Site(folder, round_trip_ms / 1e3, Line(megabits * 1e6 / 8))
    server = await asyncio.start_server(site.converse, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


@contextmanager
def running(folder: str, round_trip: float, bandwidth: float) -> Iterator[str]:
    """The URL of a server that runs as long as the body does; in ms and Mbit/s."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    line = ("--round-trip", str(round_trip), "--bandwidth", str(bandwidth))
    command = [sys.executable, "-m", "scripts.cold.slow_server", folder, *line]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def main(argv: Sequence[str] | None = None) -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="FOLDER")
    parser.add_argument("--round-trip", metavar="MS", type=float, default=0.0)
    parser.add_argument("--bandwidth", metavar="MBIT_S", type=float, default=0.0, help="0: no limit")
    values = parser.parse_args(argv)
    try:
        asyncio.run(serve(values.folder, values.round_trip, values.bandwidth))
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
