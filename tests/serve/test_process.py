"""The command `birdlite serve` as a process: how it begins, and what it says. `test_end` has how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from birdlite.demo import FOLDER
from birdlite.models.catalog import DEMO_MODEL
from birdlite.run.single import NICE
from tests.demo_world import PICTURES
from tests.origin import PATIENCE, Origin
from tests.serve.test_classify import problem
from tests.service_process import Process, Start, post
from tests.serving import Running

PICTURE = PICTURES[0].read_bytes()
FORM = "multipart/form-data; boundary=x"
NOBODY = 65534  # a user


# The beginning


def test_it_says_where_it_is_ready_and_nothing_on_standard_output(start: Start) -> None:
    process = start()
    url = process.ready()

    assert post(url, PICTURE).status_code == 200
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
    with httpx.Client(base_url=url, timeout=PATIENCE, trust_env=False) as client:
        client.get("/livez", headers={"Connection": "Upgrade", "Upgrade": "websocket"})
        client.post("/v1/classify", content=b"no picture")
        client.post("/v1/classify", content=b"x", headers={"Content-Type": FORM})
    process.process.send_signal(signal.SIGTERM)
    _, _, err = process.end()

    lines = [json.loads(line) for line in err.splitlines()]
    assert [line["message"] for line in lines][1:] == [
        "no request",
        "POST /v1/classify",
        "POST /v1/classify",
        "ending: not ready any more; new work is refused in 0.1 s",
        "ended",
    ]
    assert lines[2]["status"] == 415


def test_before_the_model_is_there_it_lives_and_is_not_ready(
    start: Start, origin: Origin, free_port: int, tmp_path: Path
) -> None:
    origin.serve_folder("/demo.birdlite.invalid", Path(FOLDER))
    release = origin.hold("/demo.birdlite.invalid/model.tflite", (Path(FOLDER) / "model.tflite").read_bytes())
    process = start("--mirror", origin.base, "--cache-dir", str(tmp_path / "empty"), "--port", str(free_port))
    origin.wait_for(1)

    with httpx.Client(base_url=f"http://127.0.0.1:{free_port}", timeout=PATIENCE, trust_env=False) as client:
        assert client.get("/livez").status_code == 200
        assert client.get("/readyz").status_code == 503
        assert problem(client.get("/v1/model"), 503)["kind"] == "not_ready"
        refused = client.post("/v1/classify", content=PICTURE)
        assert (problem(refused, 503)["kind"], refused.headers["retry-after"]) == ("not_ready", "1")
        release.set()
        process.ready()
        assert client.post("/v1/classify", content=PICTURE).status_code == 200


def test_a_port_in_use_is_one_line_and_exit_code_3(start: Start) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, out, err = start("--port", str(port)).end()

    assert (code, out) == (3, "")
    assert err == f"birdlite: error: cannot listen on 127.0.0.1 port {port}: Address already in use\n"


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1", "a" * 300, "a..b", ""])
def test_an_address_that_is_not_here_is_one_line_and_exit_code_3(start: Start, host: str) -> None:
    code, _, err = start("--host", host).end()

    assert (code, err.count("\n")) == (3, 1)
    assert "cannot listen on" in err
    assert "file" not in err


@pytest.mark.parametrize("port", ["65536", "-1", "http", "80.5", ""])
def test_a_port_that_is_none_is_wrong_usage(start: Start, port: str) -> None:
    code, out, err = start("--port", port).end()

    assert (code, out) == (2, "")
    assert "--port" in err
    assert "Traceback" not in err


def can_run_birdlite(user: int) -> bool:
    tried = subprocess.run([sys.executable, "-c", "import birdlite"], user=user, stderr=subprocess.DEVNULL)
    return tried.returncode == 0


@pytest.mark.skipif(
    Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text() != "1024\n",
    reason="any user may have any port here",
)
def test_a_port_that_only_root_may_have_is_one_line_and_exit_code_3() -> None:
    user = NOBODY if os.geteuid() == 0 else None
    if user is not None and not can_run_birdlite(user):
        pytest.skip("no other user can run this Python, or read these files")
    with Process("--model", DEMO_MODEL, "--port", "80", user=user) as process:
        code, out, err = process.end()

    assert (code, out) == (3, "")
    assert err == "birdlite: error: cannot listen on 127.0.0.1 port 80: permission denied\n"


def test_a_limit_of_open_files_is_raised_as_far_as_its_connections_need(start: Start) -> None:
    url = start("--connections", "600", before="ulimit -Sn 100").ready()
    numbers = httpx.get(f"{url}/metrics", timeout=PATIENCE, trust_env=False).text

    found = re.search(r"^process_max_fds (\S+)$", numbers, re.MULTILINE)
    assert found is not None
    assert float(found[1]) > 600 + 100


def test_more_connections_than_files_may_be_open_are_wrong_usage(start: Start) -> None:
    code, out, err = start("--connections", "600", before="ulimit -n 700").end()

    assert (code, out) == (2, "")
    assert "--connections 600: needs 872 open files, and 700 are allowed (ulimit -Hn)" in err


def test_a_model_that_cannot_be_loaded_is_one_line_and_exit_code_3(start: Start, tmp_path: Path) -> None:
    broken, labels = tmp_path / "broken.tflite", tmp_path / "labels.csv"
    broken.write_bytes(b"no model")
    labels.write_text("id,name\n0,a\n")
    code, out, err = start("--model", str(broken), "--labels", str(labels)).end()

    assert (code, out, err.count("\n")) == (3, "", 1), err
    assert "broken.tflite" in err


def test_a_model_whose_source_is_away_is_exit_code_4(start: Start, free_port: int, tmp_path: Path) -> None:
    away = f"http://127.0.0.1:{free_port}"
    code, _, err = start("--mirror", away, "--cache-dir", str(tmp_path / "empty")).end()

    assert (code, err.count("\n")) == (4, 1), err


def test_its_port_can_be_in_its_own_variable_and_not_in_the_one_that_kubernetes_sets(
    warm_cache: Path, free_port: int
) -> None:
    usual = ("--model", DEMO_MODEL, "--cache-dir", str(warm_cache), "--drain", "0.1")
    command = [sys.executable, "-m", "birdlite", "serve", *usual]
    variables = {"BIRDLITE_PORT": "tcp://10.0.0.1:80", "BIRDLITE_LISTEN_PORT": str(free_port)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, env={**os.environ, **variables}, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == f"birdlite: ready at http://127.0.0.1:{free_port} (threads={_threads()})\n"
        process.terminate()


def _threads() -> int:
    from birdlite import cpus

    return cpus.usable()


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


@pytest.mark.skipif(os.getpriority(os.PRIO_PROCESS, 0) > 0, reason="the tests themselves have a low priority")
def test_who_answers_goes_before_the_threads_that_classify(service: Running) -> None:
    assert service.post(PICTURE).status_code == 200

    threads = {thread.name: thread.native_id or 0 for thread in threading.enumerate()}
    working = [number for name, number in threads.items() if name.startswith("birdlite-classify")]
    assert max(os.getpriority(os.PRIO_PROCESS, number) for number in working) == NICE
    assert os.getpriority(os.PRIO_PROCESS, threads["service"]) == 0
