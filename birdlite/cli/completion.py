"""`birdlite completion SHELL`: the script that completes commands, options and values in a shell. It is click's own."""

from __future__ import annotations

import sys
from types import SimpleNamespace

from birdlite.cli.declare import Argument, Command, Value
from birdlite.cli.exit_codes import EXIT_OK
from birdlite.cli.shell import COMPLETE_VARIABLE, PROGRAM, SHELLS
from birdlite.cli.values import choice

EPILOG = """\
\b
bash: put this line into ~/.bashrc:              eval "$(birdlite completion bash)"
zsh:  put this line into ~/.zshrc, after compinit: eval "$(birdlite completion zsh)"
fish: put this line into ~/.config/fish/config.fish: birdlite completion fish | source
"""


def main(values: SimpleNamespace, started: float) -> int:
    """Run the command."""
    script = SHELLS[values.shell](command(), {}, PROGRAM, COMPLETE_VARIABLE)
    sys.stdout.write(script.source())
    return EXIT_OK


def command() -> Command:
    """Declare the command."""
    return Command(
        "completion",
        main,
        [Argument("shell", metavar="SHELL", type=Value(choice, *SHELLS), help="bash, zsh or fish.")],
        help="Print the script that completes commands, options, values and files of birdlite in a shell.",
        epilog=EPILOG,
    )
