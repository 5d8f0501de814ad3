"""The options of `classify` for lists that are divided, taken up again or repeated, and the selection they make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from birdlite.cli.parser import Parser

if TYPE_CHECKING:
    from argparse import Namespace

    from birdlite.batch.shard import Shard

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


def shard_of(values: Namespace, environment: Mapping[str, str]) -> Shard | None:
    """The shard that --shard or the variables of an Indexed Job name.

    Raises:
        UsageError: the variables make no sense together.
    """
    shard: Shard | None = values.shard
    if shard is None and any(name in environment for name in SHARD_VARIABLES):
        from birdlite.batch.shard import from_environment

        shard = from_environment(environment)
    return shard


def _shard(text: str) -> Shard:
    from birdlite.batch.shard import parse

    return parse(text)
