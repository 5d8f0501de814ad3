"""The command `birdlite` itself: its help, and what it says to a command line that it cannot read."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from birdlite.cli.console import known_variables
from birdlite.cli.declare import Option
from birdlite.cli.group import COMMANDS
from scripts.make_cli_table import commands
from tests.command_line import Run


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_its_options_their_variables_and_defaults(name: str, run: Run) -> None:
    command = commands()[name]

    code, out, err = run(name, "--help")

    assert (code, err) == (0, "")
    shown = "".join(out.split())  # help is wrapped, at hyphens too
    assert f"Usage:birdlite{name}" in shown
    for option in command.params:
        if isinstance(option, Option):
            assert option.envvar in known_variables()
            assert f"envvar:{option.envvar}" in shown
            assert "".join(option.default_text.split()) in shown
            assert option.help is not None
            assert option.help.endswith(".")


def test_help_shows_the_default_of_an_option(run: Run) -> None:
    words = " ".join(run("classify", "-h")[1].split())

    assert "--top N Give up to N candidates for each picture. [env var: BIRDLITE_TOP; default: 3]" in words
    assert "[env var: BIRDLITE_MAX_BYTES; default: 64M]" in words


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("classify", "the model, and lists, outputs and earlier results in object storage"),
        *((name, "the model") for name in ("serve", "model", "convert", "evaluate", "bench")),
        *((name, "object storage") for name in ("merge", "report")),
    ],
)
def test_help_says_what_a_command_waits_for(name: str, needed: str, run: Run) -> None:
    assert f"Try for SECONDS to reach {needed}, then give up." in " ".join(run(name, "--help")[1].split())


def test_birdlite_alone_shows_the_help_as_an_error(run: Run) -> None:
    code, out, err = run()

    assert (code, out) == (2, "")
    assert err == run("--help")[1]


def test_help_is_a_command_too(run: Run) -> None:
    assert run("help") == run("--help")
    assert run("help", "merge") == run("merge", "--help")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (
            ["classify", "a.jpg", "--format"],
            "--format needs a value: text|json|jsonl|csv (see birdlite classify --help)",
        ),
        (["clasify", "a.jpg"], "no command 'clasify'; did you mean classify? (see birdlite --help)"),
        (["xyz"], "no command 'xyz' (see birdlite --help)"),
        (["version"], "no command 'version'; did you mean --version? (see birdlite --help)"),
        (["conversion"], "no command 'conversion' (see birdlite --help)"),
        (["-V"], "no option -V; did you mean --version? (see birdlite --help)"),
        (["classify", "-V"], "no option -V (see birdlite classify --help)"),
        (["classify", "--tpo", "5"], "no option --tpo; did you mean --top? (see birdlite classify --help)"),
        (
            ["classify", "--no-timign"],
            "no option --no-timign; did you mean --no-timing? (see birdlite classify --help)",
        ),
        (["--top", "5", "a.jpg"], "--top must stand behind a command: birdlite classify --top … (see birdlite --help)"),
        (["--tpo"], "no option --tpo (see birdlite --help)"),
        (
            ["classify", "--format", "jsn"],
            "--format jsn: not one of text, json, jsonl, csv; did you mean json? (see birdlite classify --help)",
        ),
        (["completion"], "SHELL is missing: bash, zsh or fish (see birdlite completion --help)"),
        (["model", "fech"], "did you mean fetch? (see birdlite model --help)"),
        (["classify", "-o"], "-o needs a value: FILE (see birdlite classify --help)"),
        (
            ["classify", "--output", "--format", "json"],
            "--output needs a value, and --format is an option (see birdlite classify --help)",
        ),
        (["demo", "x"], "Got unexpected extra argument (x) (see birdlite demo --help)"),
    ],
)
def test_a_mistake_is_one_line_that_helps(run: Run, arguments: list[str], complaint: str) -> None:
    code, out, err = run(*arguments)

    assert (code, out) == (2, "")
    assert err.startswith("birdlite: error: ")
    assert err.endswith(f"{complaint}\n")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["photo.jpg"], "birdlite classify photo.jpg"),
        (["my photo.jpg"], "birdlite classify 'my photo.jpg'"),
        (["album/"], "birdlite classify album/"),
        (["here"], "birdlite classify here"),
        (["https://example.org/bird.jpg"], "birdlite classify https://example.org/bird.jpg"),
        (["s3://bucket/album/"], "birdlite classify s3://bucket/album/"),
        (["photos*"], "birdlite classify 'photos*'"),
        (["-"], "birdlite classify -"),
        (["a.jpg", "b.jpg"], "birdlite classify a.jpg …"),
    ],
)
def test_a_target_without_a_command_names_the_command_that_was_meant(
    run: Run, arguments: list[str], meant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)

    assert run(*arguments) == (
        2,
        "",
        f"birdlite: error: {arguments[0]} is not a command; to classify it: {meant} (see birdlite --help)\n",
    )


def test_a_command_is_imported_when_it_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in COMMANDS:
        monkeypatch.delitem(sys.modules, f"birdlite.cli.{name}", raising=False)

    run("completion", "--help")

    assert {name for name in COMMANDS if f"birdlite.cli.{name}" in sys.modules} == {"completion"}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["classify", "-rf.jpg"], "no option -r; -rf.jpg is a file here: write ./-rf.jpg or put -- before it"),
        (["classify", "a.jpg", "--tip.jpg"], "no option --tip.jpg; --tip.jpg is a file here: write ./--tip.jpg or put"),
        (["classify", "-q.jpg"], "no option -.; -q.jpg is a file here: write ./-q.jpg or put -- before it"),
        (["merge", "-rf.jpg"], "-rf.jpg is a file here"),
    ],
)
def test_a_file_that_is_taken_as_an_option_is_named_in_the_error(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], complaint: str
) -> None:
    """As a shell gives it for `*`."""
    for name in ("-rf.jpg", "-q.jpg", "--tip.jpg"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)

    code, out, err = run(*arguments)

    assert (code, out) == (2, "")
    assert complaint in err
    assert err.count("\n") == 1


def test_an_option_that_is_also_a_file_here_is_taken_with_a_warning(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "--offline").touch()
    (tmp_path / "-list.txt").touch()
    monkeypatch.chdir(tmp_path)
    warning = "birdlite: warning: --offline was taken as an option; --offline is a file here: write ./--offline or"

    assert warning in run("classify", "--offline", "https://example.org/a.jpg", "-o", "out.csv")[2]
    assert "is a file here" not in run("classify", "--from", "-list.txt")[2]  # it is the value of one
    assert "is a file here" not in run("classify", "--", "--offline")[2]
    assert "is a file here" not in run("classify", "./--offline")[2]


@pytest.mark.parametrize(
    "line",
    [
        ("classify", "a.jpg", "-o", "https://example.org/a.jsonl"),
        ("classify", "a.jpg", "-o", "https://example.org/a.jsonl", "--resume"),
        ("classify", "a.jpg", "--report", "ftp://example.org/a.html"),
        ("classify", "a.jpg", "--cache-dir", "https://example.org/cache"),
        ("classify", "a.jpg", "--scratch", "s3://bucket/a"),
        ("merge", "nothing", "-o", "https://example.org/a.jsonl"),
        ("merge", "nothing", "-o", "https://example.org/a.jsonl", "--newest"),
        ("report", "nothing", "-o", "http://example.org/a.html"),
        ("convert", "a.tflite", "-o", "https://example.org/model"),
        ("model", "fetch", "--cache-dir", "gs://bucket/cache"),
    ],
)
def test_nothing_is_written_to_a_url_and_this_is_known_before_the_work(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)

    code, out, err = run(*line)

    assert (code, out) == (2, "")
    assert "not to a URL" in err or "not a URL" in err
    assert list(tmp_path.iterdir()) == []
