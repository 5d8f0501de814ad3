"""What birdlite says while it works: a line an event, with fields. Every module may call it.

A Python program gets these lines through the standard `logging`, logger `birdlite`. Importing `logging` costs 4 ms, so
lines below a warning go there only if the program has imported it, as one that configures logging has. The CLI calls
`to` instead and needs no `logging` at all. No line shows a secret of a URL.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from birdlite.errors import without_secrets

DEBUG, INFO, WARNING, ERROR = 10, 20, 30, 40  # the standard library's numbers
LEVEL_NAMES = {DEBUG: "debug", INFO: "info", WARNING: "warning", ERROR: "error"}

Sink = Callable[[int, str, "dict[str, object]"], None]

_sink: Sink | None = None
_threshold = DEBUG
_lost = 0
_once: dict[str, object] = {}  # of `warning_once`


def to(sink: Sink | None, threshold: int = INFO) -> None:
    """Send every line of at least `threshold` to `sink(level, message, fields)`; None goes back to `logging`."""
    global _sink, _threshold  # one process has one standard error
    _sink, _threshold = sink, threshold
    _once.clear()


def debug(message: str, **fields: object) -> None:
    """Detail for finding a fault: every retry, cache hit, choice of engine."""
    _say(DEBUG, message, fields)


def info(message: str, **fields: object) -> None:
    """What a user wants to know: a model was fetched, a damaged file was replaced."""
    _say(INFO, message, fields)


def warning(message: str, **fields: object) -> None:
    """What costs the user something: no cache, a slow engine."""
    _say(WARNING, message, fields)


def warning_once(message: str) -> None:
    """The same, but not what was said already since `to` was called: many pictures or tries may have the same cause."""
    mine = object()
    if _once.setdefault(message, mine) is mine:  # in one step, because many threads may come at once
        warning(message)


def error(message: str, **fields: object) -> None:
    """Why the run ends here."""
    _say(ERROR, message, fields)


def count_lost(lines: int = 1) -> None:
    """Count lines that a sink could not write."""
    global _lost  # a sink calls it under a lock of its own
    _lost += lines


def lost() -> int:
    """How many lines nobody will see."""
    return _lost


def has_sink() -> bool:
    """Whether `to` has set a sink."""
    return _sink is not None


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number and its noun, for a message: `1 part`, `2,000 parts`. `many` is the plural, if not `one` and an s."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _say(level: int, message: str, fields: dict[str, object]) -> None:
    if level < _threshold if _sink is not None else (level < WARNING and "logging" not in sys.modules):
        return
    message = without_secrets(message)
    fields = {name: without_secrets(value) if isinstance(value, str) else value for name, value in fields.items()}
    if _sink is not None:
        _sink(level, message, fields)
        return
    import logging

    from birdlite.printable import printable

    logging.getLogger("birdlite").log(level, printable(message), extra={"fields": fields})
