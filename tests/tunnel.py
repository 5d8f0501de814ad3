"""A proxy that connects its clients to one server, whatever host they name: CONNECT, with TLS or without."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from types import TracebackType


class Tunnel:
    """The proxy, within `with`. It takes note of who asked for what."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None, *, status: str = "200 Go ahead") -> None:
        """Lead to a port of this machine; with a server's TLS context, clients speak TLS to the proxy itself."""
        self._target = ("127.0.0.1", port)
        self._tls = tls
        self._status = status
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, name="tunnel")]
        self.asked: list[tuple[str, str | None]] = []  # host and port, Proxy-Authorization

    @property
    def base(self) -> str:
        """The proxy's URL."""
        return f"{'http' if self._tls is None else 'https'}://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Tunnel:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join()
        for connection in (*self._open, self._listener):
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(client)
            self._serve(client)

    def _serve(self, client: socket.socket) -> None:
        if self._tls is not None:
            client = self._tls.wrap_socket(client, server_side=True)
            self._open.append(client)
        lines = self._head(client).decode().split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines[1:] if line)
        self.asked.append((lines[0].split()[1], fields.get("Proxy-Authorization")))
        client.sendall(f"HTTP/1.1 {self._status}\r\n\r\n".encode())
        if self._status.startswith("2"):
            server = socket.create_connection(self._target)
            self._open.append(server)
            for ends in ((client, server), (server, client)):
                self._threads.append(threading.Thread(target=_carry, args=ends, name="tunnel"))
                self._threads[-1].start()

    def _head(self, client: socket.socket) -> bytes:
        data = b""
        while not data.endswith(b"\r\n\r\n"):
            data += client.recv(1)
        return data


def _carry(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
