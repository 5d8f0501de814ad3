"""Standard error: log lines and the progress line, which must not tear each other. Results never go here."""

from __future__ import annotations

import os
import sys
import threading
from typing import Literal

from birdlite import log
from birdlite.results import Progress
from birdlite.timing import clock
from birdlite.writers.base import printable

LogFormat = Literal["text", "json"]

PROGRESS_AFTER = 0.5  # s: a shorter run needs no progress line
PROGRESS_EVERY = 0.1  # s
CLEAR_LINE = "\r\x1b[K"


class Console:
    """What a command says to a person while it works."""

    def __init__(self, log_format: LogFormat = "text", *, threshold: int = log.INFO) -> None:
        """Take over the log: lines of at least `threshold` go to standard error in that format."""
        self._format = log_format
        self.quiet = threshold > log.INFO  # the user wants to hear of errors only
        self._lock = threading.Lock()
        self._shown = False
        self._next = clock() + PROGRESS_AFTER
        self._animated = _is_terminal() and log_format == "text" and not self.quiet
        log.to(self._log_line, threshold)

    def progress(self, progress: Progress, seconds: float) -> None:
        """Show how far the run is after `seconds`: only on a terminal, and at most ten times a second."""
        now = clock()
        if not self._animated or now < self._next:
            return
        self._next = now + PROGRESS_EVERY
        with self._lock:
            _write(CLEAR_LINE + _progress_text(progress, seconds))
            self._shown = True

    def clear(self) -> None:
        """Take the progress line away."""
        with self._lock:
            self._clear()

    def _clear(self) -> None:
        if self._shown:
            _write(CLEAR_LINE)
            self._shown = False

    def _log_line(self, level: int, message: str, fields: dict[str, object]) -> None:
        line = (_as_json if self._format == "json" else _as_text)(level, message, fields)
        with self._lock:
            self._clear()
            _write(line + "\n")


def _progress_text(progress: Progress, seconds: float) -> str:
    """One line: how many are done, how fast, and how long the rest will take where their number is known."""
    done, failed, total = progress
    rate = done / seconds
    trouble = f", {failed} failed" if failed else ""
    if total is None:
        return f"{done} done{trouble}, {rate:.1f}/s"
    rest = round((total - done) / rate)
    left = f"{rest // 3600}:{rest // 60 % 60:02d}:{rest % 60:02d}" if rest >= 3600 else f"{rest // 60}:{rest % 60:02d}"
    return f"{done} of {total}{trouble}, {rate:.1f}/s, {left} left"


def _as_text(level: int, message: str, fields: dict[str, object]) -> str:
    rank = "" if level == log.INFO else f"{log.LEVEL_NAMES[level]}: "
    details = " ".join(f"{key}={value}" for key, value in fields.items())
    return printable(f"birdlite: {rank}{message}{f' ({details})' if details else ''}")


def _as_json(level: int, message: str, fields: dict[str, object]) -> str:
    import json
    from datetime import datetime, timezone

    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    record = {"time": now, "level": log.LEVEL_NAMES[level], "message": message, **fields}
    return json.dumps(record, default=str)


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def _write(text: str) -> None:
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (OSError, ValueError):
        log.to(None)  # standard error is closed, so messages can go nowhere
