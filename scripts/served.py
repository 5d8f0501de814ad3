"""A service in a container, asked from inside it: `image_check` and `service_check` do. It needs no other network.

The image has no shell and no curl, so Python asks. Pictures come in through standard input.
"""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import NamedTuple

from scripts.podman import Podman
from tests.demo_world import slug

PATIENCE = 60.0  # s until a service is ready, on a machine that does other things
_ASK = """
import base64, http.client, json, sys
port, path, body = json.load(sys.stdin)
connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
try:
    connection.request(
        "POST" if body else "GET", path, base64.b64decode(body) if body else None, {"Content-Type": "image/jpeg"}
    )
    answer = connection.getresponse()
    json.dump([answer.status, answer.read().decode()], sys.stdout)
except OSError as error:
    json.dump([0, str(error)], sys.stdout)
"""


class Answer(NamedTuple):
    """Of the service. Status 0: it did not answer."""

    status: int
    text: str


class Served(NamedTuple):
    """A container that runs `birdlite serve`."""

    podman: Podman
    container: str
    port: int = 8000

    def ask(self, path: str, picture: Path | None = None) -> Answer:
        """Get a path, or send a picture there."""
        body = base64.b64encode(picture.read_bytes()).decode() if picture else ""
        request = json.dumps([self.port, path, body])
        command = ("exec", "--interactive", self.container, "/opt/venv/bin/python", "-c", _ASK)
        run = self.podman.call(*command, check=False, given=request)
        return Answer(*json.loads(run.stdout)) if run.returncode == 0 else Answer(0, run.stderr)

    def read(self, *paths: str) -> str:
        """Those of the container's files that are there."""
        return self.podman.call("exec", self.container, "cat", *paths, check=False).stdout

    def wait_until_ready(self, path: str = "/readyz") -> None:
        """Wait until a probe succeeds."""
        until = time.monotonic() + PATIENCE
        while (answer := self.ask(path)).status != 200:
            assert time.monotonic() < until, f"{path} after {PATIENCE:g} s: {answer}"
            time.sleep(0.1)

    def name_birds(self, birds: dict[Path, str]) -> None:
        """Send each picture, and compare what the service sees in it."""
        for picture, bird in birds.items():
            answer = self.ask("/v1/classify", picture)
            assert answer.status == 200, answer
            best = json.loads(answer.text)["results"][0]["predictions"][0]
            assert bird in (best["name"], slug(best["common_name"])), f"{best} instead of {bird}"
