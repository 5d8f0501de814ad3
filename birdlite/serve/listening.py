"""The socket that the service listens on. The command opens it first, so a port in use is an error at once."""

from __future__ import annotations

import socket

from birdlite.errors import OutputError
from birdlite.local_file import reason

BACKLOG = 2048  # connections that wait to be taken


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there.

    Raises:
        OutputError: it is in use, or there is no such address.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listening = socket.socket(found[0], found[1], found[2])  # asyncio looks for TCP: short answers do not wait
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(found[4])
            listening.listen(BACKLOG)
        except OSError:
            listening.close()
            raise
    except (OSError, UnicodeError) as error:
        raise OutputError(f"cannot listen on {host} port {port}: {reason(error)}") from None
    return listening


def url_of(listening: socket.socket) -> str:
    """Where it listens."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
