"""What runs in a pod: birdlite, with a name service that can be away. `cluster` starts it.

All names lead to this machine. While the file that OUTAGES_NAMES names exists, no name leads anywhere.
"""

from __future__ import annotations

import os
import socket
from typing import Any

_lookup = socket.getaddrinfo


def getaddrinfo(host: bytes | str | None, *others: Any, **more: Any) -> Any:
    """Ask the name service of this little world."""
    name = host.decode() if isinstance(host, bytes) else host or ""
    if not name.endswith(".test"):
        return _lookup(host, *others, **more)
    if os.path.exists(os.environ["OUTAGES_NAMES"]):
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    return _lookup("127.0.0.1", *others, **more)


if __name__ == "__main__":
    socket.getaddrinfo = getaddrinfo
    from birdlite.cli import program

    program()
