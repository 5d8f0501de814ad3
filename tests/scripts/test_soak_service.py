"""The soak of a service: every kind of request has its answer, and a count that is wrong is seen."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from scripts import soak_service
from scripts.service.kinds import BAD, KINDS, PROBES, RUBBISH, TURN
from scripts.service.process import Process
from scripts.soak_service import Soak, unbalanced


def test_a_small_soak_is_well_and_draws_what_it_saw(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = soak_service.main(["--requests", "200", "--rate", "200", "--folder", str(tmp_path)])

    said = capsys.readouterr().out
    assert code == 0, said
    assert "200 requests in " in said
    assert (tmp_path / "soak.svg").read_text().startswith("<svg ")
    assert json.loads((tmp_path / "soak.json").read_text())["wrong"] == []


def test_each_kind_comes_in_every_twenty_requests_and_each_variant_in_a_soak_of_200() -> None:
    assert Counter(name for name, _ in TURN) == {name: times for name, times, _ in KINDS}
    assert len(TURN) == 20
    assert max(map(len, (BAD, PROBES, RUBBISH))) <= 200 // len(TURN)


class Counted:
    """A service that has counted so many answers, all with status 200."""

    asked = 1

    def __init__(self, answers: int, waiting: int = 0) -> None:
        self._text = (
            "# TYPE birdlite_requests_total counter\n"
            f'birdlite_requests_total{{route="/v1/classify",method="POST",status="200"}} {answers}\n'
            "# TYPE birdlite_queue_length gauge\n"
            f'birdlite_queue_length{{lane="upload"}} {waiting}\n'
        )

    def get(self, path: str) -> tuple[int, str]:
        assert path == "/metrics"
        return 200, self._text


@pytest.mark.parametrize(
    ("answers", "waiting", "wrong"),
    [(95, 0, 0), (100, 0, 0), (94, 0, 2), (101, 0, 2), (95, 1, 1)],
)
def test_what_service_and_clients_do_not_agree_on_is_told(
    answers: int, waiting: int, wrong: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 100 requests, 95 were answered; of the others, clients that went away, the service may have counted any."""
    monkeypatch.setattr(soak_service, "SAMPLE_S", 0.0)
    counts = Counter({"uploads": 95, "clients that go away": 5})
    soak: Any = SimpleNamespace(counts=counts, answered=Counter({200: 95}))

    assert len(list(unbalanced(cast(Soak, soak), cast(Process, Counted(answers, waiting)), 100))) == wrong
    assert len(list(unbalanced(cast(Soak, soak), cast(Process, Counted(answers, waiting)), 101))) == wrong + 1
