"""What uvicorn, asyncio and others say goes through birdlite's log: one line each, in the format that was chosen."""

from __future__ import annotations

import asyncio
import logging

from birdlite import log
from birdlite.errors import one_line

LEVELS = {
    "uvicorn": logging.ERROR,
    "uvicorn.error": logging.ERROR,
    "asyncio": logging.ERROR,
    "python_multipart": logging.ERROR,
}
"""uvicorn and python_multipart warn of requests that make no sense, which `connection` and the answer tell in full, and
asyncio of answers in lines whose client has just gone, which the status 499 tells."""


def take_over() -> None:
    """Take over their loggers, for the life of this process."""
    handler = _Handler()
    for name, level in LEVELS.items():
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(level)


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, asyncio.CancelledError):  # what is under way at the end of the grace
            return
        if record.args == (0,) and record.msg.startswith("Cancel %s running task"):  # nothing is, but a client lingers
            return
        cause = f": {type(error).__name__}: {one_line(error)}" if error is not None else ""
        say = log.error if record.levelno >= logging.ERROR else log.warning
        say(f"{record.name.partition('.')[0]}: {one_line(record.getMessage())}{cause}")
