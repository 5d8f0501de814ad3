"""A folder in Google or Azure storage with all its keys, also those that obstore refuses. `listing` needs it.

One such key (`//`, `..`, control characters) makes obstore refuse the whole listing. Then obstore asks a `Relay`: a
server of this process, on the loopback address. It passes each question on to the store, with the headers that obstore
made for it, and in the answer it gives those keys another name. So rights, pages and signatures stay obstore's.

S3 signs the host too, so it is asked in another way (`s3_listing`).
"""

from __future__ import annotations

import os
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote
from xml.sax.saxutils import unescape

from birdlite.errors import StorageError
from birdlite.settings import FetchSettings
from birdlite.storage import Place, is_odd
from birdlite.storage.s3_listing import read_url

_NAME = re.compile(rb'<(Key|Name|Prefix)( Encoded="true")?>([^<]+)</')
_REFERENCE = re.compile(r"&#(?:x([0-9A-Fa-f]{1,5})|([0-9]{1,6}));")
_NOT_PASSED_ON = frozenset(("host", "connection", "accept-encoding", "content-length"))
_POLL_S = 0.05


class Relay:
    """Passes questions on to `base`, the address of a store without a path. Close it."""

    def __init__(self, base: str, place: Place, settings: FetchSettings) -> None:
        self._base = base
        self._place = place
        self._settings = settings
        self._names = f"birdlite-{os.urandom(8).hex()}-"
        self._keys: list[str] = []
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.relay = self
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.store: Any = None  # obstore's, which asks here
        threading.Thread(target=self._server.serve_forever, args=(_POLL_S,), name="birdlite-relay", daemon=True).start()

    def key(self, name: str) -> tuple[str, bool]:
        """The key that obstore calls `name`, and whether it is one that obstore refuses."""
        number = name.removeprefix(self._names)
        return (name, False) if number == name else (self._keys[int(number)], True)

    def answer(self, path: str, headers: dict[str, str]) -> tuple[int, bytes]:
        """Ask the store, and rename the keys that obstore would refuse. Called in threads of the server."""
        if not path.startswith("/"):
            return 400, b""  # it would change the host
        try:
            status, body = read_url(self._base + path, self._settings, headers)
        except (OSError, StorageError):
            return 502, b""
        return status, _NAME.sub(self._renamed, body) if status == 200 else body

    def close(self) -> None:
        """End the server."""
        self._server.shutdown()
        self._server.server_close()

    def _renamed(self, match: re.Match[bytes]) -> bytes:
        tag, encoded, text = match.groups()
        key = _text(text.decode(errors="replace"))
        if encoded:  # Azure's way to write what XML cannot hold
            key = unquote(key)
        if not is_odd(f"{self._place.root}/{key}"):
            return match[0]
        self._keys.append(key)  # pages come one after the other
        return b"<%b>%b%d</" % (tag, self._names.encode(), len(self._keys) - 1)


class _Server(ThreadingHTTPServer):
    relay: Relay

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: obstore gets no answer, and says so."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _NOT_PASSED_ON}
        status, body = self.server.relay.answer(self.path, headers)
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        """Say nothing."""


def _text(escaped: str) -> str:
    """A text of XML. ElementTree refuses references to control characters, which stores send."""
    plain = _REFERENCE.sub(lambda match: chr(int(match[1], 16) if match[1] else int(match[2])), escaped)
    return unescape(plain, {"&quot;": '"', "&apos;": "'"})
