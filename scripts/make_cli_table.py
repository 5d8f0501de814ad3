"""Write `birdlite/cli/table.py`: the options as plain data, made from the declarations that click reads.

    python -m scripts.make_cli_table

A plain command line of `classify` is read from that table without importing click. Run this after any change to an
option; a test fails if the table is not up to date.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from unittest.mock import patch

import click

from birdlite.cli.declare import Command, Option, Value
from birdlite.cli.group import birdlite

TABLE = Path(__file__).parents[1] / "birdlite" / "cli" / "table.py"

HEAD = '''\
"""The options as plain data: those of `classify`, and the names of all others.

Made from the declarations by `python -m scripts.make_cli_table`. Do not edit it; a test fails if it is not up to date.
"""

from __future__ import annotations

'''


def main() -> None:
    """Write the table."""
    TABLE.write_text(table())
    print(f"written: {TABLE}")


def commands() -> dict[str, Command]:
    """All commands, by their names."""
    group = birdlite()
    context = click.Context(group, info_name=group.name)
    found = {name: group.get_command(context, name) for name in group.list_commands(context)}
    return {name: command for name, command in found.items() if isinstance(command, Command)}


def options_of(command: Command) -> list[Option]:
    """The options of a command, in the order of its help."""
    return [param for param in command.params if isinstance(param, Option)]


def table() -> str:
    """The text of the module."""
    every = commands()
    options = {option.opts[-1]: option for option in options_of(every["classify"])}
    defaults = defaults_of(every["classify"])
    others = {option.opts[-1] for command in every.values() for option in options_of(command)} - set(options)
    short = [(option.opts[0], name) for name, option in options.items() if len(option.opts) > 1]
    opposites = [(option.secondary_opts[0], name) for name, option in options.items() if option.opposite]
    return HEAD + "\n\n".join(
        [
            _mapping(
                "OPTIONS: dict[str, tuple[str, str, tuple[object, ...], object]]",
                [(name, _row(option, defaults[option.name])) for name, option in options.items()],
                "The name of each option's value, its kind, the function of `values` with its arguments, the default.",
            ),
            _line("SHORT", short, "Options in one letter."),
            _line("OPPOSITES", opposites, "What sets a switch to False."),
            _tuple("OTHERS", sorted(others), "The options of all other commands."),
        ]
    )


def kind_of(option: Option) -> str:
    """What an option takes: nothing, a value, or a value each time."""
    if option.is_flag:
        return "switch" if option.opposite else "flag"
    return "values" if option.multiple else "value"


def defaults_of(command: Command) -> dict[str, object]:
    """The values of a command line without any option, where no variable is set."""
    with patch.dict(os.environ, clear=True):
        return command.make_context(command.name, []).params


def _row(option: Option, default: object) -> tuple[object, ...]:
    reading = option.type
    read = (reading.name, *reading.arguments) if isinstance(reading, Value) else ("truth",)
    return (option.name, kind_of(option), read, default)


def _mapping(name: str, entries: Iterable[tuple[str, object]], meaning: str) -> str:
    lines = "".join(f"    {_literal(key)}: {_literal(value)},\n" for key, value in entries)
    return f'{name} = {{\n{lines}}}\n"""{meaning}"""\n'


def _line(name: str, entries: Iterable[tuple[str, str]], meaning: str) -> str:
    inside = ", ".join(f"{_literal(key)}: {_literal(value)}" for key, value in entries)
    return f'{name} = {{{inside}}}\n"""{meaning}"""\n'


def _tuple(name: str, entries: Iterable[str], meaning: str) -> str:
    lines = "".join(f"    {_literal(entry)},\n" for entry in entries)
    return f'{name} = (\n{lines})\n"""{meaning}"""\n'


def _literal(value: object) -> str:
    if isinstance(value, tuple):
        inside = ", ".join(map(_literal, value))
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    return json.dumps(value) if isinstance(value, str) else repr(value)


if __name__ == "__main__":
    main()
