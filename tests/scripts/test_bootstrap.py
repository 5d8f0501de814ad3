"""The installer of a checkout: what goes wrong is one line that says what to do."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
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
    (tmp_path / "requirements").mkdir()
    for name in ("build", "run"):
        (tmp_path / "requirements" / f"{name}.txt").touch()
    return tmp_path


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the one package that pip can find: `feather` 1.0."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    info = "feather-1.0.dist-info"
    with zipfile.ZipFile(folder / "feather-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: feather\nVersion: 1.0\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


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


def test_a_package_with_another_hash_than_the_locked_one_is_not_installed(checkout: Path, shelf: Path) -> None:
    (checkout / "requirements" / "run.txt").write_text(f"feather==1.0 --hash=sha256:{'0' * 64}\n")

    done = install(checkout)

    assert done.returncode == 3
    assert "HASH" in done.stderr.upper()
    assert done.stderr.endswith("its own message is above. Is there a network?\n")
    assert list(checkout.glob(".venv/lib/python3*/site-packages/feather*")) == []
    assert not (checkout / ".venv" / "installed-run").exists()


def test_a_package_without_a_hash_is_not_installed(checkout: Path, shelf: Path) -> None:
    (checkout / "requirements" / "run.txt").write_text("feather==1.0\n")

    done = install(checkout)

    assert done.returncode == 3
    assert list(checkout.glob(".venv/lib/python3*/site-packages/feather*")) == []


@pytest.mark.parametrize("changed", ["pyproject.toml", "requirements/run.txt"])
def test_a_change_of_what_is_wanted_installs_again(checkout: Path, changed: str) -> None:
    python = checkout / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\ncase "$*" in *install*) echo "$*" >>.venv/calls; esac\n')
    python.chmod(0o755)
    calls = checkout / ".venv" / "calls"
    assert install(checkout).returncode == 0
    first = calls.read_text().splitlines()
    assert install(checkout).returncode == 0
    assert calls.read_text().splitlines() == first

    with (checkout / changed).open("a") as file:
        file.write("# another\n")
    assert install(checkout).returncode == 0

    assert calls.read_text().splitlines() == first * 2
    assert "--require-hashes --only-binary=:all:" in first[0]
    assert "--no-deps --no-build-isolation" in first[1]


@pytest.mark.parametrize("arguments", [[], ["nosuch"]])
def test_a_benchmark_that_is_not_there_is_answered_with_those_that_are(checkout: Path, arguments: list[str]) -> None:
    (checkout / "scripts" / "bench_cold.py").touch()

    done = subprocess.run(["sh", checkout / "scripts" / "bench", *arguments], capture_output=True, text=True)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "usage: scripts/bench NAME [OPTION]...; NAME is one of:\n  cold\n"
