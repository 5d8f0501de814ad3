"""`birdlite classify`: name the birds in pictures."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from birdlite.cli.batch_options import add_batch_options, shard_of
from birdlite.cli.options import (
    add_cache_options,
    add_log_options,
    add_network_options,
    add_running_options,
    fetch_settings,
    open_console,
)
from birdlite.cli.parser import Parser
from birdlite.cli.run_command import drive
from birdlite.cli.values import fraction, whole
from birdlite.errors import UsageError
from birdlite.models.catalog import DEFAULT_MODEL
from birdlite.run.options import RunOptions
from birdlite.run.runner import Runner
from birdlite.settings import DEFAULT_TOP, Settings
from birdlite.storage.store import Storage
from birdlite.targets.expand import SAMPLES, expand
from birdlite.timing import Timeline, clock, process_start

if TYPE_CHECKING:
    from argparse import Namespace

EPILOG = """\
A TARGET is an http(s) URL, a file, a folder (searched for pictures), a glob, or - for a list on standard input.
Targets, lists and outputs may be in object storage (extra `cloud`): s3://BUCKET/KEY, gs://BUCKET/KEY, az://CONTAINER/KEY;
a folder there ends with a slash. Credentials are read from the variables that the stores' own tools use.
Every option can also be set in the environment: --max-bytes as BIRDLITE_MAX_BYTES.
Exit codes: 0 all classified, 1 some targets failed, 2 wrong usage, 3 nothing could run, 130/143 interrupted.
"""


def main(argv: Sequence[str], started: float) -> int:
    """Run the command. `started` is when Python code began to run, in s on `timing.clock`."""
    timeline = Timeline(process_start())
    timeline.add("interpreter start-up", timeline.origin, started)
    values = _parser().parse(argv)
    settings = _settings(values)
    storage = Storage(settings.fetch, scratch=values.scratch)
    options = RunOptions(
        output=values.output,
        format=values.format,
        names=values.names,
        times=values.timing is not False,
        report=values.report,
        shard=shard_of(values, os.environ),
        resume=values.resume,
        retry_failed=values.retry_failed,
        since_output=tuple(values.since_output),
    )
    runner = Runner(settings, options, timeline=timeline, storage=storage)
    if not (values.targets or values.lists or values.samples):
        raise UsageError("nothing to classify: give URLs, files or folders, --from LIST, or --samples")
    console = open_console(values)
    arguments = [*(SAMPLES if values.samples else ()), *values.targets]
    stdin = None if sys.stdin is None else sys.stdin.buffer
    targets = expand(arguments, values.lists, stdin=stdin, storage=storage)
    timeline.add("imports", started, clock())
    table = values.timing or (values.timing is None and runner.options.format == "text" and not console.quiet)
    return drive(runner, targets, console, table=table, allow_failures=values.allow_failures)


def _parser() -> Parser:
    parser = Parser("birdlite classify", "Name the birds in pictures: the best candidates for each.", EPILOG)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="URL, file, folder, glob, object, or - for a list")
    group = parser.add_argument_group("what to classify")
    parser.options(
        "--from",
        dest="lists",
        metavar="LIST",
        group=group,
        help="a list of targets: txt, csv or jsonl; may be repeated",
    )
    parser.flag("--samples", group=group, help="the five sample photographs of the birds V1 model")
    _add_answer_options(parser)
    add_batch_options(parser)
    _add_model_options(parser)
    add_cache_options(parser)
    add_network_options(parser)
    add_log_options(parser)
    return parser


def _add_answer_options(parser: Parser) -> None:
    group = parser.add_argument_group("answers")
    parser.option(
        "--top", metavar="N", type=whole(1, 1000), default=DEFAULT_TOP, group=group, help="candidates a picture"
    )
    parser.option(
        "--min-score", metavar="X", type=fraction, default=0.0, group=group, help="leave out candidates below X"
    )
    parser.option(
        "--names",
        choices=("scientific", "common", "both"),
        default="both",
        group=group,
        help="which names the text shows; other formats have both",
    )
    parser.option(
        "--format",
        choices=("text", "json", "jsonl", "csv"),
        group=group,
        help="default: by the suffix of --output, else text",
    )
    parser.option("-o", "--output", metavar="FILE", group=group, help="write there instead of standard output")
    parser.option(
        "--report",
        metavar="FILE",
        group=group,
        help="also a page for people: species, failures, pictures, where the time went; one file of HTML",
    )
    parser.flag("--unordered", group=group, help="give answers as they come, not in the order of the targets")
    parser.flag(
        "--allow-failures",
        group=group,
        help="exit with 0 although targets failed: their records say why, and the run is done",
    )
    parser.flag(
        "--timing",
        negatable=True,
        group=group,
        help="say where the time went (default: with text; --no-timing also leaves times out of the records)",
    )


def _add_model_options(parser: Parser) -> None:
    group = parser.add_argument_group("model")
    parser.option(
        "--model",
        metavar="MODEL",
        default=DEFAULT_MODEL,
        group=group,
        help="a name, a bundle's folder, or a model file (.tflite, .onnx)",
    )
    parser.option("--labels", metavar="FILE", group=group, help="the label map (csv: id,name) of a bare model file")
    parser.option(
        "--resize",
        choices=("crop", "squash", "exact"),
        default="crop",
        group=group,
        help="crop: the middle of the picture; squash: all of it; exact: as the published scores were made",
    )
    add_running_options(parser, group)


def _settings(values: Namespace) -> Settings:
    if values.renditions and values.resize == "exact":
        raise UsageError("--resize exact samples the original, which --renditions does not fetch")
    return Settings(
        model=values.model,
        labels=values.labels,
        engine=values.engine,
        resize=values.resize,
        top=values.top,
        min_score=values.min_score,
        workers=values.threads,
        max_pixels=values.max_pixels,
        ordered=not values.unordered,
        cache_dir=values.cache_dir,
        no_cache=values.no_cache,
        fetch=fetch_settings(values),
    )
