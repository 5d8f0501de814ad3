"""Settings are checked when they are made, and the library reads none of the command line's variables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from birdlite import Classifier, FetchSettings, Runner, RunOptions, Settings, Shard, UsageError
from birdlite.http.fetcher import Fetcher
from birdlite.models.catalog import DEMO_MODEL
from birdlite.run.options import MaxFailures
from birdlite.settings import PerHost, least_memory
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
        ("cache_dir", "a\0b", r"cache_dir is 'a\\x00b', not text"),
        ("decode_timeout", float("inf"), "decode_timeout is inf, not a number above 0 and at most 86400"),
        ("max_pixels", 10**400, "not a whole number from 1 to"),
        pytest.param("workers", 10**5000, "workers is too large, not a whole number from 0 to", id="huge"),
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
    [
        ("timeout", 0),
        ("timeout", "30"),
        ("timeout", 10**400),
        ("retries", 1.5),
        ("max_bytes", 0),
        ("downloads", 0),
        ("mirror", 3),
        ("mirror", "x"),
        ("mirror", "http://mirror.example/?a"),
        ("mirror", "http://mirror.example/a b"),
        ("user_agent", "a\nb"),
        ("user_agent", "Vögel"),
        ("allow_hosts", ("a b",)),
        ("allow_hosts", ("",)),
        ("allow_hosts", (5,)),
        ("allow_hosts", ("http://private.example",)),
        ("allow_ports", (-1,)),
        ("allow_ports", ("x",)),
        ("allow_ports", (65536,)),
        ("per_host", PerHost(general=0)),
        ("per_host", PerHost(named={"a.example": "2"})),  # type: ignore[dict-item]
    ],
)
def test_so_it_is_for_how_to_fetch(field: str, value: Any) -> None:
    with pytest.raises(UsageError, match=f"FetchSettings: {field} is "):
        FetchSettings(**{field: value})


@pytest.mark.parametrize("value", ["zz", "A" * 64, "0" * 63])
def test_a_digest_is_64_digits(value: str) -> None:
    with pytest.raises(UsageError, match=r"Settings: model_sha256 is '.*', not 64 hexadecimal digits in lower case"):
        Settings(model_sha256=value)


def test_the_least_memory_depends_on_the_workers() -> None:
    least = least_memory(3)
    assert Settings(memory=least, workers=3).memory == least

    with pytest.raises(UsageError, match=f"Settings: memory is 1, and the least with workers=3 is {least}"):
        Settings(memory=1, workers=3)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mirror", "HTTPS://me:pw@mirror.example:8443/sub/"),
        ("mirror", "http://[::1]:8080"),
        ("user_agent", "my-birds/2 (+https://example.org)"),
        (
            "allow_hosts",
            ("a.example", "a.example:80", "10.0.0.1", "::1", "[::1]:80", "a.example,b.example", "vögel.example"),
        ),
        ("allow_ports", (1, 65535)),
        ("per_host", PerHost(1, {"a.example": 2})),
        ("timeout", 86400),
    ],
)
def test_what_can_be_used_is_taken(field: str, value: Any) -> None:
    changed: dict[str, Any] = {field: value}

    assert getattr(FetchSettings(**changed), field) == value
    Fetcher(FetchSettings(public_only=True)._replace(**changed))  # says what it cannot use


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("max_failures", "x", "'x', not a MaxFailures of 0 or more"),
        ("max_failures", MaxFailures("x"), "not a MaxFailures"),  # type: ignore[arg-type]
        ("max_failures", MaxFailures(101, percent=True), "not a MaxFailures of 0 or more, 100 percent at most"),
        ("shard", Shard(0, 4)._replace(index=4), "not a Shard that can be"),
        ("output", Path("a.jsonl"), "not text or None"),
        ("output", "a\0b", "not text or None"),
        ("format", "xml", "not one of"),
        ("names", "latin", "not one of scientific, common, both"),
        ("since_output", "runs/", "not a tuple of texts"),
        ("shard", (0, 4), "not a Shard that can be, or None"),
        ("resume", 1, "not a bool"),
    ],
)
def test_so_it_is_for_a_run(field: str, value: Any, words: str) -> None:
    with pytest.raises(UsageError, match=f"^RunOptions: {field} is .*{words}"):
        RunOptions(**{field: value})
    with pytest.raises(UsageError, match=f"^RunOptions: {field} is .*{words}"):
        Runner(Settings(), RunOptions()._replace(**{field: value}))


@pytest.mark.parametrize("made", [Settings(), FetchSettings(), RunOptions()])
def test_every_field_is_checked(made: Any) -> None:
    for field in made._fields:
        with pytest.raises(UsageError, match=field):
            type(made)(**{field: object()})


def test_the_library_reads_no_variable_of_the_command_line(warm_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TOP": "1", "MODEL": "nosuch", "OFFLINE": "1", "MIN_SCORE": "1", "THREADS": "x"}.items():
        monkeypatch.setenv(f"BIRDLITE_{name}", value)

    with Classifier(Settings(model=DEMO_MODEL, cache_dir=str(warm_cache))) as birds:
        assert len(birds.classify(PICTURES[0]).predictions) == 3
