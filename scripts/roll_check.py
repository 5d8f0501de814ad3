"""Replace two services one after the other under load, as a rolling update does: no request may be lost.

    .venv/bin/python -m scripts.roll_check

haproxy (of Debian) stands before them and asks for /readyz, as a cluster does. It tries no request again: what a
service refuses or drops, the client sees. As k8s/serve/base/deployment.yaml says, a new service is ready before an old
one gets SIGTERM. Each request is counted by its outcome, and each service must end with 0. Exit codes: as image_check.
"""

from __future__ import annotations

import csv
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import httpx

from scripts.podman import SKIPPED
from scripts.subjects import model_variables
from tests.demo_world import PICTURES

RUNNING, PLACES = 2, 3  # services at once, and places for them: one more, for the next to start
CLIENTS, PAUSE = 6, 0.02  # s between an answer and the next request of a client
DRAIN = 2.0  # s; haproxy notices within one
PATIENCE = 60.0  # s for a service to take part, and to end

CONFIGURATION = """\
global
    nbthread 1
defaults
    mode http
    timeout connect 1s
    timeout client 70s
    timeout server 70s
listen birdlite
    bind 127.0.0.1:{port}
    balance leastconn
    retries 0
    option httpchk GET /readyz
    http-after-response set-header x-server %[srv_name]
    stats uri /stats
    default-server check inter 250ms fall 2 rise 1
"""


class Services:
    """`birdlite serve` in each place, or nothing."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.ports = {f"place-{number}": _free_port() for number in range(PLACES)}
        self._environment = environment
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, place: str) -> None:
        """Start one there."""
        command = [sys.executable, "-m", "birdlite", "serve", f"--port={self.ports[place]}", f"--drain={DRAIN}"]
        self._running[place] = subprocess.Popen(command, env=self._environment, stderr=subprocess.DEVNULL)

    def end(self, place: str) -> None:
        """End the one there in good order."""
        process = self._running.pop(place)
        process.send_signal(signal.SIGTERM)
        code = process.wait(PATIENCE)
        assert code == 0, f"a service ended with {code}"

    def kill(self) -> None:
        """End all that are left."""
        for process in self._running.values():
            process.kill()
            process.wait()


class Load:
    """Clients that send pictures to haproxy, until they are told to stop."""

    def __init__(self, port: int) -> None:
        self.outcomes: Counter[str] = Counter()
        self.servers: Counter[str] = Counter()  # who answered
        self._url = f"http://127.0.0.1:{port}/v1/classify"
        self._over = threading.Event()
        self._counting = threading.Lock()
        self._clients = [threading.Thread(target=self._send, args=(number,)) for number in range(CLIENTS)]

    def start(self) -> None:
        """Begin to send."""
        for client in self._clients:
            client.start()

    def stop(self) -> None:
        """Send no more, and wait for the answers."""
        self._over.set()
        for client in self._clients:
            client.join()

    def wait_for(self, place: str) -> None:
        """Wait until the service there answers requests."""
        before, until = self.servers[place], time.monotonic() + PATIENCE
        while self.servers[place] == before:
            assert time.monotonic() < until, f"the service in {place} got no request in {PATIENCE:g} s"
            time.sleep(0.02)

    def _send(self, number: int) -> None:
        picture = PICTURES[number % len(PICTURES)].read_bytes()
        with httpx.Client(timeout=PATIENCE, trust_env=False) as client:
            while not self._over.wait(PAUSE):
                server = ""
                try:
                    answer = client.post(self._url, content=picture, headers={"Content-Type": "image/jpeg"})
                    outcome, server = str(answer.status_code), answer.headers.get("x-server", "")
                except httpx.HTTPError as error:
                    outcome = type(error).__name__
                with self._counting:
                    self.outcomes[outcome] += 1
                    self.servers[server] += 1


def check() -> None:
    """Start services, haproxy and the load, replace all services, and count."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="birdlite-roll-")))
        services = Services(model_variables(None, folder, stack))
        stack.callback(services.kill)
        first = list(services.ports)[:RUNNING]
        for place in first:
            services.start(place)
        port = _free_port()
        _haproxy(folder, services.ports, port, stack)
        _wait_until_haproxy_knows(port, {place: "UP" if place in first else "DOWN" for place in services.ports})
        load = Load(port)
        stack.callback(load.stop)
        load.start()
        for place in first:
            load.wait_for(place)
        begun = time.monotonic()
        for number, old in enumerate(first):
            new = list(services.ports)[(number + RUNNING) % PLACES]
            services.start(new)
            load.wait_for(new)
            services.end(old)
        took = time.monotonic() - begun
        load.stop()
    print(f"{RUNNING} services replaced in {took:.1f} s under load; requests by outcome: {dict(load.outcomes)}")
    assert set(load.outcomes) == {"200"}, "requests were lost"


def _wait_until_haproxy_knows(port: int, states: dict[str, str]) -> None:
    """It takes every service for UP until it has asked it twice."""
    until = time.monotonic() + PATIENCE
    while (found := _states(port)) != states:
        assert time.monotonic() < until, f"haproxy sees {found}"
        time.sleep(0.05)


def _states(port: int) -> dict[str, str]:
    try:
        text = httpx.get(f"http://127.0.0.1:{port}/stats;csv", trust_env=False).text
    except httpx.ConnectError:  # it is about to start
        return {}
    lines = csv.DictReader(text.removeprefix("# ").splitlines())
    return {line["svname"]: line["status"] for line in lines if line["svname"].startswith("place-")}


def _haproxy(folder: Path, ports: dict[str, int], port: int, stack: ExitStack) -> None:
    servers = "".join(f"    server {name} 127.0.0.1:{number}\n" for name, number in ports.items())
    (folder / "haproxy.cfg").write_text(CONFIGURATION.format(port=port) + servers)
    command = ["haproxy", "-db", "-q", "-f", str(folder / "haproxy.cfg")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    stack.callback(process.wait)
    stack.callback(process.kill)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


if __name__ == "__main__":
    os.umask(0o022)
    if shutil.which("haproxy") is None:
        print("skipped: no haproxy (a package of Debian)")
        sys.exit(SKIPPED)
    try:
        check()
    except AssertionError as error:
        print(f"FAILED: {error}", file=sys.stderr)
        sys.exit(1)
