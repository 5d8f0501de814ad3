"""The options of `birdlite classify`, most of which other commands share, as click declares them.

`table` is made from them, for the plain command lines that are read without click: run
`python -m scripts.make_cli_table` after a change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args

from birdlite.cli.declare import Argument, Command, Option, Value
from birdlite.cli.values import SIZE_UNITS, digest, folder, fraction, most, patience, seconds, shard, size, whole
from birdlite.models.catalog import CATALOG
from birdlite.settings import (
    DECODE_TIMEOUT_S,
    DEFAULT_MAX_PIXELS,
    DEFAULT_MODEL,
    DEFAULT_TOP,
    DEFAULTS,
    PER_HOST,
    PER_NAMED_HOST,
    EngineChoice,
    Resize,
)


def _seconds(name: str, help: str, default: float) -> Option:  # noqa: A002
    return Option(f"{name} SECONDS", help, type=Value(seconds), default=f"{default:g}")


def _size(name: str, help: str, default: int) -> Option:  # noqa: A002
    """An option for a size, whose default --help shows as users write it: 64M."""
    unit, factor = next((unit, factor) for unit, factor in reversed(SIZE_UNITS.items()) if default % factor == 0)
    text = f"{default // factor}{'k' if unit == 'k' else unit.upper()}"
    return Option(f"{name} SIZE", f"{help} SIZE may end in k, M or G.", type=Value(size), default=text)


FILE = Value(complete="file")
FOLDER = Value(folder, complete="dir")
MODEL = Value(complete="file", words=lambda: CATALOG)
RESIZE = get_args(Resize)

Options = Mapping[str, Sequence[Option]]
"""Options by their headings in --help."""


def timing(shown: str) -> Option:
    """`shown` is what a command does by itself."""
    return Option(
        "--timing/--no-timing",
        "Show a table of where the time went. --no-timing (BIRDLITE_NO_TIMING=1) leaves out all times, also those of"
        " the records.",
        shown=shown,
    )


ALLOW_FAILURES = Option("--allow-failures", "Exit with 0 even if targets failed. Their records say why.")
MODEL_SHA256 = Option(
    "--model-sha256 HEX",
    "Refuse another model than the one whose file, or for a folder whose model.json, has this sha256.",
    type=Value(digest),
)
REVEAL_TARGETS = Option(
    "--reveal-targets",
    "Name targets with the passwords, tokens and signatures of their URLs. Else these become ***.",
)
LABELS = Option("--labels FILE", "Label map (a csv with the columns id and name) of a single model file.", type=FILE)
SCRATCH = Option(
    "--scratch DIR",
    "Make outputs for object storage in DIR before they are uploaded. --resume finds unfinished ones there.",
    type=FOLDER,
    shown="a private folder in TMPDIR",
)
CACHE_DIR = Option("--cache-dir DIR", "Keep models in DIR.", type=FOLDER, shown="the user's cache directory")
CACHE: Options = {
    "Cache": [CACHE_DIR, Option("--no-cache", "Keep the model in memory only. Read no cache and write none.")]
}
RUNNING = [
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
    _size("--max-pixels", "Refuse pictures with more pixels than SIZE.", DEFAULT_MAX_PIXELS),
    Option(
        "--memory SIZE",
        "Take at most SIZE bytes of memory: pictures wait for their turn, and those that need more are refused. SIZE"
        " may end in k, M or G.",
        type=Value(size),
        shown="the container's limit, else half of the machine's memory",
    ),
    _seconds("--decode-timeout", "Give up a picture that takes longer than SECONDS to decode.", DECODE_TIMEOUT_S),
]


def allowing(also: str) -> list[Option]:
    """What is fetched beside public addresses and ports: `also` begins the help."""
    return [
        Option(
            "--allow-host HOST[:PORT]",
            f"{also} from HOST, whatever its address is. May be repeated.",
            name="allow_hosts",
            multiple=True,
        ),
        Option(
            "--allow-port N",
            f"{also} from port N. May be repeated.",
            name="allow_ports",
            type=Value(whole, 1, 65535),
            multiple=True,
        ),
    ]


def timeouts(needed: str, *, one: str = "a picture") -> list[Option]:
    """The limits of time for `one` of what is fetched, and for what the command cannot do without."""
    return [
        _seconds("--timeout", f"Give up {one} after SECONDS, retries included.", DEFAULTS.timeout),
        _seconds(
            "--connect-timeout", "Give up a connection that is not made within SECONDS.", DEFAULTS.connect_timeout
        ),
        _seconds("--read-timeout", "Give up a connection that sends nothing for SECONDS.", DEFAULTS.read_timeout),
        Option(
            "--startup-timeout SECONDS",
            f"Try for SECONDS to reach {needed}, then give up.",
            type=Value(patience),
            default=f"{DEFAULTS.startup_timeout:g}",
        ),
        Option(
            "--retries N",
            "Try up to N more times after status 408, 425, 429 or 5xx, or a broken connection.",
            type=Value(whole, 0, 20),
            default=DEFAULTS.retries,
        ),
    ]


def _network(needed: str) -> list[Option]:
    return [
        Option("--offline", "Never use the network."),
        Option(
            "--renditions", "Download a smaller version of a photograph if its host has one (Wikimedia: 960 px wide)."
        ),
        Option("--mirror URL", "Download https://HOST/PATH from URL/HOST/PATH instead."),
        Option(
            "--public-only",
            "Download from public addresses only, at ports 80 and 443, and say in failures nothing of what answered."
            " For URLs from strangers.",
        ),
        *allowing("With --public-only: also download"),
        Option(
            "--downloads N", "Download up to N pictures at once.", type=Value(whole, 1, 256), default=DEFAULTS.downloads
        ),
        Option(
            "--per-host [HOST=]N",
            "Open up to N connections at once to any one host, or to HOST. May be repeated.",
            multiple=True,
            shown=", ".join([str(PER_HOST), *(f"{host}={limit}" for host, limit in PER_NAMED_HOST.items())]),
        ),
        *timeouts(needed),
        Option(
            "--max-redirects N", "Follow up to N redirects.", type=Value(whole, 0, 20), default=DEFAULTS.max_redirects
        ),
        _size("--max-bytes", "Refuse pictures of more than SIZE bytes.", DEFAULTS.max_bytes),
        Option(
            "--user-agent TEXT",
            "Name that birdlite gives to servers. Add how to reach you if you download a lot.",
            shown="birdlite, its version and its address",
        ),
    ]


NETWORK: Options = {"Network": _network("the model")}
MESSAGES: Options = {
    "Messages": [
        Option("-v, --verbose", "Also report each retry, cache hit and choice."),
        Option("-q, --quiet", "Report errors only."),
        Option(
            "--log-format",
            "Format of messages on standard error. json suits containers.",
            choices=("text", "json"),
            default="text",
        ),
    ]
}

_TARGETS = [
    Option(
        "--from LIST",
        "Read more targets from the file LIST (text, csv or JSON). May be repeated.",
        name="lists",
        type=FILE,
        multiple=True,
    ),
    Option(
        "--only-urls",
        "Lists may name only URLs, for lists that strangers wrote: files, folders, globs and buckets are `blocked`. On"
        " with --public-only, --allow-files and --allow-bucket.",
    ),
    Option(
        "--allow-files DIR",
        "With --only-urls: lists may also name files and folders in DIR. May be repeated.",
        type=FOLDER,
        multiple=True,
    ),
    Option(
        "--allow-bucket URL",
        "With --only-urls: lists may also name objects and folders in s3://BUCKET or s3://BUCKET/PREFIX. May be"
        " repeated.",
        multiple=True,
    ),
    Option("--samples", "Classify the five sample photographs of the birds V1 model, from the Internet."),
]
_ANSWERS = [
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
    Option(
        "-o, --output FILE",
        "Write the results to FILE instead of standard output. {run} in FILE becomes 12 digits of the list's digest.",
        type=FILE,
    ),
    Option(
        "--report FILE",
        "Also write an HTML page to FILE: species, failures, pictures, and where the time went.",
        type=FILE,
    ),
    Option("--unordered", "Give each result as soon as it is ready, not in the order of the targets."),
    REVEAL_TARGETS,
    ALLOW_FAILURES,
    timing("one line, with text only"),
]
_BATCHES = [
    Option(
        "--shard I/N",
        "Classify only part I, from 0, of N equal parts of the targets. {shard} in --output and --report becomes I.",
        type=Value(shard),
        shown="JOB_COMPLETION_INDEX/BIRDLITE_SHARDS if they are set",
    ),
    Option("--resume", "Continue an --output (jsonl) that an earlier run left unfinished."),
    Option("--retry-failed", "With --resume: try the targets again that failed before."),
    Option(
        "--max-failures N|P%",
        "End with exit code 4, and leave the output unfinished, if more than N targets, or P percent of them, fail"
        " because something is away: network, timeout, status 429 or 5xx. With --resume, each is tried once more"
        " before.",
        type=Value(most),
        shown="any number",
    ),
    Option(
        "--since-output PATH",
        "Skip targets that the same model has answered in PATH: results of an earlier run, a folder of *.jsonl, or"
        " a glob. May be repeated.",
        type=FILE,
        multiple=True,
    ),
    Option(
        "--keep-index",
        "With --since-output FOLDER and an --output in it: keep an index of all that is answered there. The next run"
        " reads it instead of every part.",
    ),
    SCRATCH,
]
_MODEL = [
    Option(
        "--model MODEL",
        "Model to use: a name (see `birdlite model list`), a model folder, or a .tflite or .onnx file.",
        type=MODEL,
        default=DEFAULT_MODEL,
    ),
    MODEL_SHA256,
    LABELS,
    Option(
        "--resize",
        "How a picture is made square: crop takes the middle, squash the whole picture, exact the whole picture"
        " sampled as for the published scores.",
        choices=RESIZE,
        default="crop",
    ),
    *RUNNING,
]

EPILOG = """\
Targets, lists and outputs may be in object storage (extra `cloud`): s3://BUCKET/KEY, gs://BUCKET/KEY or
az://CONTAINER/KEY. A folder there ends with a slash. The usual variables of each store give the credentials.

An option on the command line wins over its variable. An empty variable counts as unset.

Exit codes: 0 all classified, 1 some targets failed, 2 wrong usage, 3 nothing could run, 4 not now: try again later,
130, 143 or 129 interrupted.
"""

COMMAND = Command(
    "classify",
    "Name the birds in pictures: print the best candidates for each picture, with their scores.",
    EPILOG,
    arguments=[
        Argument(
            "targets",
            "[TARGET]...",
            "What to classify: a URL, a file, a folder, a glob in quotes, or - for a picture or list on stdin.",
            type=FILE,
        )
    ],
    options={
        "What to classify": _TARGETS,
        "Answers": _ANSWERS,
        "Batches": _BATCHES,
        "Model": _MODEL,
        **CACHE,
        "Network": _network("the model, and lists, outputs and earlier results in object storage"),
        **MESSAGES,
    },
)
