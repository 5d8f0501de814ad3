"""A machine that has all sorts of addresses, in a network namespace, for the tests of the guard.

    unshare --user --map-root-user --net python -m tests.real_addresses HOST…

Nothing is faked: the addresses are on the loopback interface, a server answers at port 80 of every one of them, and
names are looked up by the system. Each HOST is asked for a picture without the guard, with it, and through a redirect
from a public address with it. What came of it is printed as JSON, with the addresses that were reached meanwhile.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import unquote

from birdlite.errors import PictureError
from birdlite.http.fetcher import Fetcher, FetchSettings

PUBLIC = ("93.184.215.14", "2606:2800:21f:cb07::1")
PRIVATE = (
    *("10.0.0.1", "100.64.0.1", "100.100.100.200", "168.63.129.16", "169.254.169.254", "172.16.0.1", "192.0.0.192"),
    *("192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "240.0.0.1"),
    *(
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::",
    ),
    *("3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fec0::1", "4000::1"),
)
BODY = b"reached"


class Asked(NamedTuple):
    """What came of one host: `reached`, or the kind of failure."""

    free: str
    guarded: str
    redirected: str


class Handler(BaseHTTPRequestHandler):
    """Answers everything, and redirects `/to/HOST`."""

    protocol_version = "HTTP/1.0"
    reached: set[str]

    def do_GET(self) -> None:
        self.reached.add(self.connection.getsockname()[0])
        host = unquote(self.path).removeprefix("/to/")
        self.send_response(200 if host == self.path else 302)
        if host != self.path:
            self.send_header("Location", f"http://{host}/".encode().decode("latin-1"))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """At port 80 of all addresses of one family."""

    def __init__(self, family: socket.AddressFamily, reached: set[str]) -> None:
        self.address_family = family
        self.daemon_threads = True
        super().__init__(
            ("::" if family == socket.AF_INET6 else "0.0.0.0", 80), type("H", (Handler,), {"reached": reached})
        )

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        super().server_bind()


def main() -> None:
    """Ask every host of the command line."""
    subprocess.run(("ip", "link", "set", "lo", "up"), check=True)
    for address in (*PUBLIC, *PRIVATE):
        length, nodad = ("128", ("nodad",)) if ":" in address else ("32", ())
        subprocess.run(("ip", "address", "add", f"{address}/{length}", "dev", "lo", *nodad), check=True)
    reached: set[str] = set()
    for family in (socket.AF_INET, socket.AF_INET6):
        threading.Thread(target=Server(family, reached).serve_forever, daemon=True).start()
    free, guarded = (Fetcher(FetchSettings(retries=0, public_only=guard)) for guard in (False, True))
    without = {host: outcome(free, f"http://{host}/") for host in sys.argv[1:]}
    reached.clear()
    asked = {
        host: Asked(
            without[host], outcome(guarded, f"http://{host}/"), outcome(guarded, f"http://{PUBLIC[0]}/to/{host}")
        )
        for host in sys.argv[1:]
    }
    json.dump({"hosts": asked, "reached": sorted(reached)}, sys.stdout)


def outcome(fetcher: Fetcher, url: str) -> str:
    try:
        return fetcher.get(url).decode()
    except PictureError as error:
        return error.kind


if __name__ == "__main__":
    main()
