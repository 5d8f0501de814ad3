"""The command `birdlite serve` as a process: how it begins, what it says, and how it ends."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

import httpx
import pytest

from birdlite.demo import FOLDER
from birdlite.models.catalog import DEMO_MODEL
from tests.demo_world import PICTURES
from tests.origin import PATIENCE, Origin
from tests.serve.test_classify import problem

PICTURE = PICTURES[0].read_bytes()


class Process:
    """A service on a free port."""

    def __init__(self, *arguments: str, **variables: str) -> None:
        command = [sys.executable, "-m", "birdlite", "serve", "--port", "0", *arguments]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **variables},
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


@pytest.fixture
def start(warm_cache: Path) -> Iterator[Start]:
    """Starts a process on the demo's model."""
    started: list[Process] = []

    def start(*arguments: str, **variables: str) -> Process:
        usual = ("--model", DEMO_MODEL, "--cache-dir", str(warm_cache), "--drain", "0.1", "--allow-private")
        started.append(Process(*usual, *arguments, **variables))
        return started[-1]

    yield start
    for process in started:
        process.__exit__(None, None, None)


def post(url: str, data: bytes = PICTURE) -> httpx.Response:
    return httpx.post(f"{url}/v1/classify", content=data, timeout=PATIENCE, trust_env=False)


# The beginning


def test_it_says_where_it_is_ready_and_nothing_on_standard_output(start: Start) -> None:
    process = start()
    url = process.ready()

    assert post(url).status_code == 200
    process.process.send_signal(signal.SIGTERM)
    code, out, err = process.end()
    assert (code, out) == (0, "")
    assert all(line.startswith("birdlite: ") for line in err.splitlines())


def test_its_log_can_be_json_throughout(start: Start) -> None:
    process = start("--log-format", "json")
    url = json.loads(process.wait_for(r"\{.*ready at.*\}")[0])["message"].removeprefix("ready at ")
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), PATIENCE) as client:
        client.sendall(b"rubbish\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 400")
    httpx.get(f"{url}/livez", headers={"Connection": "Upgrade", "Upgrade": "websocket"}, trust_env=False)
    post(url, b"no picture")
    process.process.send_signal(signal.SIGTERM)
    _, _, err = process.end()

    lines = [json.loads(line) for line in err.splitlines()]
    assert [line["message"] for line in lines][1:] == [
        "no request",
        "POST /v1/classify",
        "ending: not ready any more; new work is refused in 0.1 s",
    ]
    assert lines[2]["status"] == 415


def test_before_the_model_is_there_it_lives_and_is_not_ready(start: Start, origin: Origin, tmp_path: Path) -> None:
    origin.serve_folder("/demo.birdlite.invalid", Path(FOLDER))
    release = origin.hold("/demo.birdlite.invalid/model.tflite", (Path(FOLDER) / "model.tflite").read_bytes())
    port = free_port()
    process = start("--mirror", origin.base, "--cache-dir", str(tmp_path / "empty"), "--port", str(port))
    origin.wait_for(1)
    url = f"http://127.0.0.1:{port}"

    assert httpx.get(f"{url}/livez", timeout=PATIENCE, trust_env=False).status_code == 200
    assert httpx.get(f"{url}/readyz", trust_env=False).status_code == 503
    assert problem(httpx.get(f"{url}/v1/model", trust_env=False), 503)["kind"] == "not_ready"
    refused = post(url)
    assert (problem(refused, 503)["kind"], refused.headers["retry-after"]) == ("not_ready", "1")
    release.set()
    process.ready()
    assert post(url).status_code == 200


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def test_a_port_in_use_is_one_line_and_exit_code_3(start: Start) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, out, err = start("--port", str(port)).end()

    assert (code, out) == (3, "")
    assert err == f"birdlite: error: cannot listen on 127.0.0.1 port {port}: Address already in use\n"


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1", "a" * 300, ""])
def test_an_address_that_is_not_here_is_one_line_and_exit_code_3(start: Start, host: str) -> None:
    code, _, err = start("--host", host).end()

    assert (code, err.count("\n")) == (3, 1)
    assert "cannot listen on" in err


def test_a_model_that_cannot_be_loaded_is_one_line_and_exit_code_3(start: Start, tmp_path: Path) -> None:
    broken, labels = tmp_path / "broken.tflite", tmp_path / "labels.csv"
    broken.write_bytes(b"no model")
    labels.write_text("id,name\n0,a\n")
    code, out, err = start("--model", str(broken), "--labels", str(labels)).end()

    assert (code, out, err.count("\n")) == (3, "", 1), err
    assert "broken.tflite" in err


def test_a_model_whose_source_is_away_is_exit_code_4(start: Start, tmp_path: Path) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    code, _, err = start("--mirror", away, "--cache-dir", str(tmp_path / "empty")).end()

    assert (code, err.count("\n")) == (4, 1), err


def test_bounds_that_refuse_every_picture_are_one_line_and_exit_code_3(start: Start) -> None:
    code, _, err = start("--max-pixels", "10").end()

    assert (code, err.count("\n")) == (3, 1), err
    assert "cannot become ready" in err


def test_its_port_can_be_in_its_own_variable_and_not_in_the_one_that_kubernetes_sets(
    warm_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    usual = ("--model", DEMO_MODEL, "--cache-dir", str(warm_cache), "--drain", "0.1")
    command = [sys.executable, "-m", "birdlite", "serve", *usual]
    variables = {"BIRDLITE_PORT": "tcp://10.0.0.1:80", "BIRDLITE_LISTEN_PORT": str(port)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, env={**os.environ, **variables}, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == f"birdlite: ready at http://127.0.0.1:{port} (threads={_threads()})\n"
        process.terminate()


def _threads() -> int:
    from birdlite import cpus

    return cpus.usable()


# The end


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_at_a_signal_it_is_not_ready_at_once_and_still_answers_then_ends_with_0(start: Start, number: int) -> None:
    process = start("--drain", "2")
    url = process.ready()
    with httpx.Client(base_url=url, timeout=PATIENCE, trust_env=False) as client:
        assert client.get("/readyz").status_code == 200
        process.process.send_signal(number)
        process.wait_for("not ready any more")

        not_ready = client.get("/readyz")
        assert (not_ready.status_code, not_ready.headers["connection"]) == (503, "close")
        assert client.get("/livez").status_code == 200
        answer = client.post("/v1/classify", content=PICTURE)
        assert (answer.status_code, answer.headers["connection"]) == (200, "close")
    assert process.end()[0] == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/livez", trust_env=False)


def test_what_is_under_way_is_finished(start: Start, origin: Origin) -> None:
    release = origin.hold("/held.jpg", PICTURE)
    process = start()
    url = process.ready()
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), PATIENCE) as client:
        client.sendall(f"GET /v1/classify?url={origin.url('/held.jpg')} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        origin.wait_for(1, "/held.jpg")
        process.process.send_signal(signal.SIGTERM)
        while connects(host, int(port)):
            pass
        release.set()
        answer = b""
        while part := client.recv(65536):
            answer += part

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"Crested Emberling" in answer
    assert process.end()[0] == 0


def connects(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), PATIENCE):
            return True
    except OSError:
        return False


def test_what_is_under_way_has_the_grace_and_no_more(start: Start, origin: Origin) -> None:
    origin.hold("/held.jpg")
    process = start("--grace", "1")
    url = process.ready()
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), PATIENCE) as client:
        client.sendall(f"GET /v1/classify?url={origin.url('/held.jpg')} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        origin.wait_for(1, "/held.jpg")
        process.process.send_signal(signal.SIGTERM)
        code, _, err = process.end()
        assert client.recv(65536).startswith(b"HTTP/1.1 503 ")

    assert code == 0
    assert "Traceback" not in err
    assert all(line.startswith("birdlite: ") for line in err.splitlines())


def test_an_idle_client_does_not_keep_it(start: Start) -> None:
    process = start("--grace", "1000")
    url = process.ready()
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), PATIENCE) as client:
        client.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(10)
        process.process.send_signal(signal.SIGTERM)
        assert process.end()[0] == 0


def test_a_second_signal_ends_at_once(start: Start) -> None:
    process = start("--drain", "1000")
    process.ready()
    process.process.send_signal(signal.SIGTERM)
    process.wait_for("not ready any more")
    process.process.send_signal(signal.SIGTERM)

    assert process.end()[0] == 143


def test_a_signal_while_the_model_is_fetched_ends_it_without_a_drain(
    start: Start, origin: Origin, tmp_path: Path
) -> None:
    origin.hold("/demo.birdlite.invalid/model.tflite")
    port = free_port()
    cache = ("--cache-dir", str(tmp_path / "empty"))
    process = start("--mirror", origin.base, *cache, "--drain", "1000", "--port", str(port))
    origin.wait_for(1)
    assert httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=PATIENCE, trust_env=False).status_code == 503
    process.process.send_signal(signal.SIGTERM)
    code, _, err = process.end()

    assert (code, err) == (0, "")


# Strangers' URLs


def test_addresses_that_are_not_public_are_refused_unless_allowed(warm_cache: Path, origin: Origin) -> None:
    url = origin.serve("/a.jpg", PICTURE)
    usual = ("--model", DEMO_MODEL, "--cache-dir", str(warm_cache), "--drain", "0.1")
    with Process(*usual) as process:
        service = process.ready()
        for place in (url, url.replace("127.0.0.1", "localhost"), "http://169.254.169.254/", "http://[::1]/"):
            answer = httpx.get(f"{service}/v1/classify", params={"url": place}, timeout=PATIENCE, trust_env=False)
            assert problem(answer, 403)["kind"] == "blocked"
    assert origin.requests == []

    with Process(*usual, "--allow-private") as process:
        answer = httpx.get(f"{process.ready()}/v1/classify", params={"url": url}, timeout=PATIENCE, trust_env=False)
        assert answer.status_code == 200
