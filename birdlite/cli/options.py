"""The options of `birdlite classify`, most of which other commands share, as click declares them.

`table` is made from them, for the plain command lines that are read without click: run
`python -m scripts.make_cli_table` after a change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import get_args

from birdlite.cli.declare import Argument, Command, Main, Option, Value
from birdlite.cli.values import SIZE_UNITS, fraction, seconds, shard, size, whole
from birdlite.models.catalog import CATALOG
from birdlite.settings import (
    DEFAULT_MAX_PIXELS,
    DEFAULT_MODEL,
    DEFAULT_TOP,
    DEFAULTS,
    PER_HOST,
    PER_NAMED_HOST,
    EngineChoice,
    Resize,
)

Options = Mapping[str, Sequence[Option]]
"""Options by their headings in --help."""

FILE = Value(complete="file")
FOLDER = Value(complete="dir")
RESIZE = get_args(Resize)

EPILOG = """\
Targets, lists and outputs may be in object storage (extra `cloud`): s3://BUCKET/KEY, gs://BUCKET/KEY or
az://CONTAINER/KEY. A folder there ends with a slash. The usual variables of each store give the credentials.

An option on the command line wins over its variable. An empty variable counts as unset.

Exit codes: 0 all classified, 1 some targets failed, 2 wrong usage, 3 nothing could run, 130 or 143 interrupted.
"""


def model_names() -> Iterable[str]:
    """The models of the catalogue, for completion."""
    return (name for name, entry in CATALOG.items() if entry.public)


MODEL = Value(complete="file", words=model_names)


def classify(main: Main) -> Command:
    """The command `classify`, which `main` runs."""
    return Command(
        "classify",
        main,
        "Name the birds in pictures: print the best candidates for each picture, with their scores.",
        EPILOG,
        arguments=[
            Argument(
                "targets",
                "[TARGET]...",
                "What to classify: a URL, a file, a folder, a glob in quotes, or - for a list on standard input.",
                type=FILE,
            )
        ],
        options={
            "What to classify": _target_options(),
            "Answers": _answer_options(),
            "Batches": _batch_options(),
            "Model": _model_options(),
            **cache_options(),
            **network_options(),
            **log_options(),
        },
    )


def _target_options() -> list[Option]:
    return [
        Option(
            "--from LIST",
            "Read more targets from the file LIST (txt, csv or jsonl). May be repeated.",
            name="lists",
            type=FILE,
            multiple=True,
        ),
        Option("--samples", "Classify the five sample photographs of the birds V1 model, from the Internet."),
    ]


def _answer_options() -> list[Option]:
    return [
        Option("--top N", "Give up to N candidates for each picture.", type=Value(whole, 1, 1000), default=DEFAULT_TOP),
        Option(
            "--min-score X",
            "Leave out candidates that score below X, which is between 0 and 1.",
            type=Value(fraction),
            default="0",
        ),
        Option(
            "--names",
            "Names to show in text. The other formats have both.",
            choices=("scientific", "common", "both"),
            default="both",
        ),
        Option(
            "--format",
            "Format of the results.",
            choices=("text", "json", "jsonl", "csv"),
            shown="from the suffix of --output, else text",
        ),
        Option("-o, --output FILE", "Write the results to FILE instead of standard output.", type=FILE),
        Option(
            "--report FILE",
            "Also write an HTML page to FILE: species, failures, pictures, and where the time went.",
            type=FILE,
        ),
        Option("--unordered", "Give each result as soon as it is ready, not in the order of the targets."),
        Option("--allow-failures", "Exit with 0 even if targets failed. Their records say why."),
        timing_option(),
    ]


def _batch_options() -> list[Option]:
    return [
        Option(
            "--shard I/N",
            "Classify only part I, from 0, of N equal parts of the targets. {shard} in --output and --report"
            " becomes I.",
            type=Value(shard),
            shown="JOB_COMPLETION_INDEX/BIRDLITE_SHARDS if they are set",
        ),
        Option("--resume", "Continue an --output (jsonl) that an earlier run left unfinished."),
        Option("--retry-failed", "With --resume: try the targets again that failed before."),
        Option(
            "--since-output PATH",
            "Skip targets that the same model has answered in PATH: results of an earlier run, a folder of *.jsonl, or"
            " a glob. May be repeated.",
            type=FILE,
            multiple=True,
        ),
        scratch_option(),
    ]


def _model_options() -> list[Option]:
    return [
        Option(
            "--model MODEL",
            "Model to use: a name (see `birdlite model list`), a model folder, or a .tflite or .onnx file.",
            type=MODEL,
            default=DEFAULT_MODEL,
        ),
        labels_option(),
        Option(
            "--resize",
            "How a picture is made square: crop takes the middle, squash the whole picture, exact the whole picture"
            " sampled as for the published scores.",
            choices=RESIZE,
            default="crop",
        ),
        *running_options(),
    ]


def timing_option() -> Option:
    """Whether to say where the time went."""
    return Option(
        "--timing/--no-timing",
        "Say where the time went. --no-timing (BIRDLITE_NO_TIMING=1) also leaves times out of the records.",
        shown="with text only",
    )


def labels_option() -> Option:
    """The labels of a model that has none of its own."""
    return Option("--labels FILE", "Label map (a csv with the columns id and name) of a single model file.", type=FILE)


def running_options() -> list[Option]:
    """How a model is run on pictures."""
    return [
        Option(
            "--engine",
            "Runtime for the model. auto takes the fastest one installed that reads the model's format.",
            choices=get_args(EngineChoice),
            default="auto",
        ),
        Option(
            "--threads N",
            "Decode and classify N pictures at once. 0 means one for each available processor.",
            name="workers",
            type=Value(whole, 0, 1024),
            default=0,
        ),
        Option(
            "--max-pixels SIZE",
            "Refuse pictures with more pixels than SIZE. SIZE may end in k, M or G.",
            type=Value(size),
            default=_size_text(DEFAULT_MAX_PIXELS),
        ),
    ]


def scratch_option() -> Option:
    """Where an output is before it is in object storage."""
    return Option(
        "--scratch DIR",
        "Make outputs for object storage in DIR before they are uploaded. --resume finds unfinished ones there.",
        type=FOLDER,
        shown="a private folder in TMPDIR",
    )


def cache_dir_option() -> Option:
    """Where models are kept."""
    return Option("--cache-dir DIR", "Keep models in DIR.", type=FOLDER, shown="the user's cache directory")


def cache_options() -> Options:
    """Where models are kept, and whether at all."""
    without = Option("--no-cache", "Keep the model in memory only. Read no cache and write none.")
    return {"Cache": [cache_dir_option(), without]}


def network_options() -> Options:
    """How bytes come from the network."""
    hosts = ", ".join(f"{host}={limit}" for host, limit in PER_NAMED_HOST.items())
    options = [
        Option("--offline", "Never use the network."),
        Option(
            "--renditions", "Download a smaller version of a photograph if its host has one (Wikimedia: 960 px wide)."
        ),
        Option("--mirror URL", "Download https://HOST/PATH from URL/HOST/PATH instead."),
        Option(
            "--downloads N", "Download up to N pictures at once.", type=Value(whole, 1, 256), default=DEFAULTS.downloads
        ),
        Option(
            "--per-host [HOST=]N",
            "Open up to N connections at once to any one host, or to HOST. May be repeated.",
            multiple=True,
            shown=f"{PER_HOST}, {hosts}",
        ),
        *timeout_options(),
        Option(
            "--max-redirects N", "Follow up to N redirects.", type=Value(whole, 0, 20), default=DEFAULTS.max_redirects
        ),
        Option(
            "--max-bytes SIZE",
            "Refuse pictures of more than SIZE bytes. SIZE may end in k, M or G.",
            type=Value(size),
            default=_size_text(DEFAULTS.max_bytes),
        ),
        Option(
            "--user-agent TEXT",
            "Name that birdlite gives to servers. Add how to reach you if you download a lot.",
            shown="birdlite, its version and its address",
        ),
    ]
    return {"Network": options}


def timeout_options() -> list[Option]:
    """How long the network may take."""
    return [
        _seconds("--timeout", "Give up a picture after SECONDS, retries included.", DEFAULTS.timeout),
        _seconds(
            "--connect-timeout", "Give up a connection that is not made within SECONDS.", DEFAULTS.connect_timeout
        ),
        _seconds("--read-timeout", "Give up a connection that sends nothing for SECONDS.", DEFAULTS.read_timeout),
        Option(
            "--retries N",
            "Try up to N more times after status 408, 425, 429 or 5xx, or a broken connection.",
            type=Value(whole, 0, 20),
            default=DEFAULTS.retries,
        ),
    ]


def log_options() -> Options:
    """What is said on standard error."""
    options = [
        Option("-v, --verbose", "Also report each retry, cache hit and choice."),
        Option("-q, --quiet", "Report errors only."),
        Option(
            "--log-format",
            "Format of messages on standard error. json suits containers.",
            choices=("text", "json"),
            default="text",
        ),
    ]
    return {"Messages": options}


def _seconds(name: str, help: str, default: float) -> Option:  # noqa: A002
    return Option(f"{name} SECONDS", help, type=Value(seconds), default=f"{default:g}")


def _size_text(number: int) -> str:
    """A size as short as users write it: 64M."""
    unit, factor = next((unit, factor) for unit, factor in reversed(SIZE_UNITS.items()) if number % factor == 0)
    return f"{number // factor}{'k' if unit == 'k' else unit.upper()}"
