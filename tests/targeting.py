"""Helpers for the tests of targets."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from birdlite.results import Failure
from birdlite.targets import BadTarget, Target
from birdlite.targets.expand import expand


def only(*arguments: str) -> Target | BadTarget:
    (target,) = expand(arguments)
    return target


def failure_of(*arguments: str) -> Failure:
    target = only(*arguments)
    assert isinstance(target, BadTarget)
    return target.failure


@contextmanager
def without_rights(folder: Path) -> Iterator[None]:
    """Be a user who may read little, because root may read everything. `folder` stays readable."""
    if os.geteuid() != 0:
        yield
        return
    folder.chmod(0o755)
    try:
        os.seteuid(65534)
    except OSError:
        pytest.skip("root may read everything here and cannot become another user")
    try:
        yield
    finally:
        os.seteuid(0)
