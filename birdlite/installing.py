"""How to install what is missing into the Python that runs. Two functions of `errors` call it.

A virtual environment of uv has no pip, nor has one that pipx makes with uv. And birdlite itself may have come from a
folder, a file or a repository: there, and not in an index, is the version that the extra belongs to.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from urllib.parse import unquote, urlsplit

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_OF_PIPX = "pipx_metadata.json"  # in the environments that pipx makes
_NAME = "birdlite"


def command(what: list[str]) -> str:
    """The command that installs packages, with what they are called in it."""
    return shlex.join([*_installer(), *what])


def with_extra(extra: str) -> list[str]:
    """What birdlite with an extra is called: its checkout if it runs from one, else where it came from, or its name."""
    if os.path.exists(os.path.join(_ROOT, "pyproject.toml")):
        return ["-e", f"{_ROOT}[{extra}]"]
    return [_source(extra) or f"{_NAME}[{extra}]"]


def _installer() -> list[str]:
    if find_spec("pip") is None:
        if os.path.exists(os.path.join(sys.prefix, _OF_PIPX)):
            return ["pipx", "runpip", os.path.basename(sys.prefix), "install"]
        return ["uv", "pip", "install", "--python", sys.executable]
    folder, pip = os.path.dirname(sys.executable), shutil.which("pip")
    is_ours = pip is not None and os.path.dirname(os.path.abspath(pip)) == folder
    return ["pip", "install"] if is_ours or not folder else [sys.executable, "-m", "pip", "install"]


def _source(extra: str) -> str | None:
    """Where birdlite was installed from, with the extra; None if that was an index, or is gone."""
    try:
        origin = json.loads(distribution(_NAME).read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError, OSError):
        return None
    url = str(origin.get("url", ""))
    parts = urlsplit(url)
    if parts.scheme == "file":
        path = unquote(parts.path)
        return f"{path}[{extra}]" if os.path.exists(path) else None
    if "vcs_info" in origin:
        url = f"{origin['vcs_info']['vcs']}+{url}@{origin['vcs_info']['commit_id']}"
    return f"{_NAME}[{extra}] @ {url}" if url else None
