"""Connections by themselves: what they say when they are gone."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

import pytest

from birdlite.deadline import Deadline
from birdlite.http.sockets import Tcp, Timeouts, TransientError


@pytest.mark.parametrize("use", [Tcp.receive, lambda stream, timeouts: stream.send(b"GET", timeouts)])
def test_a_connection_that_is_closed_while_it_is_taken_into_use_is_a_broken_one(
    use: Callable[[Tcp, Timeouts], object],
) -> None:
    here, there = socket.socketpair()
    stream = Tcp("a.example", here)
    stream.close()

    with there, pytest.raises(TransientError, match=r"^the connection to a\.example broke: Bad file descriptor$"):
        use(stream, Timeouts(Deadline(60.0, (threading.Event(),)), 60.0, 60.0))
