"""The script that checks rendered manifests before they are applied."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from scripts.check_manifests import main
from tests.manifests import FOLDER, Render


def test_a_good_overlay_has_no_fault(render: Render, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(FOLDER / "overlays" / "local")]) == 0
    assert capsys.readouterr().out.endswith("documents, no fault\n")


def test_a_list_that_no_configmap_holds_is_said(
    render: Render, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(FOLDER, tmp_path / "k8s")
    (tmp_path / "k8s/base/list.txt").write_text("https://example.com/0123456789.jpg\n" * 30_000)

    assert main([str(tmp_path / "k8s/overlays/local")]) == 1
    assert "put the list in object storage" in capsys.readouterr().out


def test_a_folder_that_does_not_render_is_one_line(
    render: Render, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"{tmp_path}: ")
