"""What the messages of errors have in common."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from birdlite import installing as installing_module
from birdlite.errors import EngineMissing, installing, installing_package, one_line

PLACES: dict[str, tuple[dict[str, object] | None, str]] = {
    "an index": (None, "pip install 'birdlite[onnx]'"),
    "a folder that is gone": (
        {"url": "file:///nosuch/birds", "dir_info": {}},
        "install birdlite again from its folder, with [onnx]",
    ),
    "a wheel that is gone": (
        {"url": "file:///nosuch/birdlite.whl", "archive_info": {}},
        "install birdlite again from its file, with [onnx]",
    ),
    "a wheel on a server": (
        {"url": "https://example.org/birdlite.whl", "archive_info": {}},
        "pip install 'birdlite[onnx] @ https://example.org/birdlite.whl'",
    ),
    "a wheel whose URL has a secret": (
        {"url": "https://example.org/birdlite.whl?token=1a2b3c", "archive_info": {}},
        "install birdlite again from its file, with [onnx]",
    ),
    "a repository": (
        {"url": "https://example.org/birdlite.git", "vcs_info": {"vcs": "git", "commit_id": "1a2b3c"}},
        "pip install 'birdlite[onnx] @ git+https://example.org/birdlite.git@1a2b3c'",
    ),
    "a repository for a user": (
        {"url": "ssh://git@example.org/me/birdlite.git", "vcs_info": {"vcs": "git", "commit_id": "1a2b3c"}},
        "install birdlite again from its repository, with [onnx]",
    ),
}
"""What an installer writes to direct_url.json, and how an extra is installed then."""


@pytest.fixture
def python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The Python that runs, whose pip is the first one that a shell finds."""
    python = tmp_path / "my env" / "bin" / "python"
    python.parent.mkdir(parents=True)
    (python.parent / "pip").touch(mode=0o755)
    monkeypatch.setattr("sys.executable", str(python))
    monkeypatch.setattr("sys.prefix", str(python.parents[1]))
    monkeypatch.setenv("PATH", str(python.parent), prepend=os.pathsep)
    return python


def install_from(origin: dict[str, object] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let birdlite run from where it was installed to, from `origin`."""
    site = tmp_path / "site-packages"
    notes = site / "birdlite-0.1.0.dist-info"
    notes.mkdir(parents=True)
    (notes / "METADATA").write_text("Metadata-Version: 2.1\nName: birdlite\nVersion: 0.1.0\n")
    if origin is not None:
        (notes / "direct_url.json").write_text(json.dumps(origin))
    monkeypatch.syspath_prepend(site)
    monkeypatch.setattr(installing_module, "_ROOT", str(site))


@pytest.mark.parametrize(
    ("said", "line"),
    [(ValueError(), "ValueError"), (ValueError("a\nb"), "a b"), ("a\0b", "a b"), ("", "(blank)"), (" \n", "(blank)")],
)
def test_what_was_said_is_one_line_and_never_empty(said: object, line: str) -> None:
    assert one_line(said) == line


@pytest.mark.usefixtures("python")
def test_an_extra_is_installed_from_the_checkout_that_runs() -> None:
    assert installing("onnx") == f"pip install -e '{Path(__file__).parents[1]}[onnx]'"


@pytest.mark.usefixtures("python")
@pytest.mark.parametrize("place", PLACES)
def test_an_extra_is_installed_from_where_birdlite_came_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    origin, how = PLACES[place]
    install_from(origin, tmp_path, monkeypatch)

    assert str(EngineMissing(f"no ONNX: {installing('onnx')}")) == f"no ONNX: {how}"  # secrets are left out of errors


@pytest.mark.usefixtures("python")
@pytest.mark.parametrize("name", ["my clone", "birdlite-0.1.0-py3-none-any.whl"])
def test_an_extra_is_installed_from_the_folder_or_wheel_that_birdlite_came_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / name).mkdir()
    install_from({"url": (tmp_path / name).as_uri()}, tmp_path, monkeypatch)

    assert installing("onnx") == f"pip install '{tmp_path / name}[onnx]'"


@pytest.mark.parametrize("is_found", [True, False])
def test_an_extra_is_installed_by_the_pip_of_the_python_that_runs(
    tmp_path: Path, python: Path, monkeypatch: pytest.MonkeyPatch, is_found: bool
) -> None:
    other = tmp_path / "other" / "pip"
    other.parent.mkdir()
    if is_found:
        other.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(other.parent))

    assert installing("onnx").startswith(f"'{python}' -m pip install -e '/")
    assert installing_package("numpy") == f"'{python}' -m pip install numpy"


def test_without_pip_an_extra_is_installed_with_uv_or_by_pipx(
    tmp_path: Path, python: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installing_module, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert installing_package("numpy") == "install numpy into this Python, which has no pip"

    (tmp_path / "uv").touch(mode=0o755)
    assert installing("onnx").startswith(f"uv pip install --python '{python}' -e '/")
    assert installing_package("numpy") == f"uv pip install --python '{python}' numpy"

    (python.parents[1] / "pipx_metadata.json").touch()
    assert installing_package("numpy") == "pipx runpip 'my env' install numpy"
