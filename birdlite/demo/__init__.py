"""A small world without a network: a model of invented birds, pictures of them, and a server for both on this machine.

`birdlite demo` and many tests use it. This folder is the model folder of the catalogue's `birdlite-demo`; the
server gives them out as a mirror of https://demo.birdlite.invalid, so that they go through the very code that fetches
real ones.
"""

from __future__ import annotations

import os
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

HOST = "demo.birdlite.invalid"  # RFC 2606 keeps .invalid from ever being a real host
FOLDER = os.path.dirname(os.path.abspath(__file__))
PICTURES_FOLDER = os.path.join(FOLDER, "pictures")


def picture_urls() -> list[str]:
    """The demo's pictures, as they would be on the Internet."""
    return [f"https://{HOST}/pictures/{name}" for name in sorted(os.listdir(PICTURES_FOLDER))]


class DemoServer:
    """Serves this folder as a mirror, on a free port of the loopback interface, within `with`."""

    def __enter__(self) -> DemoServer:
        self._server = _Server(("127.0.0.1", 0), _Mirror)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def mirror(self) -> str:
        """What to give as `--mirror`."""
        return f"http://127.0.0.1:{self._server.server_port}"


class _Server(ThreadingHTTPServer):
    """Ignores clients that hang up: an interrupted demo does."""

    def handle_error(self, request: object, client_address: object) -> None:
        """Print no traceback; the demo itself reports a picture that does not arrive."""


class _Mirror(SimpleHTTPRequestHandler):
    """Static files of `FOLDER` under /HOST/, quietly."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *arguments: object, **keywords: object) -> None:
        super().__init__(*arguments, directory=FOLDER, **keywords)  # type: ignore[arg-type]

    def translate_path(self, path: str) -> str:
        prefix = f"/{HOST}/"
        return super().translate_path(path.removeprefix(prefix[:-1]) if path.startswith(prefix) else "/nothing-here")

    def log_message(self, *arguments: object) -> None:
        """Say nothing: standard error belongs to the demo."""
