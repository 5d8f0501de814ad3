"""A service on the demo's model. Tests share one classifier, and each has a service of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from birdlite import Classifier, FetchSettings, Settings
from birdlite.models.catalog import DEMO_MODEL
from birdlite.serve.admission import Place
from tests.service_process import Process, Start
from tests.serving import Running, Serve

WORKERS, DOWNLOADS = 1, 2


@pytest.fixture(scope="session")
def settings(filled_cache: Path) -> Settings:
    fetch = FetchSettings(retries=0, downloads=DOWNLOADS, max_bytes=1 << 20)
    return Settings(model=DEMO_MODEL, cache_dir=str(filled_cache), workers=WORKERS, fetch=fetch)


@pytest.fixture(scope="session")
def classifier(settings: Settings) -> Iterator[Classifier]:
    with Classifier(settings) as made:
        yield made


@pytest.fixture
def serve(classifier: Classifier, settings: Settings) -> Iterator[Serve]:
    """Starts a service with options of its own; it ends with the test."""
    with contextlib.ExitStack() as services:

        def start(**options: Any) -> Running:
            return services.enter_context(Running(classifier, settings, **options))

        yield start


@pytest.fixture(scope="module")
def usual_service(classifier: Classifier, settings: Settings) -> Iterator[Running]:
    with Running(classifier, settings) as running:
        yield running


@pytest.fixture
def service(usual_service: Running) -> Running:
    """A service with the usual options. The tests of a module share it."""
    usual_service.take_log()
    return usual_service


@pytest.fixture
def ageless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures that are held count as if they had just begun, so a slow machine changes no guess of a wait."""
    monkeypatch.setattr(Place, "age", lambda *_: 0.0)


@pytest.fixture
def start(warm_cache: Path) -> Iterator[Start]:
    """Starts a process on the demo's model."""
    started: list[Process] = []

    def start(*arguments: str, **variables: Any) -> Process:
        usual = ("--model", DEMO_MODEL, "--cache-dir", str(warm_cache), "--drain", "0.1", "--allow-private")
        started.append(Process(*usual, *arguments, **variables))
        return started[-1]

    yield start
    for process in started:
        process.__exit__(None, None, None)
