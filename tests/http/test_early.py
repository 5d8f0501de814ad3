"""Requests that go out before httpx is imported: sent once, answered as any other, on connections that are kept."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from birdlite.deadline import Deadline
from birdlite.errors import PictureError
from birdlite.http.address import address
from birdlite.http.client import Client
from birdlite.http.network import Early, Network
from birdlite.http.sockets import Timeouts
from tests.fetching import BODY, until
from tests.origin import Origin

AGENT = "birds/1"

PROGRAM = """
import sys
from birdlite.http.fetcher import Fetcher

class Pause:
    def find_spec(self, name, path=None, target=None):
        if name == "httpx":
            print("about to import httpx", flush=True)
            input()

sys.meta_path.insert(0, Pause())
fetcher = Fetcher()
print(len(fetcher.get(sys.argv[1])), *sorted({"click", "rich", "asyncio"} & set(sys.modules)))
fetcher.close()
"""


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
def client(network: Network) -> Iterator[Client]:
    client = Client(network, None, user_agent=AGENT, kept=4)
    yield client
    client.close()


def patient(seconds: float = 20.0) -> Timeouts:
    return Timeouts(Deadline(seconds, (threading.Event(),)), 5.0, 10.0)


def sent(network: Network, url: str, user_agent: str = AGENT) -> Early:
    return network.send_early(address(url), user_agent, patient())


def body_of(client: Client, url: str, early: Early | None = None) -> bytes:
    response = client.get(address(url), patient(), early)
    try:
        return b"".join(response.iter_raw())
    finally:
        response.close()


def test_the_first_request_arrives_before_httpx_is_imported(origin: Origin) -> None:
    url = origin.serve("/a", BODY)
    command = [sys.executable, "-c", PROGRAM, url]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "about to import httpx\n"
        until(lambda: origin.hits("/a") == 1)

        said, _ = process.communicate("\n")

    assert said == f"{len(BODY)}\n"  # neither httpx's command line nor its asynchronous half was imported
    assert (origin.hits("/a"), origin.connections()) == (1, 1)


def test_its_connection_is_kept_for_the_next_one(origin: Origin, network: Network, client: Client) -> None:
    url = origin.serve("/a", BODY)

    assert body_of(client, url, sent(network, url)) == BODY
    assert body_of(client, url) == BODY

    assert (origin.hits("/a"), origin.connections()) == (2, 1)


@pytest.mark.usefixtures("trusted")
def test_a_request_over_tls_is_sent_once_too(secure_origin: Origin, network: Network, client: Client) -> None:
    url = secure_origin.serve("/a", BODY)

    assert body_of(client, url, sent(network, url)) == BODY
    assert body_of(client, url) == BODY

    assert (secure_origin.hits("/a"), secure_origin.connections()) == (2, 1)


def test_it_is_not_sent_again_though_a_connection_is_idle(origin: Origin, network: Network, client: Client) -> None:
    early = sent(network, origin.serve("/b", b"b"))
    assert body_of(client, origin.serve("/a", b"a")) == b"a"

    assert body_of(client, origin.url("/b"), early) == b"b"
    assert body_of(client, origin.url("/a")) == b"a"

    assert (origin.hits("/b"), origin.connections()) == (1, 2)
    origin.wait_for_hang_up(1)


def test_a_request_that_httpx_would_not_send_is_dropped(origin: Origin, network: Network, client: Client) -> None:
    url = origin.serve("/a", BODY)

    assert body_of(client, url, sent(network, url, "somebody/2")) == BODY

    # Two connections: the server may see the second request first, and the other one after its answer.
    until(lambda: len(origin.requests) == 2)
    assert sorted(seen.headers["User-Agent"] for seen in origin.requests) == sorted(["somebody/2", AGENT])
    origin.wait_for_hang_up(1)


def test_after_a_failure_its_connection_is_closed(origin: Origin, network: Network, client: Client) -> None:
    release = origin.hold("/a")
    early = sent(network, origin.url("/a"))

    with pytest.raises(PictureError) as failure:
        client.get(address(origin.url("/a")), patient(0.05), early)

    assert failure.value.kind == "timeout"
    release.set()
    origin.wait_for_hang_up()
