"""What a command says of its own command line. `Parser` collects it; it and `argparse_parser` read by it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from birdlite.namedtuple import NamedTuple

ENVIRONMENT_PREFIX = "BIRDLITE_"

Kind = Literal["value", "values", "flag", "switch"]
"""What an option takes: a value; a value each time it is given; nothing; or nothing, with `--no-…` as its opposite."""


class Option(NamedTuple):
    """One option, as a command declares it."""

    names: tuple[str, ...]  # the last one names its variable
    kind: Kind
    group: str | None  # the heading that --help lists it under
    help: str
    default: object = None
    convert: Callable[[str], object] = str  # may raise ValueError or UsageError with a clause for the user
    choices: Sequence[str] | None = None
    metavar: str | None = None
    given_dest: str | None = None

    @property
    def dest(self) -> str:
        """The attribute that has its value."""
        return self.given_dest or _dest(self.names[-1])

    @property
    def variable(self) -> str:
        """The variable of the environment that stands in for it."""
        return ENVIRONMENT_PREFIX + _dest(self.names[-1]).upper()


class Positional(NamedTuple):
    """An argument without a name, as argparse has it."""

    dest: str
    nargs: Literal["*", "+", "?"] | None
    choices: Sequence[str] | None
    default: object
    metavar: str | None
    help: str


class Command(NamedTuple):
    """One command: its name and words for --help, and what it takes."""

    prog: str
    description: str
    epilog: str
    groups: list[str]  # titles, in the order of --help
    options: list[Option]
    positionals: list[Positional]


def _dest(name: str) -> str:
    return name.lstrip("-").replace("-", "_")
