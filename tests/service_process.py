"""`birdlite serve` as a process of its own, for tests of how it begins and ends."""

from __future__ import annotations

import os
import re
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from types import TracebackType

import httpx

from tests.origin import PATIENCE


class Process:
    """A service on a free port."""

    def __init__(self, *arguments: str, user: int | None = None, before: str = ":", **variables: str) -> None:
        """`before` is for a shell. `user` is the number of another user that it runs as, which only root may choose."""
        command = [
            "sh",
            "-c",
            f'{before}; exec "$0" "$@"',
            sys.executable,
            "-m",
            "birdlite",
            "serve",
            "--port",
            "0",
            *arguments,
        ]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **variables},
            user=user,
        )
        assert self.process.stderr is not None
        self._stderr = self.process.stderr.fileno()
        self.said = ""

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Read standard error until it says so."""
        while not (found := re.search(pattern, self.said)):
            assert select.select([self._stderr], [], [], PATIENCE)[0], self.said
            part = os.read(self._stderr, 65536)
            assert part, f"it ended: {self.said}"
            self.said += part.decode()
        return found

    def ready(self) -> str:
        """Wait until it is, and give its URL."""
        return self.wait_for(r"ready at (http://\S+:\d+)")[1]

    def connect(self) -> socket.socket:
        """A connection to it, once it is ready."""
        host, port = self.ready().removeprefix("http://").split(":")
        return socket.create_connection((host, int(port)), PATIENCE)

    def insist(self, number: int) -> int:
        """Send a signal until it ends; its exit code. A second one that comes at once counts as the same."""
        until = time.monotonic() + PATIENCE
        while (code := self.process.poll()) is None:
            assert time.monotonic() < until, self.said
            self.process.send_signal(number)
            select.select([self._stderr], [], [], 0.02)
        return code

    def end(self) -> tuple[int, str, str]:
        """Wait for its end; its exit code, and what it wrote."""
        out, err = self.process.communicate(timeout=PATIENCE)
        self.said += err.decode()
        return self.process.returncode, out.decode(), self.said

    def __enter__(self) -> Process:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


Start = Callable[..., Process]
"""Starts a process on the demo's model."""


def post(url: str, data: bytes) -> httpx.Response:
    return httpx.post(f"{url}/v1/classify", content=data, timeout=PATIENCE, trust_env=False)


def connects(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), PATIENCE):
            return True
    except OSError:
        return False
