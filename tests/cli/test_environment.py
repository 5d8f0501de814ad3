"""A variable that birdlite does not read is named, with the one that was probably meant."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from birdlite.models.catalog import DEMO_MODEL
from tests.command_line import Run
from tests.demo_world import PICTURES


@pytest.fixture
def run(run: Run, monkeypatch: pytest.MonkeyPatch, warm_cache: Path) -> Run:
    """Run a command line on the demo model in a warm cache, without the table of times."""
    monkeypatch.setenv("BIRDLITE_MODEL", DEMO_MODEL)
    monkeypatch.setenv("BIRDLITE_CACHE_DIR", str(warm_cache))
    monkeypatch.setenv("BIRDLITE_NO_TIMING", "1")
    return run


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("BIRDLITE_TPO", "; did you mean BIRDLITE_TOP?"),
        ("BIRDLITE_MAX_BYTE", "; did you mean BIRDLITE_MAX_BYTES?"),
        ("BIRDLITE_SHARS", "; did you mean BIRDLITE_SHARDS?"),
        ("BIRDLITE_QWERTZ", ""),
    ],
)
def test_an_unknown_variable_is_warned_about(run: Run, name: str, hint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "1")
    warning = f"birdlite: warning: {name} is set, but birdlite does not read it{hint}\n"

    assert run("classify", PICTURES[0])[2].startswith(warning)
    assert run("classify", PICTURES[0], "--", PICTURES[1])[2].startswith(warning)  # read by click
    assert run("model", "list")[::2] == (0, warning)
    assert run("classify", "-q", PICTURES[0])[::2] == (0, "")


@pytest.mark.parametrize(
    ("arguments", "error"), [((), "nothing to classify"), (("--tpo", "3"), "no option --tpo; did you mean --top?")]
)
def test_the_warning_comes_before_the_error_that_explains_it(
    run: Run, arguments: tuple[str, ...], error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BIRDLITE_FORM", "list.txt")

    first, second = run("classify", *arguments)[2].splitlines()

    assert first.endswith("did you mean BIRDLITE_FROM?")
    assert error in second


def test_the_warning_has_the_format_of_other_messages(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIRDLITE_TPO", "1")
    monkeypatch.setenv("BIRDLITE_LOG_FORMAT", "json")

    assert json.loads(run("classify", PICTURES[0])[2].splitlines()[0])["level"] == "warning"


def test_an_error_before_the_options_are_read_has_the_format_of_the_variable(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BIRDLITE_LOG_FORMAT", "json")

    assert json.loads(run("classify", "--tpo")[2])["level"] == "error"


@pytest.mark.parametrize(
    "name",
    [
        "BIRDLITE_SHARDS",
        "BIRDLITE_TRACEBACK",
        "BIRDLITE_CALIBRATE",
        "BIRDLITE_TOP",
        "BIRDLITE_SERVICE_HOST",
        "BIRDLITE_SERVICE_PORT_HTTP",
        "BIRDLITE_PORT_80_TCP_ADDR",
        "_BIRDLITE_COMPLETE",
        "BIRDLITER",
    ],
)
def test_known_variables_and_those_of_kubernetes_are_not_warned_about(
    run: Run, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "1")

    assert run("model", "list")[::2] == (0, "")
