"""The packages of the extra `serve`. The command looks for them before it fetches a model, and imports none yet."""

from __future__ import annotations

from importlib.util import find_spec

from birdlite.errors import ServeMissing, installing, one_line

NAMES = ("starlette", "uvicorn", "prometheus_client", "python_multipart")


def look() -> None:
    """Look for all of them.

    Raises:
        ServeMissing: one is not installed.
    """
    for name in NAMES:
        if find_spec(name) is None:
            raise ServeMissing(f"the service needs the package {name}: {installing('serve')}")


def broken(error: Exception) -> ServeMissing:
    """What to raise if one of them is there, and cannot be imported."""
    why = f"{type(error).__name__}: {one_line(error)}"
    return ServeMissing(f"a package of the service cannot be imported ({why}): {installing('serve')}")
