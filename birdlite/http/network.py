"""Opens connections to hosts: resolved, permitted, connected, encrypted. For httpx, through `client`, and before it.

The first requests of a run go out before httpx is imported, with sockets and ssl alone (`Network.send_early`): the
import takes as long as a server takes to answer, and so it happens while the answers are on their way. `client` then
reads each answer from the connection on which its request was sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from birdlite.http.address import Address
from birdlite.http.sockets import Stream, Timeouts, connect
from birdlite.http.tls import Trust, secure
from birdlite.namedtuple import NamedTuple

if TYPE_CHECKING:
    from birdlite.http.sockets import Permit


class Early(NamedTuple):
    """A request that was sent already."""

    stream: Stream  # where its answer comes from
    request: bytes


class Network:
    """What all connections of one fetcher share: the certificates, and which addresses may be connected to."""

    def __init__(self, permit: Permit | None = None) -> None:
        self._permit = permit
        self._trust = Trust()

    def connect(self, host: str, port: int, timeouts: Timeouts) -> Stream:
        """Connect to a host, without TLS. Raises what `sockets.connect` raises."""
        return connect(host, port, timeouts, self._permit)

    def prepare_tls(self) -> None:
        """Begin to read the certificates, for a connection that will need them."""
        self._trust.prepare()

    def secure(self, stream: Stream, host: str, timeouts: Timeouts) -> Stream:
        """Begin TLS with a host over a stream that leads to it. Raises what `tls.secure` raises."""
        return secure(stream, host, self._trust, timeouts)

    def send_early(self, target: Address, request: bytes, timeouts: Timeouts) -> Early:
        """Connect to a host itself, without a proxy, and send a request.

        Raises:
            PictureError: out of time, cancelled, not permitted, not reachable; see `connect` and `secure`.
        """
        if target.scheme == "https":
            self.prepare_tls()
        stream = self.connect(target.host, target.port, timeouts)
        if target.scheme == "https":
            stream = self.secure(stream, target.host, timeouts)
        try:
            stream.send(request, timeouts)
        except BaseException:
            stream.close()
            raise
        return Early(stream, request)
