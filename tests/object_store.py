"""A real S3 server on this machine, moto's, in a process of its own; and a gate before it that breaks what tests want.

Tests use them through the fixtures `bucket` and `gate`. What is in a bucket is put there and looked at by plain HTTP,
so that nothing here depends on the client under test.
"""

from __future__ import annotations

import http.client
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType, TracebackType
from typing import NamedTuple
from urllib.parse import quote
from xml.etree import ElementTree

from tests.origin import PATIENCE

NOTHING: Mapping[str, str] = MappingProxyType({})
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "somebody", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}
SIGNED = {  # the server looks at who signs, not at the signature
    "Authorization": "AWS4-HMAC-SHA256 Credential=somebody/20260101/us-east-1/s3/aws4_request, SignedHeaders=host,"
    " Signature=0"
}


class ObjectStore:
    """The server's process. Use it in a `with` statement."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        assert self._process.stderr is not None
        said = []
        for line in self._process.stderr:
            said.append(line)
            if found := re.search(r"Running on http://127\.0\.0\.1:(\d+)", line):
                self.port = int(found[1])
                break
        else:
            raise AssertionError("the server does not start: " + "".join(said))
        self._reader = threading.Thread(target=self._process.stderr.read, daemon=True)
        self._reader.start()

    def __enter__(self) -> ObjectStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        assert self._process.stderr is not None
        self._process.stderr.close()


class Bucket:
    """A bucket of a test's own."""

    def __init__(self, port: int, name: str) -> None:
        self._port = port
        self.name = name
        self._ask("PUT", "")

    def url(self, key: str) -> str:
        """The URL as a user writes it."""
        return f"s3://{self.name}/{key}"

    def put(self, key: str, data: bytes, *, encoding: str = "") -> str:
        """Put an object there, with this Content-Encoding, and give its URL."""
        self._ask("PUT", key, data, more={"Content-Encoding": encoding} if encoding else {})
        return self.url(key)

    def get(self, key: str) -> bytes:
        """What an object holds."""
        return self._ask("GET", key)

    def delete(self, key: str) -> None:
        """Take an object away."""
        self._ask("DELETE", key)

    def keys(self) -> list[str]:
        """All keys."""
        document = ElementTree.fromstring(self._ask("GET", "", query="?list-type=2"))
        return [element.text or "" for element in document.iter() if element.tag.endswith("}Key")]

    def uploads(self) -> int:
        """How many uploads in pieces were begun and are not ended."""
        document = ElementTree.fromstring(self._ask("GET", "", query="?uploads="))
        return sum(element.tag.endswith("}Upload") for element in document.iter())

    def _ask(
        self, method: str, key: str, body: bytes | None = None, *, query: str = "", more: Mapping[str, str] = NOTHING
    ) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        try:
            connection.request(method, f"/{self.name}/{quote(key)}{query}", body, {**SIGNED, **more})
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        if not 200 <= answer.status < 300:
            raise KeyError(f"{method} {key}: {answer.status} {data.decode()}")
        return data


class Asked(NamedTuple):
    """One request that came to the gate."""

    method: str
    path: str  # with its query
    range: str | None


Rule = Callable[[Asked], "int | str | None"]
"""What becomes of a request: a status to answer with; `reset`; `hold`; or None to let it through."""


class Gate:
    """An HTTP server before the store, through which everything goes unless `rule` says otherwise."""

    def __init__(self, port: int) -> None:
        self.rule: Rule = lambda asked: None
        self.before: Callable[[Asked], None] = lambda asked: None
        self.asked: list[Asked] = []
        self.store_port = port
        self.closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Keeper)
        self._server.gate = self  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def count(self, method: str, part: str = "") -> int:
        """How many requests there were with this method, and this in their path."""
        return sum(asked.method == method and part in asked.path for asked in self.asked)

    def close(self) -> None:
        """Let go of whoever is held, and end."""
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Keeper(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"  # a connection a request: nothing is left open at the end

    def _pass(self) -> None:
        gate: Gate = self.server.gate  # type: ignore[attr-defined]
        asked = Asked(self.command, self.path, self.headers.get("Range"))
        gate.asked.append(asked)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fate = gate.rule(asked)
        if fate == "hold":
            gate.closing.wait(PATIENCE)
            return
        if fate == "reset":
            self.connection.close()
            return
        if isinstance(fate, int):
            self._answer(fate, [], b"<Error><Code>Broken</Code></Error>")
            return
        gate.before(asked)
        store = http.client.HTTPConnection("127.0.0.1", gate.store_port, timeout=PATIENCE)
        try:
            store.request(self.command, self.path, body, dict(self.headers.items()))
            answer = store.getresponse()
            data = answer.read()
        finally:
            store.close()
        self._answer(answer.status, answer.getheaders(), data)

    def _answer(self, status: int, headers: list[tuple[str, str]], data: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("connection", "transfer-encoding") and (
                name.lower() != "content-length" or self.command == "HEAD"
            ):
                self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else data)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass  # noqa: N815 - the names that the base class calls

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:
            return  # the client has gone, which some tests are about

    def log_message(self, *args: object) -> None:
        """Keep quiet."""
