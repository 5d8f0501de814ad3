"""How the service ends: what is under way is answered, and nothing is lost that a balancer sent in time."""

from __future__ import annotations

import fcntl
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from birdlite.models.catalog import DEMO_MODEL
from tests.demo_world import PICTURES
from tests.origin import PATIENCE, Origin
from tests.service_process import Start, connects
from tests.serving import Serve, read_all

F_SETPIPE_SZ = 1031  # of Linux; in `fcntl` since Python 3.10, and not on every system
PICTURE = PICTURES[0].read_bytes()
HEAD = b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(PICTURE)


def test_at_a_signal_it_is_not_ready_at_once_and_still_answers_then_ends_with_0(start: Start) -> None:
    process = start("--drain", "5")
    url = process.ready()
    with httpx.Client(base_url=url, timeout=PATIENCE, trust_env=False) as client:
        assert client.get("/readyz").status_code == 200
        process.process.send_signal(signal.SIGTERM)
        process.wait_for("not ready any more")

        not_ready = client.get("/readyz")
        assert (not_ready.status_code, not_ready.headers["connection"]) == (503, "close")
        assert client.get("/livez").status_code == 200
        answer = client.post("/v1/classify", content=PICTURE)
        assert (answer.status_code, answer.headers["connection"]) == (200, "close")
    assert process.end()[0] == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/livez", timeout=PATIENCE, trust_env=False)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_other_signals_end_it_in_the_same_way(start: Start, number: int) -> None:
    process = start()
    process.ready()
    process.process.send_signal(number)
    code, _, err = process.end()

    assert code == 0
    assert "not ready any more" in err


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


def ends_before_the_picture(start: Start, origin: Origin) -> tuple[int, str, bytes]:
    """A service whose grace ends while it waits for a picture: its exit code, its log, and what its client reads."""
    origin.hold("/held.jpg")
    process = start("--grace", "1")
    with process.connect() as client:
        client.sendall(f"GET /v1/classify?url={origin.url('/held.jpg')} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        origin.wait_for(1, "/held.jpg")
        process.process.send_signal(signal.SIGTERM)
        code, _, err = process.end()
        return code, err, client.recv(65536)


def test_what_is_under_way_has_the_grace_and_no_more(start: Start, origin: Origin) -> None:
    code, err, answer = ends_before_the_picture(start, origin)

    assert answer.startswith(b"HTTP/1.1 503 ")
    assert code == 0
    assert "Traceback" not in err
    assert all(line.startswith("birdlite: ") for line in err.splitlines())


def test_a_grace_of_a_part_of_a_second_is_taken_as_it_is(serve: Serve) -> None:
    assert serve(grace=0.25).server._uvicorn.config.timeout_graceful_shutdown == 0.25


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

    assert process.insist(signal.SIGTERM) == 143


def test_a_signal_while_the_model_is_fetched_ends_it_without_a_drain(
    start: Start, origin: Origin, free_port: int, tmp_path: Path
) -> None:
    origin.hold("/demo.birdlite.invalid/model.tflite")
    cache = ("--cache-dir", str(tmp_path / "empty"))
    process = start("--mirror", origin.base, *cache, "--drain", "1000", "--port", str(free_port))
    origin.wait_for(1)
    assert httpx.get(f"http://127.0.0.1:{free_port}/readyz", timeout=PATIENCE, trust_env=False).status_code == 503
    process.process.send_signal(signal.SIGTERM)
    code, _, err = process.end()

    assert (code, err.count("\n")) == (0, 1)
    assert err.startswith("birdlite: ended (requests=0 ")


EARLY = """
import os, signal
from birdlite.cli import main, serve

begin = serve.open_console

def early(values):
    os.kill(os.getpid(), signal.SIGTERM)
    return begin(values)

serve.open_console = early
raise SystemExit(main())
"""


def test_a_signal_before_anything_is_imported_ends_it_too(warm_cache: Path) -> None:
    """The system would drop it, for process 1 of a container, if nobody heeded it."""
    model = ("--model", DEMO_MODEL, "--cache-dir", str(warm_cache))
    ended = subprocess.run(
        [sys.executable, "-c", EARLY, "serve", "--port", "0", "--drain", "1000", *model],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert (ended.returncode, ended.stderr.count("ready at")) == (0, 0), ended.stderr


FIRST = """
import os, signal, sys
from birdlite import cli

sys.argv = ["birdlite", *sys.argv[1:]]
cli.main = lambda: os.kill(os.getpid(), {number})
cli.program()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_before_the_command_line_is_read_ends_it_too(number: int) -> None:
    code = [sys.executable, "-c", FIRST.format(number=int(number))]

    assert subprocess.run([*code, "serve"], timeout=PATIENCE, check=False).returncode == 0
    assert subprocess.run([*code, "classify"], timeout=PATIENCE, check=False).returncode == -number


# The last line


def test_the_last_line_says_what_became_of_all_requests(start: Start) -> None:
    process = start()
    url = f"{process.ready()}/v1/classify"
    with httpx.Client(timeout=PATIENCE, trust_env=False) as client:
        client.post(url, files=[("file", PICTURE), ("file", PICTURE), ("file", b"no picture")])
        client.post(url, content=PICTURE)
        client.post(url, content=b"no picture")
        client.post(url, content=b"")
        client.get(f"{process.ready()}/livez")
    process.process.send_signal(signal.SIGTERM)
    *_, last = process.end()[2].splitlines()

    assert last == "birdlite: ended (requests=4 answered=2 refused=0 gone=0 failed=2 pictures=5 pictures_failed=2)"


def test_the_last_line_counts_what_the_end_of_the_grace_cut_off(start: Start, origin: Origin) -> None:
    *_, last = ends_before_the_picture(start, origin)[1].splitlines()

    assert last.startswith("birdlite: ended (requests=1 answered=0 refused=1 ")
    assert last.endswith(" cut_off=1)")


def test_a_log_that_nobody_reads_stops_nothing(start: Start) -> None:
    process = start()
    url = process.ready()
    assert process.process.stderr is not None
    fcntl.fcntl(process.process.stderr, F_SETPIPE_SZ, 4096)
    with httpx.Client(base_url=url, timeout=PATIENCE, trust_env=False) as client:
        assert {client.get("/nothing").status_code for _ in range(200)} == {404}
    process.process.send_signal(signal.SIGTERM)

    assert process.process.wait(PATIENCE) == 0


def test_a_log_that_is_read_late_is_whole(start: Start) -> None:
    process = start()
    with httpx.Client(base_url=process.ready(), timeout=PATIENCE, trust_env=False) as client:
        for number in range(1000):  # more than a pipe holds
            client.get("/nothing", headers={"X-Request-Id": f"number-{number}"})
    process.process.send_signal(signal.SIGTERM)
    lines = process.end()[2].splitlines()

    found = [line.rpartition("=")[2] for line in lines if "GET /nothing" in line]
    assert found == [f"number-{number})" for number in range(1000)]
    assert "lost" not in lines[-1]


# Under load


def test_under_load_every_request_is_answered(start: Start) -> None:
    """Clients go on until they are asked to connect anew, as balancers do."""
    process = start("--drain", "5", "--max-wait", "20")
    url = process.ready()
    statuses: list[int] = []
    under_way = threading.Semaphore(0)

    def ask() -> None:
        with httpx.Client(base_url=url, timeout=PATIENCE, trust_env=False) as client:
            closing = False
            while not closing:
                answer = client.post("/v1/classify", content=PICTURE)
                statuses.append(answer.status_code)
                under_way.release()
                closing = answer.headers.get("connection") == "close"

    clients = [threading.Thread(target=ask) for _ in range(8)]
    for client in clients:
        client.start()
    for _ in range(16):
        assert under_way.acquire(timeout=PATIENCE)
    process.process.send_signal(signal.SIGTERM)
    for client in clients:
        client.join(PATIENCE)

    code, _, err = process.end()
    assert (code, set(statuses)) == (0, {200})
    assert len(statuses) >= 16 + 8
    assert "Traceback" not in err


def test_lines_that_are_under_way_are_finished(start: Start, origin: Origin) -> None:
    release = origin.hold("/held.jpg", PICTURE)
    process = start()
    urls = [origin.serve("/a.jpg", PICTURE), origin.url("/held.jpg")]
    lines = {"Accept": "application/x-ndjson"}
    with (
        httpx.Client(base_url=process.ready(), timeout=PATIENCE, trust_env=False) as client,
        client.stream("POST", "/v1/classify", json={"urls": urls}, headers=lines) as answer,
    ):
        found = answer.iter_lines()
        assert '"index": 0' in next(found)
        process.process.send_signal(signal.SIGTERM)
        process.wait_for("not ready any more")
        release.set()
        assert '"ok"' in next(found)

    assert process.end()[0] == 0


def test_a_body_that_is_half_sent_is_waited_for(start: Start) -> None:
    process = start()
    with process.connect() as client:
        client.sendall(HEAD + PICTURE[:100])
        process.process.send_signal(signal.SIGTERM)
        host, port = client.getpeername()
        while connects(host, port):
            pass
        client.sendall(PICTURE[100:])
        answer = read_all(client)

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"\r\nconnection: close\r\n" in answer.lower()
    assert process.end()[0] == 0


def test_a_body_that_never_comes_is_given_up_and_does_not_keep_it(start: Start) -> None:
    process = start("--body-timeout", "1", "--grace", "1000")
    with process.connect() as client:
        client.sendall(HEAD + PICTURE[:100])
        process.process.send_signal(signal.SIGTERM)
        assert read_all(client).startswith(b"HTTP/1.1 408 ")

    assert process.end()[0] == 0


@pytest.mark.parametrize(
    "sent", [b"", b"GET /livez HTTP/1.1\r\nHost: ", b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\nGET /li"]
)
def test_a_head_that_is_half_sent_does_not_keep_it(start: Start, sent: bytes) -> None:
    process = start("--grace", "1000")
    with process.connect() as client:
        client.sendall(sent)
        process.process.send_signal(signal.SIGTERM)
        read_all(client)

    assert process.end()[0] == 0


def test_a_client_that_does_not_read_does_not_keep_it(start: Start) -> None:
    process = start("--grace", "1")
    process.ready()
    with process.connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        try:
            while True:
                client.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
        except BlockingIOError:
            pass
        process.process.send_signal(signal.SIGTERM)
        code, _, err = process.end()

    assert code == 0
    assert "Traceback" not in err


def test_a_second_signal_ends_what_is_under_way(start: Start, origin: Origin) -> None:
    origin.hold("/held.jpg")
    process = start("--drain", "0.1", "--grace", "1000")
    with process.connect() as client:
        client.sendall(f"GET /v1/classify?url={origin.url('/held.jpg')} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        origin.wait_for(1, "/held.jpg")
        process.process.send_signal(signal.SIGTERM)
        process.wait_for("not ready any more")

        assert process.insist(signal.SIGINT) == 130


def test_a_drain_of_nothing_is_allowed(start: Start) -> None:
    process = start("--drain", "0")
    process.ready()
    process.process.send_signal(signal.SIGTERM)

    assert process.end()[0] == 0
