"""What Ctrl-C, SIGTERM and SIGHUP do to a command.

From the first statement of the process on, a signal ends it at once, as the system does it by default (`program`).
Until then, and before a command prints or writes, nothing can be lost. A command that has something to finish does so
in an `Interruption`: there a signal only asks it to stop.

No handler raises KeyboardInterrupt. Python drops an exception that comes in a callback, as each import has one, and an
import that was cut off keeps its lock.
"""

from __future__ import annotations

import os
import signal
from _thread import start_new_thread
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

from birdlite.errors import BirdliteError
from birdlite.timing import clock

if TYPE_CHECKING:
    from types import FrameType

T = TypeVar("T")

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

REPEAT_S = 0.1
"""`timeout` and a terminal that closes send their signal twice within milliseconds: that is one request to stop."""


class Interrupted(KeyboardInterrupt):
    """A command ends here because of a signal. Raised between two records, never by a handler."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


class Interruption:
    """Within `with`, the first signal calls `stop` in a thread of its own, where it may take any lock.

    A second Ctrl-C or SIGTERM ends the process at once. A signal that is ignored stays so (`cli.end_at_signals`).
    """

    def __init__(self, stop: Callable[[], object] | None = None) -> None:
        self._stop = stop
        self._before: dict[int, signal.Handlers | Callable[[int, FrameType | None], object] | int | None] = {}
        self._at = 0.0  # s on `clock`; when the first signal came
        self.signal: int | None = None

    @property
    def exit_code(self) -> int | None:
        """128 + the signal's number, as shells have it (130, 143, 129), or None if none came."""
        return None if self.signal is None else 128 + self.signal

    def came(self) -> bool:
        """Whether a signal has come."""
        return self.signal is not None

    def calls(self, stop: Callable[[], object]) -> None:
        """Name what a signal calls, if that was not known before; at once if one has come already."""
        self._stop = stop
        if self.signal is not None:
            stop()

    def until(self, items: Iterable[T]) -> Iterator[T]:
        """The items, until a signal comes.

        Raises:
            Interrupted: while iterating: one has come.
        """
        for item in items:
            if self.signal is not None:
                raise Interrupted(128 + self.signal)
            yield item

    def __enter__(self) -> Interruption:
        for number in SIGNALS:
            before = signal.getsignal(number)
            if before is not signal.SIG_IGN:
                self._before[number] = before
                signal.signal(number, self._handle)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self.signal is not None and isinstance(error, BirdliteError):  # it failed because it was told to stop
            raise Interrupted(128 + self.signal) from error

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self.signal is None:
            self._at, self.signal = clock(), number
            if self._stop is not None:
                _in_a_thread(self._stop)
        elif number != signal.SIGHUP and clock() - self._at > REPEAT_S:
            os._exit(128 + number)


def _in_a_thread(stop: Callable[[], object]) -> None:
    """Call `stop`. The main thread may hold locks that it needs: a handler runs between any two steps of its code."""
    try:
        start_new_thread(stop, ())
    except RuntimeError:  # the system has no thread left
        stop()
