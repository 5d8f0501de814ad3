"""The options of `birdlite classify`, as click declares them.

`table` is made from them, for the plain command lines that are read without click: run
`python -m scripts.make_cli_table` after a change.
"""

from __future__ import annotations

from birdlite.cli.declare import Argument, Command, Main, Option, Value
from birdlite.cli.options import (
    FILE,
    MODEL,
    cache_options,
    labels_option,
    log_options,
    network_options,
    running_options,
    scratch_option,
    timing_option,
)
from birdlite.cli.values import fraction, shard, whole
from birdlite.settings import DEFAULT_MODEL, DEFAULT_TOP

EPILOG = """\
Targets, lists and outputs may be in object storage (extra `cloud`): s3://BUCKET/KEY, gs://BUCKET/KEY or
az://CONTAINER/KEY. A folder there ends with a slash. The usual variables of each store give the credentials.

An option on the command line wins over its variable. An empty variable counts as unset.

Exit codes: 0 all classified, 1 some targets failed, 2 wrong usage, 3 nothing could run, 130 or 143 interrupted.
"""


def declare(main: Main) -> Command:
    """The command, which `main` runs."""
    targets = Argument(
        "targets",
        nargs=-1,
        metavar="[TARGET]...",
        type=FILE,
        help="What to classify: a URL, a file, a folder, a glob in quotes, or - for a list on standard input.",
    )
    return Command(
        "classify",
        main,
        [
            targets,
            *_target_options(),
            *_answer_options(),
            *_batch_options(),
            *_model_options(),
            *cache_options(),
            *network_options(),
            *log_options(),
        ],
        help="Name the birds in pictures: print the best candidates for each picture, with their scores.",
        epilog=EPILOG,
    )


def _target_options() -> list[Option]:
    group = "What to classify"
    return [
        Option(
            "--from",
            "lists",
            multiple=True,
            metavar="LIST",
            type=FILE,
            group=group,
            help="Read more targets from the file LIST (txt, csv or jsonl). May be repeated.",
        ),
        Option(
            "--samples",
            is_flag=True,
            group=group,
            help="Classify the five sample photographs of the birds V1 model, from the Internet.",
        ),
    ]


def _answer_options() -> list[Option]:
    group = "Answers"
    return [
        Option(
            "--top",
            metavar="N",
            type=Value(whole, 1, 1000),
            default=DEFAULT_TOP,
            group=group,
            help="Give up to N candidates for each picture.",
        ),
        Option(
            "--min-score",
            metavar="X",
            type=Value(fraction),
            default="0",
            group=group,
            help="Leave out candidates that score below X, which is between 0 and 1.",
        ),
        Option(
            "--names",
            choices=("scientific", "common", "both"),
            default="both",
            group=group,
            help="Names to show in text. The other formats have both.",
        ),
        Option(
            "--format",
            choices=("text", "json", "jsonl", "csv"),
            group=group,
            show_default="from the suffix of --output, else text",
            help="Format of the results.",
        ),
        Option(
            "-o",
            "--output",
            metavar="FILE",
            type=FILE,
            group=group,
            help="Write the results to FILE instead of standard output.",
        ),
        Option(
            "--report",
            metavar="FILE",
            type=FILE,
            group=group,
            help="Also write an HTML page to FILE: species, failures, pictures, and where the time went.",
        ),
        Option(
            "--unordered",
            is_flag=True,
            group=group,
            help="Give each result as soon as it is ready, not in the order of the targets.",
        ),
        Option(
            "--allow-failures",
            is_flag=True,
            group=group,
            help="Exit with 0 even if targets failed. Their records say why.",
        ),
        timing_option(group),
    ]


def _batch_options() -> list[Option]:
    group = "Batches"
    return [
        Option(
            "--shard",
            metavar="I/N",
            type=Value(shard),
            group=group,
            show_default="JOB_COMPLETION_INDEX/BIRDLITE_SHARDS if they are set",
            help="Classify only part I, from 0, of N equal parts of the targets. {shard} in --output and --report"
            " becomes I.",
        ),
        Option(
            "--resume",
            is_flag=True,
            group=group,
            help="Continue an --output (jsonl) that an earlier run left unfinished.",
        ),
        Option(
            "--retry-failed",
            is_flag=True,
            group=group,
            help="With --resume: try the targets again that failed before.",
        ),
        Option(
            "--since-output",
            multiple=True,
            metavar="PATH",
            type=FILE,
            group=group,
            help="Skip targets that the same model has answered in PATH: results of an earlier run, a folder of"
            " *.jsonl, or a glob. May be repeated.",
        ),
        scratch_option(group),
    ]


def _model_options() -> list[Option]:
    group = "Model"
    return [
        Option(
            "--model",
            metavar="MODEL",
            type=MODEL,
            default=DEFAULT_MODEL,
            group=group,
            help="Model to use: a name (see `birdlite model list`), a model folder, or a .tflite or .onnx file.",
        ),
        labels_option(group),
        Option(
            "--resize",
            choices=("crop", "squash", "exact"),
            default="crop",
            group=group,
            help="How a picture is made square: crop takes the middle, squash the whole picture, exact the whole"
            " picture sampled as for the published scores.",
        ),
        *running_options(group),
    ]
