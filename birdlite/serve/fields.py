"""What a request may change of the settings: in its query, its form or its JSON. `intake` reads them here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from typing import Any, get_args

from birdlite.serve.problems import Problem, named
from birdlite.settings import Resize, Settings, decimal_number, whole_number

MAX_TOP = 1000  # as for --top


def _number(value: object, kind: type[int | float], least: int, most: int) -> int | float:
    read = whole_number if kind is int else decimal_number
    try:
        number = read(value) if isinstance(value, str) else value
    except ValueError:
        number = None
    if isinstance(number, bool) or not isinstance(number, (int, kind)) or not least <= number <= most:
        raise ValueError(f"must be a {'whole ' if kind is int else ''}number from {least} to {most}")
    return number


def _top(value: object) -> object:
    return _number(value, int, 1, MAX_TOP)


def _min_score(value: object) -> object:
    return _number(value, float, 0, 1)


def _resize(value: object) -> object:
    if value not in get_args(Resize):
        raise ValueError(f"must be one of {', '.join(get_args(Resize))}")
    if value == "exact" and find_spec("numpy") is None:
        raise ValueError("exact needs NumPy, which this service does not have; crop and squash do not")
    return value


READERS: Mapping[str, Callable[[object], object]] = {"top": _top, "min_score": _min_score, "resize": _resize}
"""What reads each field. A value is text, or what stands in JSON."""


def changed(
    settings: Settings, fields: Iterable[tuple[str, object]], also: Iterable[str] = (), hint: str = ""
) -> Settings:
    """The settings with what a request changes. `also` are fields that its kind of request has beside these.

    `hint` says what else may be wrong if a field is not known.

    Raises:
        Problem: it names a field that is not known, or one twice, or a value that cannot be.
    """
    changes: dict[str, Any] = {}
    for name, value in fields:
        if name not in READERS:
            known = ", ".join([*also, *READERS])
            raise Problem(400, f"no field {named(name)}; known are {known}{hint}")
        if name in changes:
            raise Problem(400, f"{name} is given twice")
        try:
            changes[name] = READERS[name](value)
        except ValueError as error:
            raise Problem(400, f"{name} {error}") from None
    return settings._replace(**changes) if changes else settings
