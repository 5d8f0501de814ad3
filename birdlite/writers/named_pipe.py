"""Opens a named pipe for an `Output`, as soon as something reads it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from time import sleep

from birdlite import log
from birdlite.timing import clock

READER_S = 10.0  # s to wait for the reader: a person starts it in another window
_POLL_S = 0.05


def open_pipe(path: str, cancelled: Callable[[], bool]) -> int:
    """Open a named pipe. If it has no reader, say so, and wait for one for `READER_S`.

    Raises:
        OSError: it has no reader, or cannot be opened.
    """
    until = clock() + READER_S
    waiting = False
    while True:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            if cancelled():
                raise InterruptedError(errno.EINTR, "interrupted while nothing reads this pipe") from None
            if clock() >= until:
                raise TimeoutError(errno.ETIMEDOUT, "nothing reads this pipe") from None
        else:
            os.set_blocking(descriptor, True)
            return descriptor
        if not waiting:
            log.warning(f"{path} is a pipe; waiting for something to read it")
            waiting = True
        sleep(_POLL_S)
