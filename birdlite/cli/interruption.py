"""Ctrl-C and SIGTERM: the first stops the run in good order, the second stops it at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Within `with`, a signal calls `stop` instead of raising KeyboardInterrupt somewhere in the middle of a line."""

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self._before: list[signal.Handlers | Callable[[int, FrameType | None], object] | int | None] = []
        self.signal: int | None = None

    @property
    def exit_code(self) -> int | None:
        """128 + the signal's number, as shells have it (130, 143), or None if none came."""
        return None if self.signal is None else 128 + self.signal

    def __enter__(self) -> Interruption:
        self._before = [signal.signal(number, self._handle) for number in SIGNALS]
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in zip(SIGNALS, self._before, strict=True):
            signal.signal(number, handler)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self.signal is not None:
            os._exit(128 + number)
        self.signal = number
        self._stop()
