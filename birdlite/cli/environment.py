"""The environment variables of birdlite: their names, and a warning about those that it does not know."""

from __future__ import annotations

import os

from birdlite import log

PREFIX = "BIRDLITE_"
WITHOUT_OPTION = frozenset({"BIRDLITE_SHARDS", "BIRDLITE_TRACEBACK"})
"""Variables that birdlite reads although no option is called like them."""

_OF_KUBERNETES = ("_SERVICE_HOST", "_SERVICE_PORT", "_PORT")
"""Kubernetes sets such variables in every pod: BIRDLITE_SERVICE_HOST, if a Service is called birdlite."""


def variable(option: str) -> str:
    """The variable of an option: BIRDLITE_MAX_BYTES of --max-bytes."""
    return PREFIX + option.lstrip("-").replace("-", "_").upper()


def warn_about_unknown_variables() -> None:
    """Warn about each `BIRDLITE_…` that no command reads, and name the one that was probably meant."""
    from birdlite.cli.table import VARIABLES

    for name in os.environ:
        if name.startswith(PREFIX) and name not in VARIABLES and not _is_of_kubernetes(name):
            log.warning(f"{name} is set, but birdlite does not read it{_hint(name)}")


def _is_of_kubernetes(name: str) -> bool:
    return any(ending in name for ending in _OF_KUBERNETES)


def _hint(name: str) -> str:
    from birdlite.cli.suggestion import did_you_mean
    from birdlite.cli.table import VARIABLES

    return did_you_mean(name, sorted(VARIABLES), prefix=PREFIX)
