"""Write `docs/options.md`: every command with its options, made from the declarations that click reads.

    python -m scripts.make_options_page

Run this after any change to an option; a test fails if the page is not up to date.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from birdlite.cli.declare import Command, Option
from birdlite.cli.group import birdlite
from scripts.make_cli_table import commands

PAGE = Path(__file__).parents[1] / "docs" / "options.md"

HEAD = """\
# Options

<!-- Made from the declarations by `python -m scripts.make_options_page`. Do not edit. -->

This page lists every command and its options, as `birdlite COMMAND --help` does.

Each option can also be set in the environment, by the variable in the second column.
The command line wins over the variable, and an empty variable counts as unset.
A flag takes no value on the command line; its variable is `1` or `0`.
Options that may be repeated take several values, separated by commas, in their variable.
A variable `BIRDLITE_…` that no command reads causes a warning.

Options and other arguments may be mixed. After `--` there are only arguments.
A glob is a pattern of names, such as `'album/*.jpg'`. The [glossary](architecture.md#glossary) has other words.

| exit code | meaning |
|---|---|
| 0 | everything was classified |
| 1 | some pictures failed; their records say why |
| 2 | wrong usage |
| 3 | nothing could run: no model, no engine, or the results cannot be written |
| 4 | not now: what was needed is away (network, name service, storage); the same command may work later |
| 130, 143, 129 | interrupted by Ctrl-C, SIGTERM or SIGHUP; finished results have been written |
| 141 | the reader of the output went away |
"""


def main() -> None:
    """Write the page."""
    PAGE.write_text(page())
    print(f"written: {PAGE}")


def page() -> str:
    """The text of the page. A group of options that several commands share is listed once."""
    listed: dict[tuple[str, str], str] = {}
    return "\n".join([HEAD, *(_section(name, command, listed) for name, command in commands().items())])


def _section(name: str, command: Command, listed: dict[tuple[str, str], str]) -> str:
    context = click.Context(command, info_name=f"{birdlite().name} {name}")
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    parts = [f"## {name}", f"`{usage}`", command.help or ""]
    if command.arguments:
        rows = _table(
            ("argument", "meaning"), ((f"`{one.title}`", _cell(one.explanation)) for one in command.arguments)
        )
        parts.append(rows)
    for group, options in command.options.items():
        rows = _table(("option", "variable", "default", "meaning"), map(_row, options))
        first = listed.setdefault((group, rows), name)
        parts.append(f"**{group}**" if first == name else f"**{group}**: as for [{first}](#{first}).")
        parts += [rows] if first == name else []
    return "\n\n".join(parts) + "\n"


def _row(option: Option) -> tuple[str, str, str, str]:
    names = ", ".join([*option.opts, *option.secondary_opts])
    value = "" if option.is_flag else f" {option.metavar}"
    variables = [option.envvar, option.opposite] if option.opposite else [option.envvar]
    default = option.default_text
    return (
        f"`{_cell(names + value)}`",
        ", ".join(f"`{variable}`" for variable in variables),
        _cell(default),
        _cell(option.help or ""),
    )


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(line)} |" for line in (heads, *rows)]
    return "\n".join([lines[0], "|---" * len(heads) + "|", *lines[1:]])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    main()
