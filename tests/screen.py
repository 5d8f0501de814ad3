"""A real terminal, and what a person would see on it. Tests use it in place of standard output and standard error."""

from __future__ import annotations

import os
import sys
import threading
import tty
from typing import TextIO

import pytest

from birdlite.cli import main


class Screen:
    """A pseudo-terminal that changes nothing, and everything that was written to it."""

    def __init__(self) -> None:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self._seen = bytearray()
        self._reader = threading.Thread(target=self._read, name="screen")
        self._reader.start()

    @property
    def name(self) -> str:
        """The path of the terminal."""
        return os.ttyname(self._slave)

    def stream(self, errors: str) -> TextIO:
        """The terminal as a text stream."""
        return open(os.dup(self._slave), "w", encoding="utf-8", errors=errors)

    def close(self) -> str:
        """The end; everything that was written. All streams must be closed already."""
        os.close(self._slave)
        self._reader.join()
        os.close(self._master)
        return self._seen.decode()

    def _read(self) -> None:
        while True:
            try:
                part = os.read(self._master, 65536)
            except OSError:  # nothing has the terminal open any more
                return
            self._seen += part


def on_screen(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> tuple[int, str, str]:
    """Run a command line on two real terminals; gives its exit code, and what each of them got."""
    out, err = Screen(), Screen()
    with monkeypatch.context() as patch, out.stream("strict") as stdout, err.stream("backslashreplace") as stderr:
        patch.setattr(sys, "stdout", stdout)
        patch.setattr(sys, "stderr", stderr)
        try:
            code = main(
                [os.fspath(argument) if isinstance(argument, os.PathLike) else str(argument) for argument in arguments]
            )
        finally:
            stdout.close()
            stderr.close()
            shown = out.close(), err.close()
    return code, *shown
