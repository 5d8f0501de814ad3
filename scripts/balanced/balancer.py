"""A real balancer, haproxy, in front of services: each that says it is ready gets requests, the least busy one first.

    with balancer(folder, {"one": "10.77.1.2:8000"}, 8080) as running:
        running.wait_until_up(["one"])

It asks each service for /readyz twice a second. A request that a service could not be reached for, did not answer or
refused with 503 is given to another one, once: to classify a picture twice does no harm. For that, haproxy must hold
the request, so `tune.bufsize` is larger than any of them. With one service there is no other one, and no retry.
"""

from __future__ import annotations

import csv
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from scripts.scaleout.helper_processes import Helper

PATIENCE = 60.0  # s for a service to start
BUFFER = 512 << 10  # bytes

CONFIGURATION = """\
global
    nbthread 1
    maxconn 2000
    tune.bufsize {buffer}
    stats socket {socket} mode 600 level admin

defaults
    mode http
    timeout connect 1s
    timeout client 70s
    timeout server 70s
    timeout http-keep-alive 70s

listen birdlite
    bind :{port}
    balance leastconn
    retries {retries}
    option redispatch 1
    retry-on conn-failure empty-response 503
    option httpchk GET /readyz
    timeout check 2s
    default-server check inter 500ms fall 2 rise 1 observe layer4 error-limit 2 on-error mark-down
"""


class Balancer(NamedTuple):
    """One at work."""

    process: Helper
    socket: Path

    def states(self) -> dict[str, str]:
        """What it thinks of each service: UP, DOWN, or on its way."""
        return {line["svname"]: line["status"] for line in self._numbers() if line["svname"] != "BACKEND"}

    def retries(self) -> tuple[int, int]:
        """How many requests it gave to the same service once more, and how many to another one."""
        (whole,) = [line for line in self._numbers() if line["svname"] == "BACKEND"]
        return int(whole["wretr"]), int(whole["wredis"])

    def wait_until(self, state: str, services: Iterable[str]) -> None:
        """Wait until all of them are in this state.

        Raises:
            SystemExit: that takes longer than `PATIENCE`.
        """
        until = time.monotonic() + PATIENCE
        while True:
            states = self.states()
            late = [name for name in services if states[name] != state]
            if not late:
                return
            if time.monotonic() > until:
                raise SystemExit(f"not {state} in {PATIENCE:g} s: {', '.join(late)}")
            time.sleep(0.02)

    def _numbers(self) -> list[dict[str, str]]:
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(str(self.socket))
            asking.sendall(b"show stat birdlite 6 -1\n")  # 6: the services, and all of them
            text = b"".join(iter(lambda: asking.recv(65536), b"")).decode()
        return list(csv.DictReader(text.removeprefix("# ").splitlines()))


def missing() -> str | None:
    """Why there is no balancer here; None if there is one."""
    return None if shutil.which("haproxy") else "haproxy is not installed (Debian: haproxy)"


@contextmanager
def balancer(folder: Path, services: Mapping[str, str], port: int, inside: Sequence[str] = ()) -> Iterator[Balancer]:
    """Run it on a port, for services at HOST:PORT. `inside` is a command that runs it somewhere else.

    Raises:
        SystemExit: it did not start.
    """
    path, said = folder / "haproxy.sock", folder / "haproxy.log"
    path.unlink(missing_ok=True)
    lines = [f"    server {name} {address}\n" for name, address in services.items()]
    (folder / "haproxy.cfg").write_text(
        CONFIGURATION.format(buffer=BUFFER, socket=path, port=port, retries=min(1, len(services) - 1)) + "".join(lines)
    )
    command = (*inside, "haproxy", "-db", "-f", str(folder / "haproxy.cfg"))
    with (
        said.open("wb") as log,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True) as process,
    ):
        try:
            until = time.monotonic() + PATIENCE
            while not path.exists():
                if process.poll() is not None or time.monotonic() > until:
                    raise SystemExit(f"haproxy did not start:\n{said.read_text(errors='replace')}")
                time.sleep(0.01)
            yield Balancer(Helper(process.pid), path)
        finally:
            process.kill()
