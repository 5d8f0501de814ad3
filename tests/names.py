"""A name service and an Internet of a test's own: what names resolve to, and a server behind every public address.

`hosts` of the tests of the guard is one. A name's answers come look-up by look-up; the last one stays. Addresses are
read as the system reads them, so every spelling is tried for real. Connections really are made, to the test's server,
and noted with the address that birdlite asked for.
"""

from __future__ import annotations

import socket
from typing import Any

import pytest

PUBLIC = "93.184.215.14"  # of public.example
LOCAL_NAMES = ("localhost", "a.localhost", "localhost.localdomain", "private.example")  # of 127.0.0.1

_getaddrinfo, _connect = socket.getaddrinfo, socket.socket.connect


class Hosts:
    """Names and what they resolve to."""

    def __init__(self, patch: pytest.MonkeyPatch, port: int) -> None:
        """Put this in the place of the system's functions; `port` is the server's, on 127.0.0.1."""
        self._port = port
        self._answers = {"public.example": [[PUBLIC]], **{name: [["127.0.0.1"]] for name in LOCAL_NAMES}}
        self.asked: list[str] = []  # names that were looked up
        self.connected: list[str] = []  # addresses that were connected to
        self.own_ports: set[int] = set()  # where the test itself connects to, which is not noted
        patch.setattr(socket, "getaddrinfo", self._look_up)
        patch.setattr(socket.socket, "connect", lambda made, place: self._to_the_server(made, place))

    def name(self, host: str, *answers: list[str]) -> None:
        """Let a name resolve to each of `answers` in turn."""
        self._answers[host] = list(answers)

    def _look_up(self, host: bytes | str, port: int, *others: Any, **more: Any) -> Any:
        text = host if isinstance(host, str) else host.decode()
        try:
            return _getaddrinfo(text, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        except socket.gaierror:
            self.asked.append(text)
        answers = self._answers.get(text.removesuffix("."))
        if answers is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        families = [socket.AF_INET6 if ":" in address else socket.AF_INET for address in found]
        return [(family, socket.SOCK_STREAM, 6, "", (one, port)) for family, one in zip(families, found, strict=True)]

    def _to_the_server(self, connecting: socket.socket, place: Any) -> None:
        if place[1] in self.own_ports:
            _connect(connecting, place)
            return
        self.connected.append(place[0])
        here = "::ffff:127.0.0.1" if connecting.family == socket.AF_INET6 else "127.0.0.1"
        _connect(connecting, (here, self._port))
