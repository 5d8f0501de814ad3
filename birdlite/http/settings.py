"""How to fetch, as a plain value: every run has one, and one without a URL needs no more of the network than this."""

from __future__ import annotations

from collections.abc import Mapping

from birdlite import __version__
from birdlite.namedtuple import NamedTuple

WIKIMEDIA = "upload.wikimedia.org"

USER_AGENT = (
    f"birdlite/{__version__} (+https://github.com/birdlite/birdlite; "
    "contact: https://github.com/birdlite/birdlite/issues)"
)
"""Tool, version, home and contact. Whoever runs birdlite on a large scale should name themselves: --user-agent."""

PER_HOST = 6
"""Requests under way at one host at once: what browsers keep to with HTTP/1.1."""

PER_NAMED_HOST: Mapping[str, int] = {WIKIMEDIA: 2}
"""Hosts that ask for something else."""

BACKOFF_S = 0.2
"""Ceiling of the first wait: a proxy that restarts or a full queue is often over that quickly."""

TIMEOUT_S = 30.0
"""One URL, all in all: a photograph of 10 MB at 3 Mbit/s."""

CONNECT_TIMEOUT_S = 5.0
"""A host that has not answered after two lost packets (1 + 2 s) and a slow line is most likely not there."""

READ_TIMEOUT_S = 10.0
"""Silence: longer than any server takes to find a file, short enough for a second try within the deadline."""

RETRIES = 3
"""Pauses of up to 0.2, 0.4 and 0.8 s: a server's hiccup is over by then, and an outage will not be."""

MAX_BYTES = 64 * 1024 * 1024
"""A 24 Mpx photograph is 5 to 15 MB as JPEG and 72 MB uncompressed; the bound is per download under way."""

MAX_REDIRECTS = 5
"""Model stores take two or three; a loop ends here."""

DOWNLOADS = 16
"""Downloads at once: most of a download is waiting, and two or three hosts at 6 each keep an ordinary line full."""


class PerHost(NamedTuple):
    """How many requests may be under way at one host at once, from 1. A new general limit leaves named hosts alone."""

    general: int = PER_HOST
    named: Mapping[str, int] = PER_NAMED_HOST  # by host name, as `host_key` spells it

    def limit(self, host: str) -> int:
        """Tell how many requests `host` gets at once."""
        return self.named.get(host_key(host), self.general)


def host_key(host: str) -> str:
    """Give one spelling of a host's name for counting: lower case, without the dot that may end it."""
    return host.lower().rstrip(".")


class FetchSettings(NamedTuple):
    """How to fetch. Times in seconds; every field can be set from the command line or the environment."""

    user_agent: str = USER_AGENT
    timeout: float = TIMEOUT_S  # for one URL, everything included
    connect_timeout: float = CONNECT_TIMEOUT_S  # for one of a host's addresses
    read_timeout: float = READ_TIMEOUT_S  # of silence
    retries: int = RETRIES  # after the first try, redirects included
    max_bytes: int = MAX_BYTES
    max_redirects: int = MAX_REDIRECTS
    per_host: PerHost = PerHost()  # `parse_per_host` reads it from text
    downloads: int = (
        DOWNLOADS  # how many idle connections are kept; how many threads there are is the pipeline's affair
    )
    mirror: str | None = None
    offline: bool = False
    renditions: bool = False  # fetch a smaller form of a photograph where its host keeps one
    backoff: float = BACKOFF_S  # ceiling of the first pause


DEFAULTS = FetchSettings()
