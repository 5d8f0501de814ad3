"""The options that several commands share, and the settings they make."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from birdlite import log
from birdlite.cli.console import Console
from birdlite.cli.parser import Parser
from birdlite.cli.values import seconds, size, whole
from birdlite.engines import EngineChoice
from birdlite.http.settings import DEFAULTS, FetchSettings, PerHost
from birdlite.images.picture import DEFAULT_MAX_PIXELS

if TYPE_CHECKING:
    from argparse import Namespace


def add_cache_options(parser: Parser, *, may_go_without: bool = True) -> None:
    """Where models are kept, and whether at all."""
    group = parser.add_argument_group("cache")
    parser.option(
        "--cache-dir", metavar="DIR", group=group, help="where models are kept (default: the user's cache folder)"
    )
    if may_go_without:
        parser.flag(
            "--no-cache", group=group, help="keep the model in memory only: read no cache, write nothing anywhere"
        )


def add_network_options(parser: Parser) -> None:
    """How bytes come from the network."""
    group = parser.add_argument_group("network")
    parser.flag("--offline", group=group, help="never use the network")
    parser.flag(
        "--renditions",
        group=group,
        help="fetch a smaller form of a photograph where its host keeps one (Wikimedia: 960 px wide)",
    )
    parser.option("--mirror", metavar="URL", group=group, help="fetch https://HOST/PATH from URL/HOST/PATH instead")
    parser.option(
        "--downloads",
        metavar="N",
        type=whole(1, 256),
        default=DEFAULTS.downloads,
        group=group,
        help="downloads at once",
    )
    parser.options(
        "--per-host",
        metavar="[HOST=]N",
        group=group,
        help="connections at once to any one host, or to HOST; may be repeated (default: 6, upload.wikimedia.org=2)",
    )
    add_patience_options(parser, group)
    parser.option(
        "--max-redirects",
        metavar="N",
        type=whole(0, 20),
        default=DEFAULTS.max_redirects,
        group=group,
        help="redirects to follow",
    )
    parser.option(
        "--max-bytes",
        metavar="SIZE",
        type=size,
        default=DEFAULTS.max_bytes,
        group=group,
        help="largest picture to read, in bytes; k, M, G are understood",
    )
    parser.option(
        "--user-agent",
        metavar="TEXT",
        default=DEFAULTS.user_agent,
        group=group,
        help="how birdlite names itself to servers; say how to reach you",
    )


def add_patience_options(parser: Parser, group: str) -> None:
    """How long the network may take."""
    parser.option(
        "--timeout",
        metavar="S",
        type=seconds,
        default=DEFAULTS.timeout,
        group=group,
        help="seconds for one picture, retries included",
    )
    parser.option(
        "--connect-timeout",
        metavar="S",
        type=seconds,
        default=DEFAULTS.connect_timeout,
        group=group,
        help="seconds to connect",
    )
    parser.option(
        "--read-timeout",
        metavar="S",
        type=seconds,
        default=DEFAULTS.read_timeout,
        group=group,
        help="seconds without a byte",
    )
    parser.option(
        "--retries",
        metavar="N",
        type=whole(0, 20),
        default=DEFAULTS.retries,
        group=group,
        help="more tries after 408, 425, 429, 5xx or a broken connection",
    )


def add_running_options(parser: Parser, group: str) -> None:
    """How a model is run on pictures."""
    parser.option("--engine", choices=get_args(EngineChoice), default="auto", group=group, help="what runs the model")
    parser.option(
        "--threads",
        metavar="N",
        type=whole(0, 1024),
        default=0,
        group=group,
        help="pictures decoded and classified at once; 0: one for each usable processor",
    )
    parser.option(
        "--max-pixels",
        metavar="SIZE",
        type=size,
        default=DEFAULT_MAX_PIXELS,
        group=group,
        help="largest picture to decode",
    )


def add_log_options(parser: Parser) -> None:
    """What is said on standard error."""
    group = parser.add_argument_group("messages")
    parser.flag("-v", "--verbose", group=group, help="say every retry, cache hit and choice")
    parser.flag("-q", "--quiet", group=group, help="say nothing but errors")
    parser.option(
        "--log-format",
        choices=("text", "json"),
        default="text",
        group=group,
        help="how messages look; json suits containers",
    )


def fetch_settings(values: Namespace) -> FetchSettings:
    """The network options as settings.

    Raises:
        UsageError: --per-host makes no sense.
    """
    return FetchSettings(
        user_agent=values.user_agent,
        timeout=values.timeout,
        connect_timeout=values.connect_timeout,
        read_timeout=values.read_timeout,
        retries=values.retries,
        max_bytes=values.max_bytes,
        max_redirects=values.max_redirects,
        per_host=_per_host(values.per_host),
        downloads=values.downloads,
        mirror=values.mirror,
        offline=values.offline,
        renditions=values.renditions,
    )


def patience_settings(values: Namespace) -> FetchSettings:
    """The settings of a command that has no other network options."""
    return DEFAULTS._replace(
        timeout=values.timeout,
        connect_timeout=values.connect_timeout,
        read_timeout=values.read_timeout,
        retries=values.retries,
    )


def _per_host(values: list[str]) -> PerHost:
    if not values:
        return DEFAULTS.per_host
    from birdlite.http.politeness import parse_per_host

    return parse_per_host(values)


def open_console(values: Namespace) -> Console:
    """Standard error as the message options want it."""
    threshold = log.ERROR if values.quiet else log.DEBUG if values.verbose else log.INFO
    return Console(values.log_format, threshold=threshold)
