"""How the service listens, and how much it takes on. The command line fills them from its options."""

from __future__ import annotations

from birdlite.namedtuple import NamedTuple

HOST, PORT = "127.0.0.1", 8000

QUEUE = 64
"""Pictures that may wait. At 15 ms each, on two processors, the last one waits for half a second."""

MAX_WAIT_S = 1.0
"""s that pictures may wait. A longer wait is no chance: even if a picture takes 60 ms, and one comes every 75 ms at
random times, one in a thousand would have to wait longer."""

MAX_BATCH = 32
"""Pictures in one request."""

MAX_BODY = 64 << 20
"""Bytes of one request: several photographs, or one as large as --max-bytes allows."""

CONNECTIONS = 512
"""Connections at once. An idle one takes about 20 KB."""

SPARE_CONNECTIONS = 16
"""Connections that requests with pictures may not take, so that probes and metrics always get one."""

REQUEST_TIMEOUT_S = 30.0
"""s from a request's head to its answer, waiting included. Proxies in front give up after 60 s, most of them."""

BODY_TIMEOUT_S = 15.0
"""s for a body to arrive: 9 MB at 5 Mbit/s."""

DRAIN_S = 5.0
"""s between SIGTERM and refusing new work. Balancers notice within two probes, two seconds apart."""

GRACE_S = 20.0
"""s for what is under way, after that. Kubernetes kills 30 s after SIGTERM."""


class ServeOptions(NamedTuple):
    """All of it, with the defaults of the command line. Times are in seconds."""

    host: str = HOST
    port: int = PORT
    queue: int = QUEUE
    max_wait: float = MAX_WAIT_S
    max_batch: int = MAX_BATCH
    max_body: int = MAX_BODY
    connections: int = CONNECTIONS
    request_timeout: float = REQUEST_TIMEOUT_S
    body_timeout: float = BODY_TIMEOUT_S
    drain: float = DRAIN_S
    grace: float = GRACE_S
    urls: bool = True  # whether requests may name URLs
