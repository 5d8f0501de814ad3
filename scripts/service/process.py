"""A `birdlite serve` of this checkout on a free port: its start, its processor time by thread, and its end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from http.client import HTTPConnection
from types import TracebackType
from typing import NamedTuple

LOOK_S = 0.001  # between two looks at what it says
PATIENCE_S = 60.0
COMMAND = os.path.join(os.path.dirname(sys.executable), "birdlite")

_READY = re.compile(rb"ready at http://127\.0\.0\.1:(\d+)")
_TICKS = os.sysconf("SC_CLK_TCK")


class Spent(NamedTuple):
    """Processor time of a process, in s."""

    loop: float  # of the thread that runs the event loop
    others: float

    def since(self, before: Spent) -> Spent:
        """What came to it."""
        return Spent(self.loop - before.loop, self.others - before.others)


class Process:
    """A service, within `with`. It is ready when the body begins."""

    def __init__(self, environment: Mapping[str, str], *options: str, cores: set[int] | None = None) -> None:
        """`options` are those of the command. It runs on `cores` only."""
        self._environment = environment
        self._command = [COMMAND, "serve", "--port", "0", *options]
        self._cores = cores
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed at the end; a pipe would have to be read
        self.port = 0
        self.asked = 0  # by `get`
        self.ready_s = 0.0  # from its start to the first answer that says so

    def __enter__(self) -> Process:
        began = time.perf_counter()
        self.process = subprocess.Popen(self._command, env=self._environment, stderr=self._log)
        if self._cores is not None:
            os.sched_setaffinity(self.process.pid, self._cores)
        try:
            self._wait()
        except BaseException:
            self._kill()
            raise
        self.ready_s = time.perf_counter() - began
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it at once, if it has not ended."""
        self._kill()

    def _kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._log.close()

    def end(self) -> int:
        """End it in good order; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)

    def said(self) -> str:
        """Its log."""
        return os.pread(self._log.fileno(), 1 << 30, 0).decode(errors="replace")

    def _wait(self) -> None:
        """Wait until it is ready."""
        until = time.monotonic() + PATIENCE_S
        while not (found := _READY.search(os.pread(self._log.fileno(), 1 << 16, 0))):
            if self.process.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"the service does not become ready: {self.said()}")
            time.sleep(LOOK_S)
        self.port = int(found[1])
        if self.get("/readyz")[0] != 200:
            raise SystemExit("the service says that it is ready, and /readyz does not")

    def get(self, path: str) -> tuple[int, str]:
        """Ask on a connection of its own; the status and the body."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            self.asked += 1
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def spent(self) -> Spent:
        """Processor time until now. Threads that have ended count as others."""
        main = _seconds(f"/proc/{self.process.pid}/task/{self.process.pid}/stat")
        return Spent(main, _seconds(f"/proc/{self.process.pid}/stat") - main)


def _seconds(path: str) -> float:
    with open(path) as file:
        words = file.read().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / _TICKS
