"""The socket that the service listens on. The command opens it first, so a port in use is an error at once."""

from __future__ import annotations

import resource
import socket

from birdlite.errors import OutputError, UsageError
from birdlite.local_file import reason

BACKLOG = 2048  # connections that wait to be taken


OTHER_FILES = 256
"""Open files beside connections and downloads: libraries, the log, and connections that are about to be ended."""


def allow_files(connections: int, downloads: int) -> None:
    """Let this process open as many files as it needs. Without one, asyncio takes no connection any more.

    Raises:
        UsageError: so many are not allowed.
    """
    need = connections + downloads + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < need:
        raise UsageError(f"--connections {connections}: needs {need} open files, and {hard} are allowed (ulimit -Hn)")
    if soft != resource.RLIM_INFINITY and soft < need:
        resource.setrlimit(resource.RLIMIT_NOFILE, (need, hard))


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
    except UnicodeError:
        raise OutputError(f"cannot listen on {host} port {port}: there is no such host") from None
    except OSError as error:
        raise OutputError(f"cannot listen on {host} port {port}: {reason(error)}") from None
    return listening


def url_of(listening: socket.socket) -> str:
    """Where it listens."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
