"""Options of a run beside its `Settings`: where the results go, and which targets it takes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from birdlite.errors import UsageError
from birdlite.namedtuple import NamedTuple
from birdlite.writers.base import Format, Names

if TYPE_CHECKING:
    from birdlite.batch.shard import Shard

SUFFIXES: dict[str, Format] = {"json": "json", "jsonl": "jsonl", "ndjson": "jsonl", "csv": "csv", "txt": "text"}
SUFFIXES |= {"html": "html", "htm": "html"}


class RunOptions(NamedTuple):
    """Where the results go, and which targets a run takes."""

    output: str | None = None  # a file or storage URL; `{shard}` in it is the shard's index; None: standard output
    format: Format | None = None  # None: by the suffix of `output`, else text
    names: Names = "both"  # which names text shows
    times: bool = True  # whether records have times
    report: str | None = None  # a file for the page of HTML beside the output
    shard: Shard | None = None  # None: all targets
    resume: bool = False  # go on with an unfinished `output`
    retry_failed: bool = False  # with `resume`: try failures again
    since_output: tuple[str, ...] = ()  # outputs of earlier runs, whose targets are left out
    keep_index: bool = False  # bring the index of the folder of `output` up to date when the run's parts are complete


def settled(options: RunOptions) -> RunOptions:
    """The options checked, with the format decided and `{shard}` replaced by the shard's index.

    Raises:
        UsageError: they contradict each other.
    """
    if options.retry_failed and not options.resume:
        raise UsageError("--retry-failed goes with --resume")
    shard = options.shard
    output, report = _named("output", options.output, shard), _named("report", options.report, shard)
    format_ = options.format or guess_format(options.output)
    if format_ == "html":
        raise UsageError(f"--output {options.output}: a page is written beside the results: --report {options.output}")
    if report is not None:
        from birdlite.run.report_file import check_report

        check_report(report, output)
    return options._replace(output=output, report=report, format=format_)


def _named(option: str, path: str | None, shard: Shard | None) -> str | None:
    """The path with the shard's index in place of `{shard}`."""
    if path is None:
        return None
    if shard is not None:
        return shard.named(path)
    if "{shard}" in path:
        raise UsageError(f"--{option} {path}: {{shard}} needs --shard")
    return path


def guess_format(output: str | None) -> Format:
    """The format for the suffix of an output file; text without one, and for pipes and devices.

    Raises:
        UsageError: no format has this suffix.
    """
    suffix = os.path.splitext(output or "")[1][1:]
    format_ = SUFFIXES.get(suffix.lower())
    if (
        format_ is None
        and suffix[:1].isalpha()
        and not (os.path.exists(output or "") and not os.path.isfile(output or ""))
    ):
        known = ", ".join(f".{one}" for one in SUFFIXES)
        raise UsageError(f"--output {output}: no format has the suffix .{suffix}; use one of {known}, or --format")
    return format_ or "text"
