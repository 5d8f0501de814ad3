"""A command line inside the test's own process. Tests use it through the fixture `run`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from birdlite.cli import main

Run = Callable[..., tuple[int, str, str]]
"""Runs a command line; gives exit code, standard output and standard error."""


def runner(capsys: pytest.CaptureFixture[str]) -> Run:
    """What the fixture `run` is."""

    def run(*arguments: object) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run
