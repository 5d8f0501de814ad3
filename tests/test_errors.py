"""What the messages of errors have in common."""

from __future__ import annotations

from pathlib import Path

import pytest

from birdlite import errors
from birdlite.errors import installing


def test_an_extra_is_installed_from_the_checkout_that_runs_or_from_the_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert installing("onnx") == f"pip install '{Path(__file__).parents[1]}[onnx]'"

    monkeypatch.setattr(errors, "__file__", str(tmp_path / "birdlite" / "errors.py"))
    assert installing("onnx") == "pip install 'birdlite[onnx]'"
