"""How to install what is missing into the Python that runs. Two functions of `errors` call it.

A virtual environment of uv has no pip, nor has one that pipx makes with uv. And birdlite itself may have come from a
folder, a file or a repository: there, and not in an index, is the version that the extra belongs to. If that place is
gone, or its URL has a user name or a secret, which no message shows, no command would work: a sentence stands instead.
The same is true of an environment without pip where there is no uv.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from typing import Any
from urllib.parse import unquote, urlsplit

from birdlite.redaction import redacted_text

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_OF_PIPX = "pipx_metadata.json"  # in the environments that pipx makes
_NAME = "birdlite"


def command(what: list[str]) -> str:
    """The command that installs packages, with what they are called in it. Without an installer, a sentence."""
    installer = _installer()
    if installer is None:
        return f"install {shlex.join(what)} into this Python, which has no pip"
    return shlex.join([*installer, *what])


def with_extra(extra: str) -> str:
    """How to install birdlite with an extra: from its checkout if it runs from one, else from where it came from."""
    if os.path.exists(os.path.join(_ROOT, "pyproject.toml")):
        return command(["-e", f"{_ROOT}[{extra}]"])
    origin = _origin()
    source = _source(origin, extra)
    if source is None or redacted_text(source) != source:
        return f"install birdlite again from its {_kind(origin)}, with [{extra}]"
    return command([source])


def _installer() -> list[str] | None:
    if find_spec("pip") is None:
        if os.path.exists(os.path.join(sys.prefix, _OF_PIPX)):
            return ["pipx", "runpip", os.path.basename(sys.prefix), "install"]
        return ["uv", "pip", "install", "--python", sys.executable] if shutil.which("uv") is not None else None
    folder, pip = os.path.dirname(sys.executable), shutil.which("pip")
    is_ours = pip is not None and os.path.dirname(os.path.abspath(pip)) == folder
    return ["pip", "install"] if is_ours or not folder else [sys.executable, "-m", "pip", "install"]


def _origin() -> dict[str, Any]:
    """What the installer wrote of where birdlite came from: nothing if that was an index."""
    try:
        return dict(json.loads(distribution(_NAME).read_text("direct_url.json") or "{}"))
    except (PackageNotFoundError, ValueError, OSError):
        return {}


def _kind(origin: dict[str, Any]) -> str:
    return "repository" if "vcs_info" in origin else "file" if "archive_info" in origin else "folder"


def _source(origin: dict[str, Any], extra: str) -> str | None:
    """What birdlite with the extra is called where it came from; None if that is gone."""
    url = str(origin.get("url", ""))
    parts = urlsplit(url)
    if parts.scheme == "file":
        path = unquote(parts.path)
        return f"{path}[{extra}]" if os.path.exists(path) else None
    if "vcs_info" in origin:
        url = f"{origin['vcs_info']['vcs']}+{url}@{origin['vcs_info']['commit_id']}"
    return f"{_NAME}[{extra}] @ {url}" if url else f"{_NAME}[{extra}]"
