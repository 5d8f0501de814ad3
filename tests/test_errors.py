"""What the messages of errors have in common."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from birdlite import errors
from birdlite.errors import installing


@pytest.fixture
def python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The Python that runs, whose pip is the first one that a shell finds."""
    python = tmp_path / "my env" / "bin" / "python"
    python.parent.mkdir(parents=True)
    (python.parent / "pip").touch(mode=0o755)
    monkeypatch.setattr("sys.executable", str(python))
    monkeypatch.setenv("PATH", str(python.parent), prepend=os.pathsep)
    return python


@pytest.mark.usefixtures("python")
def test_an_extra_is_installed_from_the_checkout_that_runs_or_from_the_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert installing("onnx") == f"pip install -e '{Path(__file__).parents[1]}[onnx]'"

    monkeypatch.setattr(errors, "__file__", str(tmp_path / "birdlite" / "errors.py"))
    assert installing("onnx") == "pip install 'birdlite[onnx]'"


def test_an_extra_is_installed_by_the_pip_of_the_python_that_runs(
    tmp_path: Path, python: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other" / "pip"
    other.parent.mkdir()
    other.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(other.parent), prepend=os.pathsep)

    assert installing("onnx").startswith(f"'{python}' -m pip install -e '/")
