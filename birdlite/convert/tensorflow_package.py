"""TensorFlow and tf2onnx, imported when they are needed and kept quiet, and what they say went wrong in one line.

Every module here that works with TensorFlow gets it from `imported`. TensorFlow takes 3 s and 500 MB to import. It
comes with the extra `convert`.

What TensorFlow prints becomes debug lines: every call of it stands in `with quiet()`. Its C++ code prints on
descriptors 1 and 2, past Python's streams and partly past C's `stderr`. Its Python code prints, logs and warns. None of
that helps the user: what matters comes as an exception. `-v` shows the lines.

TensorFlow's own settings for this (TF_CPP_MIN_LOG_LEVEL, TF_ENABLE_ONEDNN_OPTS) are left to the user. They would have
to be in `os.environ` before the import and stay there, they do not silence everything, and `-v` could not show the
lines.
"""

from __future__ import annotations

import ctypes
import logging
import os
import re
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import IO, Any

from birdlite import log
from birdlite.errors import EngineMissing, installing, one_line

# "Graph execution error:" is followed by several lines of Python. What happened stands just before the node.
_HAPPENED = re.compile(r"^Graph execution error:.*?([^\n]+)\n\s*\[\[", re.DOTALL)

# Places in TensorFlow's own representations of the graph: `{{node x}}`, `[Op:x]`, `<unknown>:0: error: loc("x"): `.
_PLACES = re.compile(
    r"\[\[.*?\]\]|\{\{.*?\}\}|\[Op:[^\]]*\]|<unknown>:\d+: error: (?:loc\(.*?\): )?|"
    r"Could not translate MLIR to FlatBuffer\."
)

_DESCRIPTORS = (1, 2)  # standard output and standard error
_LOGGERS = ("absl", "tensorflow", "tf2onnx")  # those of the packages that are called here

MOST_TOLD = 256 * 1024
"""Characters of output that become lines, for each block. Some errors print the MLIR of a large model: more."""

_one_at_a_time = threading.RLock()
_inside = False


def require(*packages: str) -> None:
    """Check that packages (`tensorflow`, `tf2onnx`) are installed, without importing them.

    Raises:
        EngineMissing: one is not; the message names the extra to install.
    """
    for package in packages:
        if find_spec(package) is None:
            raise EngineMissing(f"this conversion needs {package}: {installing('convert')}")


def imported(package: str = "tensorflow") -> Any:
    """Import a package without printing anything on the user's terminal.

    Raises:
        EngineMissing: it is not installed, or does not work here; the message names the extra to install.
    """
    require(package)
    try:
        with quiet():
            return import_module(package)
    except ImportError as error:
        why = one_line(error)
        raise EngineMissing(f"{package} cannot be imported: {installing('convert')} ({why})") from None


def reason(error: Exception) -> str:
    """The first line of TensorFlow's message, without the places in its own graph."""
    text = str(error)
    happened = _HAPPENED.match(text)
    if happened:
        text = happened[1]
    lines = (_PLACES.sub("", line).strip() for line in text.splitlines())
    return one_line(next(filter(None, lines), type(error).__name__))


@contextmanager
def quiet() -> Iterator[None]:
    """Run the block; what it prints, logs and warns becomes debug lines when it ends.

    Both descriptors belong to the whole process. So what other threads print meanwhile becomes debug lines too, and
    the output of a block that kills the process is lost. An inner block is part of the outer one; other threads wait.
    """
    global _inside
    with _one_at_a_time:
        if _inside:
            yield
            return
        lines: list[str] = []
        _inside = True
        try:
            with _caught(lines):
                yield
        finally:
            _inside = False
            for line in lines:
                log.debug("TensorFlow printed a line", line=line)


@contextmanager
def _caught(lines: list[str]) -> Iterator[None]:
    with ExitStack() as stack:
        file = stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace"))
        stack.callback(_read, file, lines)
        for descriptor in _DESCRIPTORS:
            stack.enter_context(_redirected(descriptor, file.fileno()))
        stack.enter_context(_logs_to(file))
        warned = stack.enter_context(warnings.catch_warnings(record=True))
        warnings.simplefilter("always")
        try:
            yield
        finally:
            lines += [f"{warning.category.__name__}: {warning.message}" for warning in warned]


def _read(file: IO[str], lines: list[str]) -> None:
    file.seek(0)
    lines += file.read(MOST_TOLD).splitlines()


@contextmanager
def _redirected(descriptor: int, to: int) -> Iterator[None]:
    """Point a descriptor to another one; a closed descriptor stays closed."""
    try:
        saved = os.dup(descriptor)
    except OSError:
        yield
        return
    _flush()
    os.dup2(to, descriptor)
    try:
        yield
    finally:
        _flush()
        os.dup2(saved, descriptor)
        os.close(saved)


def _flush() -> None:
    """Write out what Python and C have buffered."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            stream.flush()
    ctypes.CDLL(None).fflush(None)


@contextmanager
def _logs_to(file: IO[str]) -> Iterator[None]:
    """Let TensorFlow's loggers write there, and not where their handlers would."""
    catcher = logging.StreamHandler(file)
    catcher.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    with ExitStack() as stack:
        for name in _LOGGERS:
            logger = logging.root.manager.loggerDict.get(name)
            if not isinstance(logger, logging.Logger):
                continue  # it does not exist yet; absl makes its own, of its own class
            stack.callback(setattr, logger, "propagate", logger.propagate)
            stack.callback(setattr, logger, "handlers", logger.handlers)
            logger.propagate, logger.handlers = False, [catcher]
        if not logging.root.handlers:  # else TensorFlow and absl would configure logging for the whole program
            logging.root.addHandler(catcher)
            stack.callback(logging.root.removeHandler, catcher)
        yield
