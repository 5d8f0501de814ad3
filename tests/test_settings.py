"""Settings are checked when they are made, and the library reads none of the command line's variables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from birdlite import Classifier, FetchSettings, Settings, UsageError
from birdlite.models.catalog import DEMO_MODEL
from tests.demo_world import PICTURES


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("top", 0, "Settings: top is 0, not a whole number from 1"),
        ("top", True, "not a whole number"),
        ("top", "3", "top is '3', not a whole number"),
        ("top", 2.0, "not a whole number"),
        ("min_score", float("nan"), "min_score is nan, not a number from 0 to 1"),
        ("min_score", 1.5, "not a number from 0 to 1"),
        ("workers", -1, "not a whole number from 0"),
        ("memory", -1, "not a whole number from 0"),
        ("max_pixels", 0, "not a whole number from 1"),
        ("decode_timeout", 0, "not a number above 0"),
        ("resize", "fit", "resize is 'fit', not one of crop, squash, exact"),
        ("engine", "torch", "not one of auto, litert, tflite, onnx"),
        ("model", "", "model is '', not text"),
        ("labels", Path("labels.csv"), "not text or None"),
        ("cache_dir", 3, "not text or None"),
        ("ordered", 1, "ordered is 1, not a bool"),
        ("fetch", {"retries": 3}, "not a FetchSettings"),
        ("fetch", FetchSettings()._replace(retries=-1), "FetchSettings: retries is -1, not a whole number from 0"),
    ],
)
def test_a_wrong_value_is_an_error_that_names_the_field(field: str, value: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Settings(**{field: value})
    with pytest.raises(UsageError, match=words):
        Classifier(Settings()._replace(**{field: value}))


@pytest.mark.parametrize(
    ("field", "value"),
    [("timeout", 0), ("timeout", "30"), ("retries", 1.5), ("max_bytes", 0), ("downloads", 0), ("mirror", 3)],
)
def test_so_it_is_for_how_to_fetch(field: str, value: Any) -> None:
    with pytest.raises(UsageError, match=f"FetchSettings: {field} is "):
        FetchSettings(**{field: value})


@pytest.mark.parametrize("made", [Settings(), FetchSettings()])
def test_every_field_is_checked(made: Any) -> None:
    for field in made._fields:
        with pytest.raises(UsageError, match=field):
            type(made)(**{field: object()})


def test_the_library_reads_no_variable_of_the_command_line(warm_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TOP": "1", "MODEL": "nosuch", "OFFLINE": "1", "MIN_SCORE": "1", "THREADS": "x"}.items():
        monkeypatch.setenv(f"BIRDLITE_{name}", value)

    with Classifier(Settings(model=DEMO_MODEL, cache_dir=str(warm_cache))) as birds:
        assert len(birds.classify(PICTURES[0]).predictions) == 3
