"""`birdlite completion SHELL`: click's completion, with what it lacks for `--option=value`."""

from __future__ import annotations

from types import SimpleNamespace

from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
)

from birdlite.cli.console import say
from birdlite.cli.declare import COMPLETE_VARIABLE, PROGRAM, Argument, Command, Value
from birdlite.cli.exit_codes import EXIT_OK
from birdlite.cli.values import choice

EPILOG = """\
\b
bash: put this line into ~/.bashrc:              eval "$(birdlite completion bash)"
zsh:  put this line into ~/.zshrc, after compinit: eval "$(birdlite completion zsh)"
fish: put this line into ~/.config/fish/config.fish: birdlite completion fish | source
"""


@add_completion_class
class _Bash(BashComplete):
    """Bash splits `--resize=cr` at the `=`, into three words. The `=` in the middle is dropped."""

    def get_completion_args(self) -> tuple[list[str], str]:
        words, incomplete = super().get_completion_args()
        return (words[:-1] if words[-1:] == ["="] else words), incomplete


class _WholeWord(ShellComplete):
    """Shells that put what is offered in the place of all of `--resize=cr`."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        items = super().get_completions(args, incomplete)
        option, equals, _ = incomplete.partition("=")
        if equals and option.startswith("--"):
            for item in items:
                item.value = f"{option}={item.value}" if item.type == "plain" else item.value
        return items


@add_completion_class
class _Zsh(_WholeWord, ZshComplete):
    """For files, zsh itself must set the option aside."""

    source_template = ZshComplete.source_template.replace(
        "local -a response\n", "local -a response\n    compset -P '--*='\n"
    )


@add_completion_class
class _Fish(_WholeWord, FishComplete):
    """Fish needs nothing else."""


SHELLS: dict[str, type[ShellComplete]] = {"bash": _Bash, "zsh": _Zsh, "fish": _Fish}


def main(values: SimpleNamespace, started: float) -> int:
    """Run the command."""
    say(SHELLS[values.shell](COMMAND, {}, PROGRAM, COMPLETE_VARIABLE).source().rstrip(), lines=True)
    return EXIT_OK


COMMAND = Command(
    "completion",
    "Print the script that completes commands, options, values and files of birdlite in a shell.",
    EPILOG,
    arguments=[Argument("shell", "SHELL", "bash, zsh or fish.", type=Value(choice, *SHELLS))],
    options={},
)
