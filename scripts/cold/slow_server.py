"""A web server that is as far away and as narrow as one chooses: static files over a slow line, without root.

    .venv/bin/python -m scripts.cold.slow_server FOLDER [--round-trip MS] [--bandwidth MBIT_S] [--certificate FILE]

Prints its URL and serves until it is ended. `bench_cold` and `draw_waterfall` start it by `running`, in a process of
its own, so that it takes no time from the clients' interpreter.

- A request is answered one round trip after it came. The first on a connection waits until the handshakes would be
  over: one round trip after the connection for TCP, and with TLS another after the client's first message. What a
  client does meanwhile, such as importing ssl or httpx, costs it nothing, as on a real line.
- All answers share one line of that bandwidth, in pieces of 16 KiB, in turn; a piece arrives when its last byte would.
- TCP's slow start is left out. It would make every client wait longer, and hide more of what a client does meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import ssl
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

    def __init__(self, folder: str, round_trip: float, line: Line, tls: ssl.SSLContext | None = None) -> None:
        """`round_trip` in s."""
        self._folder = os.path.realpath(folder)
        self._round_trip = round_trip
        self._line = line
        self._tls = tls
        self._under_way: set[asyncio.Task[None]] = set()  # the loop itself holds tasks by weak references only

    async def accept(self, listener: socket.socket) -> None:
        """Accept connections for ever."""
        loop = asyncio.get_running_loop()
        while True:
            connection, _ = await loop.sock_accept(listener)
            task = loop.create_task(self._welcome(connection, loop.time()))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _welcome(self, connection: socket.socket, connected_at: float) -> None:
        """Find out when the handshakes of a connection would be over, then answer its requests."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        try:
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, connection, ssl=self._tls)
        except OSError:  # a client that does not trust the certificate, or has gone
            return
        ready = connected_at + self._round_trip
        if self._tls is not None:
            ready = max(ready, loop.time()) + self._round_trip
        await self._converse(reader, asyncio.StreamWriter(transport, protocol, reader, loop), ready)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ready: float) -> None:
        """Answer the requests of one connection, which come no earlier than `ready`, until it is closed."""
        loop = asyncio.get_running_loop()
        try:
            while head := await _head(reader):
                await asyncio.sleep(max(0.0, ready - loop.time()) + self._round_trip)
                request, *headers = head.lower().split(b"\r\n")
                path = head.split()[1].decode("ascii", "replace")
                await self._line.send(self._answer(unquote(path.partition("?")[0])), writer)
                if b"connection: close" in headers or request.endswith(b"http/1.0"):
                    break
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


async def serve(folder: str, round_trip_ms: float, megabits: float, certificate: str | None = None) -> None:
    """Serve on a free port of the loopback interface, for ever; its URL is the first line printed."""
    tls = None
    if certificate is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
    site = Site(folder, round_trip_ms / 1e3, Line(megabits * 1e6 / 8), tls)
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        listener.setblocking(False)
        print(f"{'http' if tls is None else 'https'}://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        await site.accept(listener)


@contextmanager
def running(folder: str, round_trip: float, bandwidth: float, certificate: str | None = None) -> Iterator[str]:
    """The URL of a server that runs as long as the body does; in ms and Mbit/s.

    With `certificate`, a file that holds a certificate and its key, it speaks https.
    """
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    line = ["--round-trip", str(round_trip), "--bandwidth", str(bandwidth)]
    if certificate is not None:
        line += ["--certificate", certificate]
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
    parser.add_argument("--certificate", metavar="FILE", help="a certificate and its key: serve https")
    values = parser.parse_args(argv)
    try:
        asyncio.run(serve(values.folder, values.round_trip, values.bandwidth, values.certificate))
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
