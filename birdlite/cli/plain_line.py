"""A plain command line of `classify`, read without click.

To import click takes half as long as all else that a warm start does. So a command line of nothing but whole option
names, values and targets, as nearly all are, is read here, from `table`. At the first word or variable that is anything
else (`--help`, `--`, `-ofile`, a mistake, an option that is also a file here) `read` gives up, and click reads the
whole line.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from birdlite.cli import values
from birdlite.cli.table import OPPOSITES, OPTIONS, SHORT


def read(argv: Sequence[str], environment: Mapping[str, str]) -> SimpleNamespace | None:
    """The values of `classify`, or None if the command line or a variable is not a plain one."""
    try:
        given = _from_words(argv)
        for option, (name, *_) in OPTIONS.items():
            if name not in given:
                given[name] = _from_environment(option, environment)
    except (KeyError, ValueError):  # for click
        return None
    return SimpleNamespace(**given)


def _from_words(argv: Sequence[str]) -> dict[str, Any]:
    """What the command line gives, by the names of the values."""
    given: dict[str, Any] = {}
    targets: list[str] = []
    words = iter(argv)
    for word in words:
        if not word.startswith("-") or word == "-":
            targets.append(word)
        elif os.path.lexists(word):
            raise ValueError(f"not plain: {word}")
        elif word in OPPOSITES:
            given[OPTIONS[OPPOSITES[word]][0]] = False
        else:
            _take_option(given, SHORT.get(word, word), words)
    given["targets"] = tuple(targets)
    return given


def _take_option(given: dict[str, Any], word: str, words: Iterator[str]) -> None:
    """Take an option, with its value from the same word or the next one. KeyError and ValueError leave it to click."""
    option, equals, value = word.partition("=")
    name, kind, reading, _ = OPTIONS[option]
    if kind in ("flag", "switch"):
        if equals:
            raise ValueError(f"not plain: {word}")
        given[name] = True
        return
    if not equals:
        value = next(words, "")
    if not value or (value.startswith("-") and value != "-"):
        raise ValueError(f"not plain: {word}")
    if kind == "values":
        given[name] = (*given.get(name, ()), _convert(value, reading))
    else:
        given[name] = _convert(value, reading)


def _from_environment(option: str, environment: Mapping[str, str]) -> object:
    """What a variable gives, else the default. An empty one counts as unset."""
    _, kind, reading, default = OPTIONS[option]
    text = environment.get(values.variable(option))
    if kind == "values":
        return tuple(_convert(part, reading) for part in text.split(",")) if text else default
    if text:
        return _convert(text, reading)
    for opposite, switched in OPPOSITES.items():
        if switched == option and values.truth(environment.get(values.variable(opposite)) or "0"):
            return False
    return default


def _convert(text: str, reading: tuple[object, ...]) -> object:
    function, *arguments = reading
    return getattr(values, str(function))(text, *arguments)
