"""Fixtures for the tests of models: one that is published on the local server, and a cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from birdlite.models.catalog import Entry
from tests.magpie import CONTENTS, entry_at
from tests.origin import Origin


@pytest.fixture
def entry(origin: Origin) -> Entry:
    """The magpie's model, served by the local origin."""
    for name, data in CONTENTS.items():
        origin.serve(f"/{name}", data)
    return entry_at(origin.base)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A folder for models that is not there yet."""
    return tmp_path / "cache"
