"""Options of a run beside its `Settings`: where the results go, and which targets it takes."""

from __future__ import annotations

import os
from math import inf
from typing import TYPE_CHECKING, get_args

from birdlite.errors import UsageError
from birdlite.namedtuple import NamedTuple
from birdlite.settings import shown
from birdlite.writers.base import Format, Names
from birdlite.writers.output import refuse_url

if TYPE_CHECKING:
    from collections.abc import Sequence

    from birdlite.batch.shard import Shard

RUN = "{run}"
_DIGITS = 12  # of the digest: among a million lists, the chance that any two have the same is 1 in 500
_LONGEST_SUFFIX = 7  # characters, as of `.parquet`; a longer ending is a part of the name, such as a digest

SUFFIXES: dict[str, Format] = {"json": "json", "jsonl": "jsonl", "ndjson": "jsonl", "csv": "csv", "txt": "text"}
SUFFIXES |= {"html": "html", "htm": "html"}
RESULTS: tuple[Format, ...] = ("text", "json", "jsonl", "csv")


class MaxFailures(NamedTuple):
    """How many targets may fail because something is away (`results.is_away`)."""

    number: float
    percent: bool = False  # `number` is a percentage of the targets, and the result is rounded up

    def allows(self, away: int, targets: int | None) -> bool:
        """Whether so many failures are allowed among so many targets, if it is known how many these are."""
        if not self.percent:
            return away <= self.number
        return targets is None or away <= -(-targets * self.number // 100)

    def is_number(self) -> bool:
        """Whether it is what its fields say."""
        number, percent = self
        most = 100 if percent else inf
        return type(number) in (int, float) and 0 <= number <= most and type(percent) is bool

    def __str__(self) -> str:
        return f"{self.number:g}{'%' * self.percent}"


class RunOptions(NamedTuple):
    """Where the results go, and which targets a run takes. Checked when it is made, and by `Runner` again."""

    output: str | None = None  # a file or storage URL, maybe with `{shard}` or `{run}` in it; None: standard output
    format: Format | None = None  # None: by the suffix of `output`, else text
    names: Names = "both"  # which names text shows
    times: bool = True  # whether records have times
    report: str | None = None  # a file for the page of HTML beside the output
    shard: Shard | None = None  # None: all targets
    resume: bool = False  # go on with an unfinished `output`
    retry_failed: bool = False  # with `resume`: try failures again
    max_failures: MaxFailures | None = None  # with more of them, the run ends and the output stays unfinished
    since_output: tuple[str, ...] = ()  # outputs of earlier runs, whose targets are left out
    keep_index: bool = False  # bring the index of the folder of `output` up to date when the run's parts are complete
    list_sha256: str | None = None  # of the targets, by `selection.digest_of`, of which `{run}` is the beginning


def _wrong(field: str, value: object, default: object) -> str | None:
    """What an option must be, if it is not."""
    if isinstance(default, bool):
        return None if isinstance(value, bool) else "a bool"
    if field == "since_output":
        fits = isinstance(value, tuple) and all(isinstance(place, str) for place in value)
        return None if fits else "a tuple of texts"
    if field == "names":
        return None if value in get_args(Names) else f"one of {', '.join(get_args(Names))}"
    if value is None:
        return None
    if field == "format":
        return None if value in get_args(Format) else f"one of {', '.join(get_args(Format))}, or None"
    if field == "max_failures":
        fits = isinstance(value, MaxFailures) and value.is_number()
        return None if fits else "a MaxFailures of 0 or more, 100 percent at most, or None"
    if field == "shard":
        from birdlite.batch.shard import Shard, why_not

        return None if isinstance(value, Shard) and why_not(*value) is None else "a Shard that can be, or None"
    return None if isinstance(value, str) and "\0" not in value else "text or None"


def check(options: RunOptions, *_: object, **__: object) -> None:
    """Check each option by itself.

    Raises:
        UsageError: it names the field.
    """
    for field, value in zip(options._fields, options, strict=True):
        wanted = _wrong(field, value, options._field_defaults[field])
        if wanted is not None:
            raise UsageError(f"RunOptions: {field} is {shown(value)}, not {wanted}")


RunOptions.__init__ = check  # type: ignore[method-assign,assignment]


def settled(options: RunOptions) -> RunOptions:
    """The options checked, with the format decided, and the names of `output` and `report` filled in.

    `{shard}` becomes the shard's index, and `{run}` the first digits of the list's digest.

    Raises:
        UsageError: they contradict each other.
    """
    check(options)
    if options.retry_failed and not options.resume:
        raise UsageError("--retry-failed goes with --resume")
    refuse_url(options.output)
    refuse_url(options.report)
    output, report = _named("output", options.output, options), _named("report", options.report, options)
    if (options.format or SUFFIXES.get(_suffix_of(options.output))) == "html":
        raise UsageError(f"--output {options.output}: a page is written beside the results: --report {options.output}")
    format_ = options.format or guess_format(options.output, RESULTS)
    if report is not None:
        from birdlite.run.report_file import check_report

        check_report(report, output)
        guess_format(report, ("html",), "--report")
    return options._replace(output=output, report=report, format=format_)


def _named(option: str, path: str | None, options: RunOptions) -> str | None:
    """The path without `{shard}` and `{run}`."""
    if path is None:
        return None
    if RUN in path:
        if options.list_sha256 is None:
            raise UsageError(f"--{option} {path}: {RUN} needs the digest of the list")
        path = with_run(path, options.list_sha256)
    if options.shard is not None:
        return options.shard.named(path)
    if "{shard}" in path:
        raise UsageError(f"--{option} {path}: {{shard}} needs --shard")
    return path


def with_run(path: str, list_sha256: str | None) -> str:
    """The path without `{run}`, if the list's digest is known."""
    return path if list_sha256 is None else path.replace(RUN, list_sha256[:_DIGITS])


def guess_format(output: str | None, formats: Sequence[Format], option: str = "--output") -> Format:
    """The one of `formats` for the suffix of a file; the first of them without a suffix, and for pipes and devices.

    Raises:
        UsageError: none of them has this suffix.
    """
    path = output or ""
    format_ = SUFFIXES.get(_suffix_of(path))
    if format_ is not None and format_ in formats:
        return format_
    ending = os.path.splitext(path)[1]
    if not _is_suffix(ending[1:]) or (os.path.exists(path) and not os.path.isfile(path)):
        return formats[0]
    known = [f".{one}" for one, name in SUFFIXES.items() if name in formats]
    use = f"one of {', '.join(known)}, or --format" if len(formats) > 1 else " or ".join(known)
    raise UsageError(f"{option} {path}: cannot have the suffix {ending}; use {use}")


def _is_suffix(ending: str) -> bool:
    """Whether it says what a file is. In what mktemp chooses, small and capital letters are mixed."""
    is_short = ending.isalnum() and len(ending) <= _LONGEST_SUFFIX
    return is_short and ending[0].isalpha() and ending in (ending.lower(), ending.upper(), ending.capitalize())


def _suffix_of(path: str | None) -> str:
    return os.path.splitext(path or "")[1][1:].lower()
