"""Completion, in the shells that people use: what is offered after a tab."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from birdlite.cli.group import COMMANDS
from tests.command_line import Run
from tests.shells import Shell

ROOT = Path(__file__).parents[2]

OFFERED = {
    "birdlite ": " ".join(COMMANDS),
    "birdlite m": "merge model",
    "birdlite --": "--version --help",
    "birdlite classify --na": "--names",
    "birdlite classify --no": "--no-timing --no-cache",
    "birdlite classify a.jpg --top 5 --ret": "--retry-failed --retries",
    "birdlite classify --names ": "scientific common both",
    "birdlite classify --model birds": "birds-v1-lite birds-v1-lite-int8",
    "birdlite model ": "fetch list show verify path remove",
    "birdlite completion ": "bash zsh fish",
}
COMPLETED = {
    "birdlite cl": "birdlite classify",
    "birdlite classify --max-p": "birdlite classify --max-pixels",
    "birdlite classify --resize s": "birdlite classify --resize squash",
    "birdlite classify --resize=s": "birdlite classify --resize=squash",
    "birdlite classify --model=birds-v1-lite-": "birdlite classify --model=birds-v1-lite-int8",
    "birdlite model show birds-v1-lite-": "birdlite model show birds-v1-lite-int8",
    "birdlite classify my": "birdlite classify my\\ photo.jpg",
    "birdlite classify al": "birdlite classify album/",
    "birdlite classify --report p": "birdlite classify --report page.html",
    "birdlite classify --cache-dir a": "birdlite classify --cache-dir album/",
    "birdlite classify --cache-dir=a": "birdlite classify --cache-dir=album/",
    "birdlite classify --model p": "birdlite classify --model page.html",
}


@pytest.fixture(scope="module", params=["bash", "zsh"])
def shell(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A shell in a folder with a few files."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "album").mkdir()
    for name in ("my photo.jpg", "page.html"):
        (folder / name).write_text("")
    shell = Shell(request.param, folder)
    yield shell
    shell.close()


@pytest.mark.parametrize("line", OFFERED)
def test_everything_that_fits_is_offered(shell: Shell, line: str) -> None:
    assert shell.offers(line) == f"{line.rpartition(' ')[0]} {OFFERED[line]}"


@pytest.mark.parametrize("line", COMPLETED)
def test_what_alone_fits_is_put_in(shell: Shell, line: str) -> None:
    assert shell.completes(line) == COMPLETED[line]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_is_printed(run: Run, shell: str) -> None:
    code, out, err = run("completion", shell)

    assert (code, err) == (0, "")
    assert f"_BIRDLITE_COMPLETE={shell}_complete" in out


def test_an_unknown_shell_is_wrong_usage(run: Run) -> None:
    assert run("completion", "zhs") == (
        2,
        "",
        "birdlite: error: SHELL zhs: not one of bash, zsh, fish; did you mean zsh? (see birdlite completion --help)\n",
    )


def test_the_completion_of_commands_imports_no_other_command() -> None:
    code = "import sys; from birdlite.cli import main; main([]); print(*sys.modules, file=sys.stderr)"
    environment = {"_BIRDLITE_COMPLETE": "bash_complete", "COMP_WORDS": "birdlite\ncl", "COMP_CWORD": "1"}
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )

    assert run.stdout == "plain,classify\n"
    assert set(run.stderr.split()) & {f"birdlite.cli.{name}" for name in COMMANDS} == {"birdlite.cli.completion"}


def test_mistakes_elsewhere_do_not_stop_completion(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_BIRDLITE_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "birdlite\nclassify\n--top\nmany\n--nonsense\n--nam")
    monkeypatch.setenv("COMP_CWORD", "5")
    monkeypatch.setenv("BIRDLITE_NO_TIMING", "maybe")
    monkeypatch.setenv("BIRDLITE_OFFLINE", "maybe")

    assert run() == (0, "plain,--names\n", "")
