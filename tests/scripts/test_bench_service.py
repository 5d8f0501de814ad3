"""The benchmark of one service runs on the demo; a service under it says what it costs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from birdlite.demo import FOLDER
from scripts.bench_service import main
from scripts.service.clients import connect, rate, upload
from scripts.service.process import Process
from tests.demo_world import PICTURES

PICTURE = PICTURES[0].read_bytes()


def test_the_start_is_timed_on_the_demo(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--rounds", "1", "--only", "start"])

    said = capsys.readouterr().out
    assert "### start" in said
    assert "| `birdlite serve` until /readyz answers 200 | " in said
    assert "Ready takes 1.3 times a cold `classify`, and " in said


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "BIRDLITE_CACHE_DIR": str(tmp_path)}


def test_clients_send_pictures_and_the_process_says_what_they_cost(environment: dict[str, str]) -> None:
    model = ("--model", f"{FOLDER}/model.tflite", "--labels", f"{FOLDER}/labels.csv")
    with Process(environment, *model, "--drain", "0.1") as service:
        before = service.spent()
        assert service.ready_s > 0
        connection = connect(service.port)
        assert upload(connection, PICTURE) == "Demoavis cristata"
        connection.close()
        assert rate(service.port, [PICTURE], 20, 4) > 0
        with pytest.raises(SystemExit, match="415"):
            rate(service.port, [b"no picture"], 4, 2)
        spent = service.spent().since(before)
        assert spent.loop + spent.others > 0
        assert service.end() == 0


def test_a_service_that_does_not_become_ready_is_told_with_what_it_said(environment: dict[str, str]) -> None:
    with (
        pytest.raises(SystemExit, match=r"does not become ready: .*--labels"),
        Process(environment, "--model", f"{FOLDER}/model.tflite"),
    ):
        pass
