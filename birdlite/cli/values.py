"""What the values of a command line mean, without click: text to values, and values to settings.

The first functions read one kind of value each. They take the text and give the value, or raise ValueError with a
reason that fits behind the text, as in "--top 0: must be between 1 and 1000". Both readers of command lines call them:
click, through `declare.Value`, and `plain_line`, by the names that stand in `table`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from birdlite.settings import DEFAULTS, LONGEST_S, FetchSettings, Settings, check, decimal_number, whole_number

if TYPE_CHECKING:
    from types import SimpleNamespace

    from birdlite.batch.shard import Shard
    from birdlite.run.options import MaxFailures
    from birdlite.storage.store import Storage

SIZE_UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
TRUE_WORDS = ("1", "true", "t", "yes", "y", "on")
FALSE_WORDS = ("0", "false", "f", "no", "n", "off")
PREFIX = "BIRDLITE_"


def text(text: str) -> str:
    """Any text: names, paths, URLs."""
    return text


def folder(text: str) -> str:
    """A folder of this machine."""
    from birdlite.storage import is_other_url, is_storage

    if is_storage(text) or is_other_url(text):
        raise ValueError("must be a folder of this machine, not a URL")
    return text


def choice(text: str, *choices: str) -> str:
    """One of a few words."""
    if text not in choices:
        raise ValueError(f"not one of {', '.join(choices)}")
    return text


def truth(text: str) -> bool:
    """Whether a flag is set, in an environment variable."""
    word = text.strip().lower()
    if word not in TRUE_WORDS + FALSE_WORDS:
        raise ValueError("must be 1 or 0")
    return word in TRUE_WORDS


def digest(text: str) -> str:
    """A sha256: 64 hexadecimal digits."""
    digits = text.strip().lower().removeprefix("sha256:")
    if len(digits) != 64 or not set("0123456789abcdef").issuperset(digits):
        raise ValueError("not a sha256 of 64 hexadecimal digits")
    return digits


def whole(text: str, minimum: int, maximum: int) -> int:
    """A whole number within bounds, both included."""
    number = whole_number(text)
    if not minimum <= number <= maximum:
        raise ValueError(f"must be between {minimum} and {maximum}")
    return number


def seconds(text: str) -> float:
    """A time in s, above 0 and at most a day."""
    number = decimal_number(text)
    if not 0 < number <= LONGEST_S:
        raise ValueError(f"must be above 0 and at most {LONGEST_S} seconds")
    return number


def patience(text: str) -> float:
    """A time in s, at most a day; 0 for none."""
    number = decimal_number(text)
    if not 0 <= number <= LONGEST_S:
        raise ValueError(f"must be between 0 and {LONGEST_S} seconds")
    return number


def fraction(text: str) -> float:
    """A number in [0, 1]."""
    number = decimal_number(text)
    if not 0 <= number <= 1:
        raise ValueError("must be between 0 and 1")
    return number


def most(text: str) -> MaxFailures:
    """A number of failures, or a percentage."""
    from birdlite.run.options import MaxFailures

    digits = text.strip().removesuffix("%")
    if not text.strip().endswith("%"):
        return MaxFailures(whole(text, 0, 10**9))
    number = decimal_number(digits)
    if not 0 <= number <= 100:
        raise ValueError("must be between 0% and 100%")
    return MaxFailures(number, percent=True)


def pair(text: str) -> tuple[float, float]:
    """Two numbers with a comma between them, the smaller one first."""
    low, _, high = text.partition(",")
    numbers = decimal_number(low), decimal_number(high)
    if not -1e6 <= numbers[0] < numbers[1] <= 1e6:
        raise ValueError("must be two numbers such as 0,1, the smaller one first")
    return numbers


def size(text: str) -> int:
    """A number of bytes or pixels, with k, M or G for powers of 1024."""
    body = text.strip().lower()
    unit = body[-1:] if body[-1:] in SIZE_UNITS and not body[-1:].isdigit() else ""
    digits = body.removesuffix(unit)
    if not digits.isascii() or not digits.isdigit() or len(digits) > 15 or int(digits) == 0:
        raise ValueError("not a size such as 500000, 64M or 1G")
    return int(digits) * SIZE_UNITS[unit]


def shard(text: str) -> Shard:
    """One of the parts of a list, such as 0/4."""
    from birdlite.batch.shard import parse

    return parse(text)


def variable(option: str) -> str:
    """The environment variable of an option: BIRDLITE_MAX_BYTES of --max-bytes."""
    return PREFIX + option.lstrip("-").replace("-", "_").upper()


def classifier_settings(values: SimpleNamespace) -> Settings:
    """The settings that the values give. What the command has no option for keeps its default.

    Raises:
        UsageError: --per-host makes no sense.
    """
    given = {**Settings._field_defaults, **fields_of(values, Settings._fields), "fetch": fetch_settings(values)}
    settings = Settings._make(given.values())
    check(settings)
    return settings


def fetch_settings(values: SimpleNamespace) -> FetchSettings:
    """The network settings that the values give. What the command has no option for keeps its default.

    Raises:
        UsageError: --per-host makes no sense, or --mirror is empty.
    """
    given = fields_of(values, FetchSettings._fields)
    if given.get("mirror") == "":
        from birdlite.errors import UsageError

        raise UsageError("--mirror is empty: a mirror is an http:// or https:// URL; leave the option out for none")
    if given.get("per_host"):
        from birdlite.http.politeness import parse_per_host

        given["per_host"] = parse_per_host(given["per_host"])
    else:
        given["per_host"] = DEFAULTS.per_host
    settings = DEFAULTS._replace(**given)
    check(settings)
    return settings


def fields_of(values: SimpleNamespace, fields: Sequence[str]) -> dict[str, Any]:
    """Those of `fields` that have a value: options are named as the settings that they make."""
    return {name: value for name, value in vars(values).items() if name in fields and value is not None}


def part_paths(values: SimpleNamespace, storage: Storage) -> Iterator[str]:
    """The outputs that the PART arguments of `merge` and `report` name, in order, without the --output itself.

    Raises:
        UsageError: one does not exist, or is the output.
        PartsError: while iterating: they name nothing but the output.
        StorageError: object storage refuses or cannot be reached.
    """
    from birdlite.batch.files import outputs_at, same
    from birdlite.errors import PartsError, UsageError

    output: str | None = values.output
    others = itself = False
    for place in values.parts:
        if output is not None and same(place, output) and not os.path.isdir(place):
            raise UsageError(f"{place} is both a PART and the --output")
        for path in outputs_at(place, storage):
            if output is not None and same(path, output):
                itself = True
            else:
                others = True
                yield path
    if itself and not others:
        raise PartsError(f"{output}: the --output is the only part there: write elsewhere")
