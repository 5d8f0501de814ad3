"""The server of the machines: files, and a line in a log for each request: when, who asked, and for what.

    python -m scripts.scaleout.server FOLDER LOG PORT

Prints `ready` and serves until it is ended or its standard input is closed.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple, TextIO


class Request(NamedTuple):
    """One line of the log."""

    when: float  # s, monotonic
    client: str
    path: str


class Server(ThreadingHTTPServer):
    """Takes as many connections at once as machines make."""

    request_queue_size = 256  # the base's 5 would lose connections when all machines start at once


class Handler(SimpleHTTPRequestHandler):
    """Notes each request as it comes."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else the last packet of each answer waits for a round trip

    def __init__(self, *arguments: object, log: TextIO, directory: str) -> None:
        self._log = log
        super().__init__(*arguments, directory=directory)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """Note it, then answer."""
        self._log.write(f"{time.monotonic()} {self.client_address[0]} {self.path}\n")
        super().do_GET()

    def log_message(self, format: str, *words: object) -> None:  # noqa: A002 - the base's name
        """Say nothing."""


def requests(log: str) -> list[Request]:
    """What a log tells."""
    return [
        Request(float(when), client, path) for when, client, path in (line.split(" ", 2) for line in log.splitlines())
    ]


def serve(folder: str, log: TextIO, address: tuple[str, int]) -> Server:
    """A server that is bound and not yet at work."""
    return Server(address, partial(Handler, log=log, directory=folder))


def main(folder: str, log: str, port: str) -> None:
    """Serve."""
    threading.Thread(target=_end_with_input, daemon=True).start()
    with open(log, "a", buffering=1, encoding="utf-8") as file:
        server = serve(folder, file, ("0.0.0.0", int(port)))
        print("ready", flush=True)
        server.serve_forever()


def _end_with_input() -> None:
    os.read(0, 1)
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
