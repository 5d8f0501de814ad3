"""Lines for standard error, written by a thread: who does not read them must not stop the service.

`Console.in_background` makes one for `serve`. Lines wait a moment for others, so that a busy service wakes the thread
seldom. If nobody reads standard error, lines are kept up to a number. Further ones are lost and counted, and what is
read next says how many. So it is while the disk is full that standard error is written to.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable

from birdlite import log

MOST_LINES = 2000  # that wait; half a MB, as most are
GATHER_S = 0.01
END_S = 1.0  # for the lines that are left at the end


class LogWriter:
    """Takes lines without ever waiting."""

    def __init__(self, descriptor: int, tell_lost: Callable[[int], str]) -> None:
        """Write to `descriptor`. `tell_lost` makes the line that says how many were lost."""
        self._descriptor = descriptor
        self._tell_lost = tell_lost
        self._lines: deque[str] = deque()
        self._lost = 0  # since that was last said
        self._lock = threading.Lock()
        self._there = threading.Event()
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="birdlite-log", daemon=True)
        self._thread.start()

    def put(self, lines: str) -> None:
        """Write some lines soon."""
        with self._lock:
            if len(self._lines) >= MOST_LINES or not self._thread.is_alive():
                self._lost += 1
                log.count_lost()
                return
            self._lines.append(lines)
        self._there.set()

    def close(self) -> bool:
        """Write what is left, within `END_S`. False if it could not be: nobody reads it."""
        self._ending = True
        self._there.set()
        self._thread.join(END_S)
        return not self._thread.is_alive()

    def _run(self) -> None:
        over = False
        while not over:
            self._there.wait()
            if not self._ending:
                time.sleep(GATHER_S)
            self._there.clear()
            lines, lost = self._take()
            text = "".join(lines) + (self._tell_lost(lost) if lost else "")
            try:
                self._write(text.encode("utf-8", "backslashreplace"))
            except OSError:  # the disk is full, perhaps not for ever; or standard error is closed
                with self._lock:
                    self._lost += lost + len(lines)
                    log.count_lost(len(lines))
            over = self._ending and not self._lines

    def _take(self) -> tuple[list[str], int]:
        """The lines that wait, and how many were lost before."""
        with self._lock:
            taken = list(self._lines), self._lost
            self._lines.clear()
            self._lost = 0
        return taken

    def _write(self, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:
                select.select([], [self._descriptor], [])
