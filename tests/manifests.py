"""The manifests under k8s/ as tests and checks with podman read them: of the batch, and in `serve` of the service."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parents[1] / "k8s"
BASE = FOLDER / "base"
OVERLAYS = ("local", "cluster")
COMPONENTS = tuple(sorted(path.parent.name for path in FOLDER.glob("components/*/kustomization.yaml")))
SERVE = FOLDER / "serve"
SERVE_OVERLAYS = ("serve/local", "serve/cluster")
SERVE_COMPONENTS = tuple(sorted(path.parent.name for path in SERVE.glob("components/*/kustomization.yaml")))

Render = Callable[[str], list[dict[str, Any]]]


def kubectl() -> str | None:
    """The program: of this environment (the extra `k8s` brings it), else of the system."""
    return shutil.which("kubectl", path=os.path.dirname(sys.executable)) or shutil.which("kubectl")


def render(overlay: str) -> list[dict[str, Any]]:
    """What `kubectl apply -k` would send of an overlay, such as `local`, or `serve/local` of the service.

    Raises:
        CalledProcessError: it does not render.
        FileNotFoundError: there is no kubectl.
    """
    group, _, name = overlay.rpartition("/")
    return render_folder(FOLDER / group / "overlays" / name)


def render_folder(folder: Path) -> list[dict[str, Any]]:
    """As `render`, for any folder with a kustomization.

    Raises:
        CalledProcessError: it does not render.
        FileNotFoundError: there is no kubectl.
    """
    program = kubectl()
    if program is None:
        raise FileNotFoundError("no kubectl: pip install '.[k8s]'")
    command = [program, "kustomize", str(folder)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [document for document in yaml.safe_load_all(text) if document]


def documents_of(path: Path) -> list[dict[str, Any]]:
    """The documents of one file as it is written."""
    return [document for document in yaml.safe_load_all(path.read_text()) if document]
