"""The options of `classify` for lists that are divided, taken up again or repeated, and the selection they make."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from typing import TYPE_CHECKING

from birdlite.cli.parser import Parser
from birdlite.errors import UsageError

if TYPE_CHECKING:
    from argparse import Namespace

    from birdlite.batch.part import Part
    from birdlite.batch.shard import Shard
    from birdlite.run.selection import Selection
    from birdlite.storage.store import Storage
    from birdlite.writers import Format

SHARD_VARIABLES = ("JOB_COMPLETION_INDEX", "BIRDLITE_SHARDS")


def add_batch_options(parser: Parser) -> None:
    """Which of the targets, and what becomes of work that was done before."""
    group = parser.add_argument_group("batch")
    parser.option(
        "--shard",
        metavar="I/N",
        type=_shard,
        group=group,
        help="only part I, from 0, of N equal parts of the targets (default: JOB_COMPLETION_INDEX/BIRDLITE_SHARDS);"
        " {shard} in --output and --report becomes I",
    )
    parser.flag("--resume", group=group, help="go on with an --output (jsonl) that an earlier run has left unfinished")
    parser.flag("--retry-failed", group=group, help="with --resume: try again what has failed before")
    parser.options(
        "--since-output",
        metavar="PATH",
        group=group,
        help="leave out what has an answer by the same model in PATH: a part, a folder of *.jsonl, or a glob;"
        " may be repeated",
    )
    add_scratch_option(parser, group)


def add_scratch_option(parser: Parser, group: str) -> None:
    """Where an output is before it is in object storage."""
    parser.option(
        "--scratch",
        metavar="DIR",
        group=group,
        help="where an --output in object storage is made before it is put there, and --resume looks for what is"
        " unfinished (default: a folder of your own in TMPDIR)",
    )


def select(
    values: Namespace, format_: Format, environment: Mapping[str, str], storage: Storage | None = None
) -> Selection | None:
    """What the options ask for; None for a plain run. `{shard}` in `values.output` and `values.report` is replaced.

    Raises:
        UsageError: they make no sense, alone or together.
    """
    if values.retry_failed and not values.resume:
        raise UsageError("--retry-failed goes with --resume")
    shard: Shard | None = values.shard
    if shard is None and any(name in environment for name in SHARD_VARIABLES):
        from birdlite.batch.shard import from_environment

        shard = from_environment(environment)
    for name, path in (("output", values.output), ("report", values.report)):
        if shard is None and "{shard}" in (path or ""):
            raise UsageError(f"--{name} {path}: there is no --shard to put for {{shard}}")
    if shard is None and not values.resume and not values.since_output:
        return None
    from birdlite.batch.shard import WHOLE
    from birdlite.run.selection import Selection

    shard = shard or WHOLE
    if values.output is not None:
        values.output = shard.named(values.output)
    if values.report is not None:
        values.report = shard.named(values.report)
    return Selection(shard, values.since_output, _part(values, format_, storage), storage)


def _part(values: Namespace, format_: Format, storage: Storage | None) -> Part | None:
    """The part that the output is: JSON lines in a file. Whatever else it is, is written as in a plain run."""
    if format_ != "jsonl" or not _is_file(values.output):
        if values.resume:
            raise UsageError("--resume needs an output that can be taken up: --output FILE, with --format jsonl")
        return None
    from birdlite.batch.part import Part

    return Part(
        values.output,
        resume=values.resume,
        retry_failed=values.retry_failed,
        times=values.timing is not False,
        storage=storage,
    )


def _is_file(path: str | None) -> bool:
    """Whether `path` is, or will be, a regular file, or an object."""
    if path is None or path == "-":
        return False
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return True  # an object, or nothing there yet; what cannot be opened is said when it is opened


def _shard(text: str) -> Shard:
    from birdlite.batch.shard import parse

    return parse(text)
