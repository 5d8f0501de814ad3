"""The options that several commands share, as click declares them. `make_settings` is about their values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

from birdlite.cli.declare import Option, Value
from birdlite.cli.values import SIZE_UNITS, seconds, size, whole
from birdlite.models.catalog import CATALOG
from birdlite.settings import DEFAULT_MAX_PIXELS, DEFAULTS, PER_HOST, PER_NAMED_HOST, EngineChoice

FILE = Value(complete="file")
FOLDER = Value(complete="dir")
NETWORK = "Network"


def model_names() -> Iterable[str]:
    """The models of the catalogue, for completion."""
    return (name for name, entry in CATALOG.items() if entry.public)


MODEL = Value(complete="file", words=model_names)


def timing_option(group: str) -> Option:
    """Whether to say where the time went."""
    return Option(
        "--timing/--no-timing",
        default=None,
        group=group,
        show_default="with text only",
        help="Say where the time went. --no-timing (BIRDLITE_NO_TIMING=1) also leaves times out of the records.",
    )


def labels_option(group: str) -> Option:
    """The labels of a model that has none of its own."""
    return Option(
        "--labels",
        type=FILE,
        metavar="FILE",
        group=group,
        help="Label map (a csv with the columns id and name) of a single model file.",
    )


def running_options(group: str) -> list[Option]:
    """How a model is run on pictures."""
    return [
        Option(
            "--engine",
            choices=get_args(EngineChoice),
            default="auto",
            group=group,
            help="Runtime for the model. auto takes the fastest one installed that reads the model's format.",
        ),
        Option(
            "--threads",
            metavar="N",
            type=Value(whole, 0, 1024),
            default=0,
            group=group,
            help="Decode and classify N pictures at once. 0 means one for each available processor.",
        ),
        Option(
            "--max-pixels",
            metavar="SIZE",
            type=Value(size),
            default=size_text(DEFAULT_MAX_PIXELS),
            group=group,
            help="Refuse pictures with more pixels than SIZE. SIZE may end in k, M or G.",
        ),
    ]


def cache_options(*, may_go_without: bool = True) -> list[Option]:
    """Where models are kept, and whether at all."""
    folder = Option(
        "--cache-dir",
        metavar="DIR",
        type=FOLDER,
        group="Cache",
        show_default="the user's cache directory",
        help="Keep models in DIR.",
    )
    without = Option(
        "--no-cache",
        is_flag=True,
        group="Cache",
        help="Keep the model in memory only. Read no cache and write none.",
    )
    return [folder, without] if may_go_without else [folder]


def network_options() -> list[Option]:
    """How bytes come from the network."""
    hosts = ", ".join(f"{host}={limit}" for host, limit in PER_NAMED_HOST.items())
    return [
        Option("--offline", is_flag=True, group=NETWORK, help="Never use the network."),
        Option(
            "--renditions",
            is_flag=True,
            group=NETWORK,
            help="Download a smaller version of a photograph if its host has one (Wikimedia: 960 px wide).",
        ),
        Option("--mirror", metavar="URL", group=NETWORK, help="Download https://HOST/PATH from URL/HOST/PATH instead."),
        Option(
            "--downloads",
            metavar="N",
            type=Value(whole, 1, 256),
            default=DEFAULTS.downloads,
            group=NETWORK,
            help="Download up to N pictures at once.",
        ),
        Option(
            "--per-host",
            multiple=True,
            metavar="[HOST=]N",
            show_default=f"{PER_HOST}, {hosts}",
            group=NETWORK,
            help="Open up to N connections at once to any one host, or to HOST. May be repeated.",
        ),
        *timeout_options(NETWORK),
        Option(
            "--max-redirects",
            metavar="N",
            type=Value(whole, 0, 20),
            default=DEFAULTS.max_redirects,
            group=NETWORK,
            help="Follow up to N redirects.",
        ),
        Option(
            "--max-bytes",
            metavar="SIZE",
            type=Value(size),
            default=size_text(DEFAULTS.max_bytes),
            group=NETWORK,
            help="Refuse pictures of more than SIZE bytes. SIZE may end in k, M or G.",
        ),
        Option(
            "--user-agent",
            metavar="TEXT",
            show_default="birdlite, its version and its address",
            group=NETWORK,
            help="Name that birdlite gives to servers. Add how to reach you if you download a lot.",
        ),
    ]


def timeout_options(group: str) -> list[Option]:
    """How long the network may take."""
    return [
        Option(
            "--timeout",
            metavar="SECONDS",
            type=Value(seconds),
            default=f"{DEFAULTS.timeout:g}",
            group=group,
            help="Give up a picture after SECONDS, retries included.",
        ),
        Option(
            "--connect-timeout",
            metavar="SECONDS",
            type=Value(seconds),
            default=f"{DEFAULTS.connect_timeout:g}",
            group=group,
            help="Give up a connection that is not made within SECONDS.",
        ),
        Option(
            "--read-timeout",
            metavar="SECONDS",
            type=Value(seconds),
            default=f"{DEFAULTS.read_timeout:g}",
            group=group,
            help="Give up a connection that sends nothing for SECONDS.",
        ),
        Option(
            "--retries",
            metavar="N",
            type=Value(whole, 0, 20),
            default=DEFAULTS.retries,
            group=group,
            help="Try up to N more times after status 408, 425, 429 or 5xx, or a broken connection.",
        ),
    ]


def scratch_option(group: str) -> Option:
    """Where an output is before it is in object storage."""
    return Option(
        "--scratch",
        metavar="DIR",
        type=FOLDER,
        group=group,
        show_default="a private folder in TMPDIR",
        help="Make outputs for object storage in DIR before they are uploaded. --resume finds unfinished ones there.",
    )


def log_options() -> list[Option]:
    """What is said on standard error."""
    return [
        Option("-v", "--verbose", is_flag=True, group="Messages", help="Also report each retry, cache hit and choice."),
        Option("-q", "--quiet", is_flag=True, group="Messages", help="Report errors only."),
        Option(
            "--log-format",
            choices=("text", "json"),
            default="text",
            group="Messages",
            help="Format of messages on standard error. json suits containers.",
        ),
    ]


def size_text(number: int) -> str:
    """A size as short as users write it: 64M."""
    for unit, factor in reversed(SIZE_UNITS.items()):
        if number % factor == 0:
            return f"{number // factor}{unit.upper() if unit != 'k' else unit}"
    raise AssertionError(number)  # 1 divides every number
