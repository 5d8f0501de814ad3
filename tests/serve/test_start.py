"""What can go wrong before the service is ready, beside its port and its model: `test_process` has those."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from birdlite import Classifier, Settings
from birdlite.demo import FOLDER
from birdlite.errors import EngineError, installing
from birdlite.models.catalog import DEMO_MODEL
from birdlite.serve import first_picture, packages
from tests.command_line import Run
from tests.demo_world import PICTURES
from tests.origin import PATIENCE, Origin
from tests.service_process import Start, post

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]

# Packages


@pytest.mark.parametrize("name", packages.NAMES)
def test_a_package_that_is_missing_is_known_before_the_model_is_asked_for(
    run: Run, origin: Origin, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setitem(sys.modules, name, None)

    code, out, err = run("serve", "--port", "0", "--no-cache", "--mirror", origin.base)

    assert (code, out) == (3, "")
    assert err == f"birdlite: error: the service needs the package {name}: {installing('serve')}\n"
    assert origin.requests == []


def test_the_packages_are_those_of_the_extra() -> None:
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["serve"]

    assert [name.partition(">")[0].replace("-", "_") for name in extra] == list(packages.NAMES)


@pytest.mark.parametrize("fault", ["raise ImportError('libm.so is missing')", "1 / 0"])
def test_a_package_that_is_imported_later_and_is_broken_ends_the_service(
    start: Start, tmp_path: Path, fault: str
) -> None:
    (tmp_path / "prometheus_client.py").write_text(fault)

    code, _, err = start(PYTHONPATH=str(tmp_path)).end()

    assert code == 3
    assert err.splitlines()[-1].startswith("birdlite: error: a package of the service cannot be imported (")
    assert installing("serve") in err
    assert "Traceback" not in err


def test_a_package_that_is_broken_ends_the_start(start: Start, tmp_path: Path) -> None:
    (tmp_path / "starlette.py").write_text("raise ImportError('half of it is missing')")

    code, _, err = start(PYTHONPATH=str(tmp_path)).end()

    assert (code, err.count("\n")) == (3, 1), err
    assert "cannot be imported (ImportError: half of it is missing)" in err


# Options


@pytest.mark.parametrize(
    "option",
    [("--allow-private",), ("--allow-host", "a.example"), ("--allow-port", "8080")],
    ids=lambda option: option[0],
)
def test_to_fetch_nothing_and_to_allow_more_to_be_fetched_contradict_each_other(
    run: Run, option: tuple[str, ...]
) -> None:
    code, out, err = run("serve", "--port", "0", "--no-urls", *option)

    assert (code, out) == (2, "")
    assert err.startswith(f"birdlite: error: --no-urls and {option[0]}: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--queue", "-1"), "--queue -1: must be between 0 and 1000000 (see birdlite serve --help)"),
        (("--memory", "1k"), "--memory 1024 bytes: too little; the smallest is "),
        (("--workers", "2"), "no option --workers (see birdlite serve --help)"),
        (("--hots", "0.0.0.0"), "no option --hots; did you mean --host? (see birdlite serve --help)"),
    ],
)
def test_a_mistake_is_told_plainly(run: Run, arguments: tuple[str, ...], complaint: str) -> None:
    code, out, err = run("serve", "--port", "0", "--model", DEMO_MODEL, *arguments)

    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"birdlite: error: {complaint}")


def test_a_proxy_that_cannot_be_used_is_told_at_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://127.0.0.1:1")

    code, out, err = run("serve", "--port", "0", "--model", DEMO_MODEL)

    assert (code, out) == (2, "")
    assert err.startswith("birdlite: error: the proxy that the environment names cannot be used: ")


def test_help_speaks_of_what_the_service_has(run: Run) -> None:
    words = " ".join(run("serve", "--help")[1].split())

    assert "--public-only," not in words
    assert "With --public-only" not in words
    assert "Also fetch URLs from HOST" in words
    assert "Try for SECONDS to reach the model, then give up." in words


def test_a_port_that_it_chose_is_said_even_if_it_is_to_be_quiet(start: Start) -> None:
    process = start("--quiet")
    process.ready()
    process.process.send_signal(signal.SIGTERM)
    code, _, err = process.end()

    assert (code, err.count("\n")) == (0, 1), err


# The model


@pytest.mark.parametrize(
    ("bound", "size"), [("--max-pixels", "1000"), ("--max-bytes", "1k")], ids=lambda value: value.strip("-")
)
def test_a_bound_on_pictures_does_not_keep_it_from_becoming_ready(start: Start, bound: str, size: str) -> None:
    """The first picture, which loads the model, is its own."""
    answer = post(start(bound, size).ready(), PICTURES[0].read_bytes())

    assert (answer.status_code, answer.json()["kind"]) == (413, "too_large")


def test_a_first_picture_that_fails_is_an_error_that_names_it(
    classifier: Classifier, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = first_picture.FIRST._replace(location=str(tmp_path / "lost.jpg"))
    monkeypatch.setattr(first_picture, "FIRST", lost)

    with pytest.raises(EngineError, match=r"^the service cannot become ready: the first picture: no such file$"):
        first_picture.begin(classifier, settings).result(PATIENCE)


def test_a_source_that_says_nothing_is_waited_for_as_long_as_the_start_may_take(
    start: Start, origin: Origin, tmp_path: Path
) -> None:
    """Its own timeouts and retries do not come on top."""
    origin.serve_folder("/demo.birdlite.invalid", Path(FOLDER))
    origin.hold("/demo.birdlite.invalid/model.tflite")
    patient = ("--read-timeout", "1000", "--retries", "20")
    arguments = ("--mirror", origin.base, "--cache-dir", str(tmp_path / "empty"), *patient)

    code, _, err = start(*arguments, "--startup-timeout", "2").end()

    assert (code, err.count("\n")) == (4, 1), err
    assert "no answer in time: waiting for 127.0.0.1; given up after 2 s (--startup-timeout)" in err
