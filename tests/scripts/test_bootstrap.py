"""The installer of a checkout: what goes wrong is one line that says what to do."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NO_ENSUREPIP = (
    "import importlib.util as u; found = u.find_spec;"
    " u.find_spec = lambda name: None if name == 'ensurepip' else found(name); "
)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """As much of a checkout as the installer reads."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "bootstrap.py", tmp_path / "scripts")
    shutil.copy(ROOT / "scripts" / "bench", tmp_path / "scripts")
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    return tmp_path


def install(checkout: Path, before: str = "") -> subprocess.CompletedProcess[str]:
    code = f"{before}import sys; sys.path.insert(0, 'scripts'); import bootstrap; sys.exit(bootstrap.main('run'))"
    return subprocess.run([sys.executable, "-c", code], cwd=checkout, capture_output=True, text=True)


def test_a_folder_that_cannot_be_written_is_named(checkout: Path) -> None:
    (checkout / ".venv").write_text("in the way of the folder")

    done = install(checkout)

    assert done.returncode == 3
    assert done.stderr.startswith(f"birdlite: error: cannot install into {checkout / '.venv'}: ")
    assert done.stderr.count("\n") == 1


def test_a_python_without_ensurepip_is_told_of_debians_package(checkout: Path) -> None:
    done = install(checkout, NO_ENSUREPIP)

    assert done.returncode == 3
    assert "on Debian: apt install python3-venv" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_pip_that_fails_is_not_blamed_on_debian(checkout: Path) -> None:
    python = checkout / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\ncase "$*" in *install*) echo "no network" >&2; exit 1;; esac\n')
    python.chmod(0o755)

    done = install(checkout)

    assert done.returncode == 3
    assert "no network\nbirdlite: error: pip could not install" in done.stderr
    assert "python3-venv" not in done.stderr
    assert not (checkout / ".venv" / "installed-run").exists()


@pytest.mark.parametrize("arguments", [[], ["nosuch"]])
def test_a_benchmark_that_is_not_there_is_answered_with_those_that_are(checkout: Path, arguments: list[str]) -> None:
    (checkout / "scripts" / "bench_cold.py").touch()

    done = subprocess.run(["sh", checkout / "scripts" / "bench", *arguments], capture_output=True, text=True)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "usage: scripts/bench NAME [OPTION]...; NAME is one of:\n  cold\n"
