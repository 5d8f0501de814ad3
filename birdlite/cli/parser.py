"""An argument parser for a program whose start is timed: argparse, each option also readable from the environment.

argparse and not click, which takes five times as long to import (docs/decisions/0002). Every command builds one
`Parser` and calls `option` for each of its options. A value comes from the command line, else from
`BIRDLITE_<OPTION>` unless that is empty, else it is the default.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from birdlite.errors import UsageError

ENVIRONMENT_PREFIX = "BIRDLITE_"
TRUE_WORDS = {"1", "true", "yes", "on"}
FALSE_WORDS = {"0", "false", "no", "off"}
HELP_WIDTH = 100  # columns at most


class Parser(argparse.ArgumentParser):
    """Reads the command line of one command."""

    def __init__(self, prog: str, description: str, epilog: str = "") -> None:
        super().__init__(
            prog=prog, description=description, epilog=epilog or None, formatter_class=_Help, allow_abbrev=False
        )
        self._options: list[_Option] = []

    def option(
        self,
        *names: str,
        help: str,  # noqa: A002 - argparse's own word
        default: object = None,
        type: Callable[[str], object] = str,  # noqa: A002
        choices: Sequence[str] | None = None,
        metavar: str | None = None,
        group: argparse._ArgumentGroup | None = None,
    ) -> None:
        """Add an option that takes a value. `type` may raise ValueError or UsageError with a clause for the user."""
        text = help if default is None else f"{help} (default: {default})"
        target = group or self
        action = target.add_argument(
            *names, default=None, type=_reporting(type), choices=choices, metavar=metavar, help=text
        )
        self._options.append(_Option(names[-1], action.dest, default, type, choices))

    def options(
        self,
        name: str,
        *,
        help: str,  # noqa: A002
        metavar: str,
        group: argparse._ArgumentGroup,
        dest: str | None = None,
    ) -> None:
        """Add an option that may be repeated; in the environment its values stand in one variable, with commas."""
        action = group.add_argument(name, action="append", default=None, metavar=metavar, help=help, dest=dest)
        self._options.append(_Option(name, action.dest, [], lambda text: text.split(","), None))

    def flag(self, *names: str, help: str, group: argparse._ArgumentGroup, negatable: bool = False) -> None:  # noqa: A002
        """Add an option without a value; with `negatable`, also `--no-…`, and None when neither is given."""
        action: Any = argparse.BooleanOptionalAction if negatable else "store_true"
        group.add_argument(*names, action=action, default=None, help=help)
        self._options.append(_Option(names[-1], _dest(names[-1]), None if negatable else False, _truth, None))

    def parse(self, argv: Sequence[str]) -> argparse.Namespace:
        """The options' values.

        Raises:
            UsageError: the command line or a variable of the environment makes no sense.
        """
        values = self.parse_intermixed_args(argv)
        for option in self._options:
            if getattr(values, option.dest) is None:
                setattr(values, option.dest, option.from_environment())
        return values

    def error(self, message: str) -> NoReturn:
        """What argparse calls with its complaints."""
        raise UsageError(f"{message} (see {self.prog} --help)")


class _Option:
    """Where an option's value comes from when the command line does not say."""

    def __init__(
        self, name: str, dest: str, default: object, convert: Callable[[str], object], choices: Sequence[str] | None
    ) -> None:
        self.dest = dest
        self._variable = ENVIRONMENT_PREFIX + _dest(name).upper()
        self._default = default
        self._convert = convert
        self._choices = choices

    def from_environment(self) -> object:
        text = os.environ.get(self._variable)
        if not text:  # as a manifest or a build argument leaves it that has nothing to say
            return self._default
        try:
            value = self._convert(text)
        except (ValueError, UsageError) as error:
            raise UsageError(f"{self._variable}={text}: {error}") from None
        if self._choices is not None and value not in self._choices:
            raise UsageError(f"{self._variable}={text}: not one of {', '.join(self._choices)}")
        return value


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


def _dest(name: str) -> str:
    return name.lstrip("-").replace("-", "_")


def _truth(text: str) -> bool:
    word = text.strip().lower()
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    raise ValueError("say 1 or 0")
