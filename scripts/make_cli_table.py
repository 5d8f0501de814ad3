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
from birdlite.cli.environment import WITHOUT_OPTION
from birdlite.cli.group import birdlite

TABLE = Path(__file__).parents[1] / "birdlite" / "cli" / "table.py"

HEAD = '''\
"""The options as plain data: those of `classify`, and the variables of all commands.

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
    options = options_of(every["classify"])
    defaults = defaults_of(every["classify"])
    opposites = [(option.secondary_opts[0], (option.name, option.opposite)) for option in options if option.opposite]
    variables = {name for command in every.values() for option in options_of(command) for name in _variables(option)}
    names = sorted((name, option.name) for option in options for name in option.opts)
    return HEAD + "\n\n".join(
        [
            _mapping("OPTION_NAMES: dict[str, str]", names, "The value that each option sets."),
            _mapping(
                "OPPOSITES: dict[str, tuple[str, str]]",
                opposites,
                "The value that each `--no-…` sets to False, and the variable that does the same.",
            ),
            _mapping(
                "OPTIONS: dict[str, tuple[str, str, tuple[object, ...], object]]",
                [(option.name, _row(option, defaults[option.name])) for option in options],
                "For each value: its kind, its variable, the function of `values` with its arguments, the default.",
            ),
            _set("VARIABLES", variables | WITHOUT_OPTION, "The variables that birdlite reads, whatever the command."),
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


def _variables(option: Option) -> list[str]:
    assert isinstance(option.envvar, str)
    return [option.envvar, option.opposite] if option.opposite else [option.envvar]


def _row(option: Option, default: object) -> tuple[object, ...]:
    reading = option.type
    read = (reading.name, *reading.arguments) if isinstance(reading, Value) else ("truth",)
    return (kind_of(option), option.envvar, read, default)


def _mapping(name: str, entries: Iterable[tuple[str, object]], meaning: str) -> str:
    lines = "".join(f"    {_literal(key)}: {_literal(value)},\n" for key, value in entries)
    return f'{name} = {{\n{lines}}}\n"""{meaning}"""\n'


def _set(name: str, entries: set[str], meaning: str) -> str:
    lines = "".join(f"        {_literal(entry)},\n" for entry in sorted(entries))
    return f'{name} = frozenset(\n    {{\n{lines}    }}\n)\n"""{meaning}"""\n'


def _literal(value: object) -> str:
    if isinstance(value, tuple):
        inside = ", ".join(map(_literal, value))
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    return json.dumps(value) if isinstance(value, str) else repr(value)


if __name__ == "__main__":
    main()
