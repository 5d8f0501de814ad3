"""From the values of options that several commands share to settings, and to the console. It does not import click."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from birdlite import log
from birdlite.cli.console import Console
from birdlite.cli.environment import warn_about_unknown_variables
from birdlite.settings import DEFAULTS, FetchSettings, PerHost

if TYPE_CHECKING:
    from types import SimpleNamespace


def fetch_settings(values: SimpleNamespace) -> FetchSettings:
    """The network options as settings.

    Raises:
        UsageError: --per-host makes no sense.
    """
    return timeout_settings(values)._replace(
        user_agent=DEFAULTS.user_agent if values.user_agent is None else values.user_agent,
        max_bytes=values.max_bytes,
        max_redirects=values.max_redirects,
        per_host=_per_host(values.per_host),
        downloads=values.downloads,
        mirror=values.mirror,
        offline=values.offline,
        renditions=values.renditions,
    )


def timeout_settings(values: SimpleNamespace) -> FetchSettings:
    """The settings of a command that has only timeouts and retries of the network options."""
    return DEFAULTS._replace(
        timeout=values.timeout,
        connect_timeout=values.connect_timeout,
        read_timeout=values.read_timeout,
        retries=values.retries,
    )


def _per_host(values: Sequence[str]) -> PerHost:
    if not values:
        return DEFAULTS.per_host
    from birdlite.http.politeness import parse_per_host

    return parse_per_host(values)


def open_console(values: SimpleNamespace) -> Console:
    """Standard error as the message options want it. The first messages are about misspelt variables."""
    threshold = log.ERROR if values.quiet else log.DEBUG if values.verbose else log.INFO
    console = Console(values.log_format, threshold=threshold)
    warn_about_unknown_variables()
    return console
