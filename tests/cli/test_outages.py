"""What is away, and what is wrong: the exit codes that a Job sees. And outages that are over in time."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from birdlite import retries
from birdlite.batch.header import Header, Totals
from birdlite.batch.header import Run as RunFields
from birdlite.demo import FOLDER, HOST
from birdlite.models.catalog import DEMO_MODEL
from tests.batch_runs import WITH_DEMO_MODEL
from tests.command_line import Run
from tests.demo_world import PICTURES
from tests.fetching import until
from tests.object_store import Asked, Bucket, Gate
from tests.origin import Origin

ROOT = Path(__file__).parents[2]
PICTURE = str(PICTURES[0])
MODEL_FILE = f"/{HOST}/model.tflite"


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "FIRST_S", 0.01)


@pytest.fixture
def mirror(origin: Origin) -> Origin:
    """Has the demo's model."""
    origin.serve_folder(f"/{HOST}", Path(FOLDER))
    return origin


def with_model_of(mirror: str, *arguments: object) -> tuple[object, ...]:
    """Fetch the model, without tries of the fetcher's own."""
    return ("classify", PICTURE, "--no-cache", "--retries=0", f"--model={DEMO_MODEL}", f"--mirror={mirror}", *arguments)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_model_host_that_cannot_answer_now_is_exit_code_4(run: Run, mirror: Origin, status: int) -> None:
    mirror.fail(MODEL_FILE, [status])

    code, _, said = run(*with_model_of(mirror.base))

    assert (code, said.count("\n")) == (4, 1), said
    assert str(status) in said


@pytest.mark.parametrize("status", [401, 403, 404, 410, 501])
def test_a_model_host_that_will_not_answer_is_exit_code_3(run: Run, mirror: Origin, status: int) -> None:
    mirror.fail(MODEL_FILE, [status])

    code, _, said = run(*with_model_of(mirror.base, "--startup-timeout=600"))

    assert (code, said.count("\n")) == (3, 1), said
    assert str(status) in said


def test_a_wrong_model_is_exit_code_3(run: Run, mirror: Origin) -> None:
    mirror.serve(MODEL_FILE, b"not the model")

    code, _, said = run(*with_model_of(mirror.base, "--startup-timeout=600"))

    assert code == 3
    assert "the file" in said


def test_no_connection_to_the_model_is_exit_code_4(run: Run, free_port: int) -> None:
    code, _, said = run(*with_model_of(f"http://127.0.0.1:{free_port}"))

    assert code == 4
    assert "no connection to the mirror 127.0.0.1:" in said


@pytest.mark.parametrize("answer", [socket.EAI_NONAME, socket.EAI_AGAIN])
def test_no_name_for_the_model_host_is_exit_code_4(run: Run, monkeypatch: pytest.MonkeyPatch, answer: int) -> None:
    def getaddrinfo(*_: object, **__: object) -> object:
        raise socket.gaierror(answer, "the name service says so")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    code, _, said = run(*with_model_of("http://models.example"))

    assert code == 4
    assert "cannot resolve models.example" in said


def test_a_model_host_that_comes_back_in_time_is_no_error(run: Run, mirror: Origin) -> None:
    mirror.fail(MODEL_FILE, [503] * 5)

    code, out, said = run(*with_model_of(mirror.base, "--startup-timeout=600"))

    assert (code, mirror.hits(MODEL_FILE)) == (0, 6)
    assert out
    assert said.count("trying again for up to 600 s (--startup-timeout)") == 1


STORAGE = {  # what is asked for, by its path in the store; how the run's arguments name it
    "the list": ("GET", "/list.txt", ("--from", "{list}")),
    "the output, before the run": ("GET", "/birds.jsonl", (PICTURE, "--output", "{output}")),
    "the output, at the end": ("PUT", "/birds.jsonl", (PICTURE, "--output", "{output}")),
    "the part of an earlier start": ("GET", "/birds.jsonl", (PICTURE, "--resume", "--output", "{output}")),
    "the folder of earlier results": ("GET", "prefix=earlier", (PICTURE, "--since-output", "{earlier}")),
    "an earlier result": ("GET", "/earlier/a.jsonl", (PICTURE, "--since-output", "{earlier}")),
}


def with_storage(bucket: Bucket, arguments: tuple[str, ...], *more: str) -> tuple[str, ...]:
    urls = {name: bucket.url(key) for name, key in (("list", "list.txt"), ("output", "birds.jsonl"))}
    named = [argument.format(**urls, earlier=bucket.url("earlier/")) for argument in arguments]
    return ("classify", *named, *WITH_DEMO_MODEL, "--retries=0", *more)


@pytest.fixture
def filled(bucket: Bucket) -> Bucket:
    """Has a list and the result of an earlier run."""
    bucket.put("list.txt", PICTURE.encode())
    fields = RunFields("0", "m", "0", "0", "crop", 3, "both", 0.0, timing=False, since=False, shard=0, shards=1)
    header = Header(fields, Totals(targets=0, mine=0, left_out=0, ok=0, failed=0, list_sha256="0"))
    bucket.put("earlier/a.jsonl", header.line().encode())
    return bucket


class Away:
    """The rule of a gate: some requests get a status, so many times."""

    def __init__(self, method: str, path: str, status: int, times: int) -> None:
        self._what = method, path
        self._status = status
        self.left = times

    def __call__(self, asked: Asked) -> int | None:
        method, path = self._what
        if asked.method != method or path not in asked.path or not self.left:
            return None
        self.left -= 1
        return self._status


@pytest.mark.parametrize("what", STORAGE)
def test_storage_that_is_away_is_exit_code_4(run: Run, filled: Bucket, gate: Gate, what: str) -> None:
    method, path, arguments = STORAGE[what]
    gate.rule = Away(method, path, 503, times=99)

    code, _, said = run(*with_storage(filled, arguments))

    assert code == 4, said
    assert "503" in said


@pytest.mark.parametrize("what", STORAGE)
def test_storage_that_refuses_is_not_exit_code_4(run: Run, filled: Bucket, gate: Gate, what: str) -> None:
    method, path, arguments = STORAGE[what]
    gate.rule = Away(method, path, 401, times=99)

    code, _, said = run(*with_storage(filled, arguments, "--startup-timeout=600"))

    assert code == 3, said
    assert "the credentials are not accepted" in said


@pytest.mark.parametrize("what", STORAGE)
def test_storage_that_comes_back_in_time_is_no_error(run: Run, filled: Bucket, gate: Gate, what: str) -> None:
    method, path, arguments = STORAGE[what]
    gate.rule = away = Away(method, path, 503, times=4)

    code, _, said = run(*with_storage(filled, arguments, "--startup-timeout=600"))

    assert (code, away.left) == (0, 0), said
    assert "503" in said


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "birdlite", *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)


def test_a_run_that_waits_for_its_model_ends_at_sigterm(mirror: Origin) -> None:
    mirror.fail(MODEL_FILE, [503] * 1000)

    with start(*with_model_of(mirror.base, "--startup-timeout=600")) as process:
        until(lambda: mirror.hits(MODEL_FILE) >= 2)
        process.terminate()
        said = process.communicate(timeout=60)[1]

    assert process.returncode == 143
    assert "interrupted; 0 results were written" in said


@pytest.mark.parametrize("what", ["the output, before the run", "the part of an earlier start"])
def test_a_run_that_waits_for_storage_ends_at_sigterm(filled: Bucket, gate: Gate, what: str) -> None:
    method, path, arguments = STORAGE[what]
    gate.rule = Away(method, path, 503, times=1000)

    with start(*with_storage(filled, arguments, "--resume", "--startup-timeout=600")) as process:
        until(lambda: gate.count(method, path) >= 2)
        process.terminate()
        process.communicate(timeout=60)

    assert process.returncode == 143


def test_a_listing_that_breaks_goes_on_behind_its_last_page(run: Run, bucket: Bucket, gate: Gate) -> None:
    for number in range(1005):  # a page has 1000
        bucket.put(f"album/{number:04}.txt", b"x")
    bucket.put("album/zz.jpg", PICTURES[0].read_bytes())
    pages = 0

    def rule(asked: Asked) -> int | None:
        nonlocal pages
        if "prefix=album" not in asked.path:
            return None
        pages += 1
        return 503 if pages in (2, 3) else None

    gate.rule = rule

    code, out, said = run("classify", bucket.url("album/"), *WITH_DEMO_MODEL, "--retries=0", "--startup-timeout=600")

    assert (code, pages) == (0, 4), said
    assert "zz.jpg" in out
