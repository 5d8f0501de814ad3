"""The fuzzer of models: the same mutants each time, and a report of those that kill birdlite's own process."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scripts import fuzz_models


@pytest.mark.parametrize("format_", ["tflite", "onnx"])
def test_a_few_mutants_do_not_kill_birdlite(format_: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if format_ == "onnx":
        pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
        pytest.importorskip("onnx", reason="onnx is not installed")

    code = fuzz_models.main(
        ["--format", format_, "--mutants", "4", "--seconds", "100", "--keep", str(tmp_path / "kept")]
    )

    assert code == 0
    assert capsys.readouterr().out.startswith(f"4 mutants of a tiny .{format_}, seed 1: ")
    assert not (tmp_path / "kept").exists()


def test_a_mutant_depends_on_its_seed_and_number_alone() -> None:
    mutants = {fuzz_models.mutant("tflite", seed, number) for seed in (1, 2) for number in range(20)}

    assert fuzz_models.mutant("tflite", 1, 7) == fuzz_models.mutant("tflite", 1, 7)
    assert len(mutants) > 30


def test_a_mutant_that_kills_is_kept_and_the_next_ones_are_still_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    firsts: list[str] = []

    def run(command: list[str], **_: Any) -> SimpleNamespace:
        firsts.append(command[command.index("--first") + 1])
        dies = len(firsts) == 1
        return SimpleNamespace(returncode=-11 if dies else 0, stdout="0 ok\n1 " if dies else "2 refused\n")

    monkeypatch.setattr(subprocess, "run", run)

    code = fuzz_models.main(["--mutants", "3", "--keep", str(tmp_path)])

    assert code == 1
    assert firsts == ["0", "2"]
    assert (tmp_path / "1-1.tflite").read_bytes() == fuzz_models.mutant("tflite", 1, 1)
    assert capsys.readouterr().out.splitlines() == [
        "2 mutants of a tiny .tflite, seed 1: ok 1, refused 1",
        f"birdlite itself died of number 1: {tmp_path}/1-1.tflite",
    ]
