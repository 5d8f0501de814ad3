"""The addresses of targets that may be tried again at the end of a run, where their names do not tell them. For `part`.

A name has no secrets, so a URL with a token cannot be fetched by its name. Kept are the addresses of targets that are
under way, and of those that failed because something was away. They are at most `MOST`; if more are away, the rest
waits for the next start with --retry-failed.
"""

from __future__ import annotations

from birdlite.redaction import MARK
from birdlite.targets import BadTarget, Target
from birdlite.targets.expand import single

MOST = 20_000  # some 10 MB


class Addresses:
    """The feeder's thread calls `keep`, the caller's thread `forget`."""

    def __init__(self) -> None:
        self._targets: dict[int, Target] = {}

    def keep(self, target: Target | BadTarget) -> None:
        """Keep the address of a target, if its name is another one."""
        if isinstance(target, Target) and MARK in target.name and len(self._targets) < MOST:
            self._targets[target.index] = target

    def forget(self, index: int) -> None:
        """The target will not be tried again."""
        self._targets.pop(index, None)

    def find(self, index: int, name: str) -> Target | BadTarget | None:
        """The target with this index and name; None if its address is not known."""
        kept = self._targets.get(index)
        return kept if kept is not None or MARK in name else single(name, index)
