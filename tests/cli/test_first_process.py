"""birdlite as PID 1, as in every container: the kernel drops a SIGTERM that such a process has no handler for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from birdlite.demo import FOLDER
from birdlite.models.catalog import DEMO_MODEL
from tests.demo_world import PICTURES
from tests.fetching import until
from tests.origin import Origin

ROOT = Path(__file__).parents[2]
OWN_PIDS = ("unshare", "--user", "--map-root-user", "--pid", "--fork")


@pytest.fixture(scope="module")
def own_pids() -> None:
    """Skip where a process may not have a PID namespace of its own."""
    try:
        subprocess.run([*OWN_PIDS, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no PID namespaces here: {error}")


@pytest.fixture
def first_process(own_pids: None, tmp_path: Path, origin: Origin) -> Iterator[subprocess.Popen[str]]:
    """`birdlite classify` as PID 1; it waits for a picture that never comes."""
    origin.serve_folder("/demo.birdlite.invalid", Path(FOLDER))
    origin.hold("/held/never.jpg")
    arguments = ("--mirror", origin.base, "--format", "jsonl", PICTURES[0], "https://held/never.jpg")
    with _start(tmp_path, "classify", "--model", DEMO_MODEL, *arguments) as process:
        origin.wait_for(1, "/held/never.jpg")
        yield process


def test_a_fetch_of_a_model_ends_at_sigterm(own_pids: None, tmp_path: Path, origin: Origin) -> None:
    origin.hold("/storage.googleapis.com/tfhub-lite-models/google/lite-model/aiy/vision/classifier/birds_V1/3.tflite")
    with _start(tmp_path, "model", "fetch", "--mirror", origin.base) as process:
        origin.wait_for(1)
        os.kill(_inner(process), signal.SIGTERM)
        _, err = process.communicate(timeout=20)

    assert (process.returncode, err) == (143, "")


def test_a_run_writes_what_is_finished(first_process: subprocess.Popen[str]) -> None:
    assert first_process.stdout is not None
    first = first_process.stdout.readline()
    os.kill(_inner(first_process), signal.SIGTERM)
    out, err = first_process.communicate(timeout=20)

    assert first_process.returncode == 143
    assert '"status": "ok"' in first
    assert '"kind": "cancelled"' in out
    assert "interrupted" in err


def test_a_service_ends_with_0_as_soon_as_a_signal_can_reach_it(own_pids: None, tmp_path: Path) -> None:
    with _start(tmp_path, "serve", "--port", "0", "--model", DEMO_MODEL) as process:
        until(lambda: _heeds(_children(process), signal.SIGTERM))
        os.kill(_inner(process), signal.SIGTERM)
        _, err = process.communicate(timeout=20)

    assert process.returncode == 0, err


def _start(cache: Path, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*OWN_PIDS, sys.executable, "-m", "birdlite", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"BIRDLITE_CACHE_DIR": str(cache)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _inner(unshare: subprocess.Popen[str]) -> int:
    """The PID out here of what is PID 1 in there."""
    (child,) = _children(unshare)
    return child


def _children(process: subprocess.Popen[str]) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def _heeds(processes: list[int], number: int) -> bool:
    """Whether they have a handler for a signal."""
    statuses = [Path(f"/proc/{process}/status").read_text() for process in processes]
    masks = [int(status.partition("SigCgt:")[2].split()[0], 16) for status in statuses]
    return masks != [] and all(mask >> (number - 1) & 1 for mask in masks)
