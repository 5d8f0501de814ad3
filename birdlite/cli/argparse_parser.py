"""What a `Parser` cannot read at a glance, read by argparse: help, mistakes, and the rarer ways to write an option.

argparse and not click, which takes five times as long to import (docs/decisions/0002).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from birdlite.cli.declaration import Command, Option
from birdlite.errors import UsageError

HELP_WIDTH = 100  # columns at most


def read(command: Command, argv: Sequence[str]) -> argparse.Namespace:
    """The values of the command line, None for an option that is not in it. `--help` prints and exits.

    Raises:
        UsageError: the command line makes no sense.
    """
    return _argparse(command).parse_intermixed_args(argv)


def _argparse(command: Command) -> argparse.ArgumentParser:
    """Tell argparse what the command has declared."""
    full = _ArgumentParser(
        prog=command.prog,
        description=command.description,
        epilog=command.epilog or None,
        formatter_class=_Help,
        allow_abbrev=False,
    )
    for dest, nargs, choices, default, metavar, text in command.positionals:
        full.add_argument(dest, nargs=nargs, choices=choices, default=default, metavar=metavar, help=text)
    groups = {title: full.add_argument_group(title) for title in command.groups}
    for option in command.options:
        _declare(full if option.group is None else groups[option.group], option)
    return full


def _declare(target: argparse._ActionsContainer, option: Option) -> None:
    if option.kind in ("flag", "switch"):
        action: Any = "store_true" if option.kind == "flag" else argparse.BooleanOptionalAction
        target.add_argument(*option.names, action=action, default=None, help=option.help)
    elif option.kind == "values":
        names, dest, metavar = option.names, option.dest, option.metavar
        target.add_argument(*names, action="append", default=None, metavar=metavar, help=option.help, dest=dest)
    else:
        text = option.help if option.default is None else f"{option.help} (default: {option.default})"
        target.add_argument(
            *option.names,
            default=None,
            type=_reporting(option.convert),
            choices=option.choices,
            metavar=option.metavar,
            help=text,
        )


class _ArgumentParser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """What argparse calls with its complaints."""
        raise UsageError(f"{message} (see {self.prog} --help)")


class _Help(argparse.HelpFormatter):
    """argparse's help, of a width that is found without importing `shutil`; it is made for every option added."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=HELP_WIDTH)

    def format_help(self) -> str:
        try:
            self._width = min(HELP_WIDTH, os.get_terminal_size(sys.stdout.fileno()).columns)
        except (OSError, ValueError, AttributeError):
            self._width = HELP_WIDTH  # not a terminal
        return super().format_help()


def _reporting(convert: Callable[[str], object]) -> Callable[[str], object]:
    """`convert`, its complaint turned into the one kind of error whose text argparse shows."""

    def reporting(text: str) -> object:
        try:
            return convert(text)
        except (ValueError, UsageError) as error:
            raise argparse.ArgumentTypeError(f"{text}: {error}") from None

    return reporting
