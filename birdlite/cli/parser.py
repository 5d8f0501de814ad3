"""A command line for a program whose start is timed: its plain form is read here, everything else by argparse.

Every command makes one `Parser` and calls `option`, `options` or `flag` for each of its options. A value comes from the
command line, else from `BIRDLITE_<OPTION>` unless that is empty, else it is the default.

Importing argparse and telling it of forty options takes as long as running the model. So a command line of nothing but
whole option names, values and targets, as nearly all are, is read in one pass. At the first word that is anything
else (`--help`, a mistake, `-ofile`, `--`) this room gives up, and `argparse_parser` reads the whole line, with the
words that users know from other programs. Both give the same values; tests compare them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

from birdlite.cli.declaration import Command, Kind, Option, Positional
from birdlite.errors import UsageError

if TYPE_CHECKING:
    from argparse import Namespace

TRUE_WORDS = {"1", "true", "yes", "on"}
FALSE_WORDS = {"0", "false", "no", "off"}


class Parser:
    """Reads the command line of one command."""

    def __init__(self, prog: str, description: str, epilog: str = "") -> None:
        self.command = Command(prog, description, epilog, [], [], [])

    def add_argument_group(self, title: str) -> str:
        """Begin a heading of --help. What it gives is the `group` of the options below it."""
        self.command.groups.append(title)
        return title

    def add_argument(
        self,
        dest: str,
        *,
        help: str,  # noqa: A002 - argparse's own word
        nargs: Literal["*", "+", "?"] | None = None,
        choices: Sequence[str] | None = None,
        default: object = None,
        metavar: str | None = None,
    ) -> None:
        """Add an argument without a name."""
        self.command.positionals.append(Positional(dest, nargs, choices, default, metavar, help))

    def option(
        self,
        *names: str,
        help: str,  # noqa: A002
        default: object = None,
        type: Callable[[str], object] = str,  # noqa: A002
        choices: Sequence[str] | None = None,
        metavar: str | None = None,
        group: str | None = None,
    ) -> None:
        """Add an option that takes a value. `type` may raise ValueError or UsageError with a clause for the user."""
        self.command.options.append(Option(names, "value", group, help, default, type, choices, metavar))

    def options(
        self,
        name: str,
        *,
        help: str,  # noqa: A002
        metavar: str,
        group: str,
        dest: str | None = None,
    ) -> None:
        """Add an option that may be repeated; in the environment its values stand in one variable, with commas."""
        self.command.options.append(Option((name,), "values", group, help, [], _listed, None, metavar, dest))

    def flag(self, *names: str, help: str, group: str, negatable: bool = False) -> None:  # noqa: A002
        """Add an option without a value; with `negatable`, also `--no-…`, and None when neither is given."""
        kind: Kind = "switch" if negatable else "flag"
        self.command.options.append(Option(names, kind, group, help, None if negatable else False, _truth))

    def parse(self, argv: Sequence[str]) -> Namespace:
        """The options' values.

        Raises:
            UsageError: the command line or a variable of the environment makes no sense.
        """
        values = self.read_plainly(argv)
        if values is None:
            from birdlite.cli.argparse_parser import read

            values = read(self.command, argv)
        for option in self.command.options:
            if getattr(values, option.dest) is None:
                setattr(values, option.dest, _from_environment(option))
        return values

    def read_plainly(self, argv: Sequence[str]) -> Namespace | None:
        """What the command line alone gives, None for an option that is not in it; or None if it is not a plain one."""
        if [(argument.nargs, argument.choices) for argument in self.command.positionals] != [("*", None)]:
            return None
        names = {name: option for option in self.command.options for name in option.names}
        values = dict.fromkeys(option.dest for option in self.command.options)
        targets: list[str] = []
        words = iter(argv)
        for word in words:
            if not word.startswith("-") or word == "-":
                targets.append(word)
            elif not _put(values, names, word, words):
                return None
        return _Values({**values, self.command.positionals[0].dest: targets})  # type: ignore[return-value]


class _Values:
    """As much of `argparse.Namespace` as commands use: attributes."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.__dict__.update(values)


def _put(values: dict[str, Any], names: dict[str, Option], word: str, words: Iterator[str]) -> bool:
    """Take an option, and its value from the words that follow; False if argparse should have a look at it."""
    name, equals, value = word.partition("=")
    option = names.get(name)
    if option is None:
        option = names.get("--" + name.removeprefix("--no-"))
        if option is None or option.kind != "switch" or equals:
            return False
        values[option.dest] = False
        return True
    if option.kind in ("flag", "switch"):
        values[option.dest] = True
        return not equals
    if not equals:
        value = next(words, "")
    if not value or (value.startswith("-") and value != "-") or (equals and not name.startswith("--")):
        return False
    if option.kind == "values":
        values[option.dest] = [*(values[option.dest] or ()), value]
        return True
    try:
        values[option.dest] = option.convert(value)
    except (ValueError, UsageError):
        return False
    return option.choices is None or values[option.dest] in option.choices


def _from_environment(option: Option) -> object:
    """Where a value comes from when the command line does not say."""
    text = os.environ.get(option.variable)
    if not text:  # as a manifest or a build argument leaves it that has nothing to say
        return option.default
    try:
        value = option.convert(text)
    except (ValueError, UsageError) as error:
        raise UsageError(f"{option.variable}={text}: {error}") from None
    if option.choices is not None and value not in option.choices:
        raise UsageError(f"{option.variable}={text}: not one of {', '.join(option.choices)}")
    return value


def _listed(text: str) -> list[str]:
    return text.split(",")


def _truth(text: str) -> bool:
    word = text.strip().lower()
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    raise ValueError("say 1 or 0")
