"""The server of the machines: files, and a line in a log for each request: who asked, when, and for what.

    python -m scripts.scaleout.server FOLDER LOG PORT

Prints `ready` and serves until it is ended.
"""

from __future__ import annotations

import sys
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TextIO


class Handler(SimpleHTTPRequestHandler):
    """Notes each request as it comes."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *arguments: object, log: TextIO, directory: str) -> None:
        self._log = log
        super().__init__(*arguments, directory=directory)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """Note it, then answer."""
        self._log.write(f"{time.monotonic()} {self.client_address[0]} {self.path}\n")
        super().do_GET()

    def log_message(self, format: str, *words: object) -> None:  # noqa: A002 - the base's name
        """Say nothing."""


def main(folder: str, log: str, port: str) -> None:
    """Serve."""
    with open(log, "a", buffering=1, encoding="ascii") as file:
        server = ThreadingHTTPServer(("0.0.0.0", int(port)), partial(Handler, log=file, directory=folder))
        print("ready", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
