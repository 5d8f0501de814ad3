"""--public-only: whatever a URL or a redirect calls a host, nothing is connected to that is not public."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from birdlite.errors import UsageError
from birdlite.http.fetcher import Fetcher, FetchSettings
from birdlite.http.public import REFUSED
from tests.fetching import BODY, SETTINGS, failure_of, fetchers
from tests.names import PUBLIC, Hosts
from tests.origin import Origin

GUARDED = SETTINGS._replace(public_only=True, retries=0)

REACHING = [  # hosts that lead to this machine, if nothing forbids it
    *("127.0.0.1", "127.1", "127.0.1", "127.255.255.254", "2130706433", "017700000001", "0x7f000001", "0X7F000001"),
    *("0x7f.1", "0177.1", "0177.0x0.1", "0177.0.0x0.1", "0x7f.0.0.0x1", "0", "0.0.0.0", "0x0"),
    *("127\u30020\u30020\u30021", "127\uff0e0\uff0e0\uff0e1", "127\uff610\uff610\uff611"),  # wide dots
    *("user:pw@127.0.0.1", "public.example@127.0.0.1"),
    *("[::1]", "[0:0:0:0:0:0:0:1]", "[::]", "[::ffff:127.0.0.1]", "[::FFFF:7F00:1]", "[::127.0.0.1]"),
    *("[64:ff9b::127.0.0.1]", "[2002:7f00:1::]", "[2001:0:7f00:1::1]", "[fd00:ec2::254]", "[::ffff:0:127.0.0.1]"),
    *("localhost", "LOCALHOST", "localhost.", "a.localhost", "localhost.localdomain", "private.example"),
]
UNREADABLE = [  # no host at all, with the guard or without
    *("\uff11\uff12\uff17.0.0.1", "\u2460\u2461\u2466.0.0.1", "\uff2cocalhost"),  # wide and circled characters
    *("127%2e0.0.1", "%31%32%37.0.0.1", "127.0.0.1%00.example", "local%68ost", "127.0.0.1\\.example"),
    *("[::1%25lo]", "[fe80::1%25eth0]", "[::1%lo]", "127.0.0.256", "0177.0.0.1", "[127.0.0.1]", "[::1"),
]


@pytest.fixture
def make() -> Iterator[Callable[..., Fetcher]]:
    with fetchers() as make:
        yield make


@pytest.fixture
def hosts(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> Hosts:
    origin.serve("/a", BODY)
    return Hosts(monkeypatch, origin.port)


# How a host is spelt


@pytest.mark.parametrize("host", [*REACHING, *UNREADABLE])
def test_no_spelling_of_this_machine_is_connected_to(make: Callable[..., Fetcher], hosts: Hosts, host: str) -> None:
    failure = failure_of(make(GUARDED), f"http://{host}/a")

    assert failure.kind == ("blocked" if host in REACHING else "unsupported")
    assert hosts.connected == []


@pytest.mark.parametrize("host", [*REACHING, *UNREADABLE])
def test_no_redirect_leads_to_this_machine(
    origin: Origin, make: Callable[..., Fetcher], hosts: Hosts, host: str
) -> None:
    origin.send_raw("/there", f"HTTP/1.1 302 Found\r\nLocation: http://{host}/a\r\n\r\n".encode())

    failure = failure_of(make(GUARDED), "http://public.example/there")

    assert failure.kind in (["blocked"] if host in REACHING else ["unsupported", "http_status"])
    assert hosts.connected == [PUBLIC]
    assert origin.hits("/a") == 0


@pytest.mark.parametrize("host", REACHING)
def test_without_the_guard_every_spelling_works(make: Callable[..., Fetcher], hosts: Hosts, host: str) -> None:
    assert make().get(f"http://{host}/a") == BODY


def test_a_public_host_works_with_the_guard(make: Callable[..., Fetcher], hosts: Hosts) -> None:
    assert make(GUARDED).get("http://public.example/a") == BODY
    assert make(GUARDED).get(f"http://{PUBLIC}/a") == BODY


# What a name resolves to


@pytest.mark.parametrize("network", REFUSED, ids=str)
def test_no_network_that_is_not_public_is_connected_to(
    origin: Origin, make: Callable[..., Fetcher], hosts: Hosts, network: object
) -> None:
    address = str(network).partition("/")[0]
    hosts.name("other.example", [address])
    origin.redirect("/there", "http://other.example/a")
    fetcher = make(GUARDED)

    direct, redirected = (failure_of(fetcher, f"http://{at}") for at in ("other.example/a", "public.example/there"))

    assert (direct.kind, str(direct)) == (
        "blocked",
        "no public address (private, or unknown here); --allow-host HOST:PORT opens a private one",
    )
    assert (redirected.kind, str(redirected)) == (direct.kind, str(direct))
    assert hosts.connected == [PUBLIC]


@pytest.mark.parametrize("answer", [[PUBLIC, "10.0.0.1"], ["10.0.0.1", PUBLIC], [PUBLIC, "2606:4700::1", "fe80::1"]])
def test_one_address_that_is_not_public_is_enough(
    make: Callable[..., Fetcher], hosts: Hosts, answer: list[str]
) -> None:
    hosts.name("both.example", answer)

    assert failure_of(make(GUARDED), "http://both.example/a").kind == "blocked"
    assert hosts.connected == []


def test_a_name_is_looked_up_once_for_a_connection_and_what_was_checked_is_connected_to(
    origin: Origin, make: Callable[..., Fetcher], hosts: Hosts
) -> None:
    hosts.name("changes.example", [PUBLIC], ["127.0.0.1"])
    origin.send_raw("/closing", b"HTTP/1.0 200 OK\r\n\r\n" + BODY)
    fetcher = make(GUARDED)

    assert fetcher.get("http://changes.example/closing") == BODY
    assert (hosts.asked, hosts.connected) == (["changes.example"], [PUBLIC])

    assert failure_of(fetcher, "http://changes.example/closing").kind == "blocked"
    assert (hosts.asked, hosts.connected) == (["changes.example"] * 2, [PUBLIC])


def test_a_name_that_changes_all_the_time_reaches_public_addresses_only(
    origin: Origin, make: Callable[..., Fetcher], hosts: Hosts
) -> None:
    answers = [[PUBLIC] if number % 3 else ["169.254.169.254"] for number in range(60)]
    hosts.name("changes.example", *answers)
    origin.send_raw("/closing", b"HTTP/1.0 200 OK\r\n\r\n" + BODY)
    fetcher = make(GUARDED)
    kinds: list[str] = []

    def fetch() -> None:
        try:
            fetcher.get("http://changes.example/closing")
        except Exception as error:  # noqa: BLE001 - its kind is what counts
            kinds.append(getattr(error, "kind", repr(error)))

    for _ in range(15):
        threads = [threading.Thread(target=fetch) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert set(hosts.connected) == {PUBLIC}
    assert set(kinds) == {"blocked"}
    assert len(hosts.connected) + len(kinds) == 60
    assert len(hosts.asked) <= 60  # fetches that ask at the same time share one look-up


# Ports


@pytest.mark.parametrize("port", [22, 81, 8080, 6379, 65535])
def test_other_ports_are_not_connected_to(
    origin: Origin, make: Callable[..., Fetcher], hosts: Hosts, port: int
) -> None:
    origin.redirect("/there", f"http://public.example:{port}/a")
    fetcher = make(GUARDED)

    for url in (f"http://public.example:{port}/a", "http://public.example/there"):
        failure = failure_of(fetcher, url)
        assert (failure.kind, str(failure)) == ("blocked", "not at port 80 or 443; --allow-port opens others")
    assert hosts.connected == [PUBLIC]


def test_a_port_that_the_user_allows_is_connected_to(make: Callable[..., Fetcher], hosts: Hosts) -> None:
    fetcher = make(GUARDED._replace(allow_ports=(8080,)))

    assert fetcher.get("http://public.example:8080/a") == BODY
    assert fetcher.get("http://public.example:443/a") == BODY
    assert failure_of(fetcher, "http://localhost:8080/a").kind == "blocked"


# What the operator names


@pytest.mark.parametrize(
    ("allowed", "url"),
    [
        ("private.example", "http://private.example/a"),
        ("PRIVATE.example.", "http://private.example:443/a"),
        ("private.example", "http://Private.Example./a"),
        ("private.example:8080", "http://private.example:8080/a"),
        ("127.0.0.1:8080", "http://127.0.0.1:8080/a"),
        ("::1", "http://[::1]/a"),
        ("[0:0::1]", "http://[::1]/a"),
        ("[::1]:8080", "http://[0:0:0::1]:8080/a"),
        ("other.example, private.example", "http://private.example/a"),
    ],
)
def test_an_allowed_host_may_be_private(make: Callable[..., Fetcher], hosts: Hosts, allowed: str, url: str) -> None:
    assert make(GUARDED._replace(allow_hosts=(allowed,))).get(url) == BODY


@pytest.mark.parametrize(
    ("allowed", "url"),
    [
        ("private.example", "http://private.example:8080/a"),
        ("private.example:8080", "http://private.example/a"),
        ("private.example:8080", "http://private.example:8081/a"),
        ("private.example", "http://a.private.example/a"),
        ("private.example", "http://localhost/a"),
        ("127.0.0.1", "http://127.0.0.2/a"),
        ("private.example", "http://private.example.localhost/a"),
        ("::1", f"http://{'0' * 31}1/a"),
        ("::1", "http://[::]/a"),
    ],
)
def test_an_allowed_host_opens_nothing_else(make: Callable[..., Fetcher], hosts: Hosts, allowed: str, url: str) -> None:
    hosts.name("a.private.example", ["127.0.0.1"])

    assert failure_of(make(GUARDED._replace(allow_hosts=(allowed,))), url).kind == "blocked"
    assert hosts.connected == []


def test_a_redirect_from_an_allowed_host_is_checked(origin: Origin, make: Callable[..., Fetcher], hosts: Hosts) -> None:
    origin.redirect("/there", "http://localhost/a")

    failure = failure_of(make(GUARDED._replace(allow_hosts=("private.example",))), "http://private.example/there")

    assert failure.kind == "blocked"
    assert origin.hits("/a") == 0


@pytest.mark.parametrize(
    "value",
    [
        "http://a.example",
        "a.example/b",
        "a b",
        "a.example:0",
        "a.example:http",
        "[::1",
        "a@b",
        "*",
        "*.example",
        "::1:x",
    ],
)
def test_an_allowed_host_is_a_host(value: str) -> None:
    with pytest.raises(UsageError, match=r"--allow-host '.*': must be HOST or HOST:PORT"):
        Fetcher(FetchSettings(public_only=True)._replace(allow_hosts=(value,)))


def test_a_model_that_the_operator_names_may_be_private(make: Callable[..., Fetcher], hosts: Hosts) -> None:
    fetcher = make(GUARDED, named=("http://private.example:8080/model.tar.gz", "publisher/model/1"))

    assert fetcher.get("http://private.example:8080/a") == BODY
    assert failure_of(fetcher, "http://private.example/a").kind == "blocked"


# Mirrors


def test_a_mirror_may_be_private_and_answers_for_hosts_that_do_not_exist(
    origin: Origin, make: Callable[..., Fetcher], hosts: Hosts
) -> None:
    fetcher = make(GUARDED._replace(mirror="http://private.example:8080/sub"))
    for host in ("a.example", "a.example:8443", "album.invalid"):
        origin.serve(f"/sub/{host}/b", BODY)

        assert fetcher.get(f"https://{host}/b") == BODY
    assert fetcher.get("http://private.example:8080/sub/a.example/b") == BODY


@pytest.mark.parametrize("host", ["127.1", "0x7f000001", "localhost", "[::1]", "169.254.169.254", "camera"])
def test_a_mirror_is_not_asked_for_what_is_not_public(make: Callable[..., Fetcher], hosts: Hosts, host: str) -> None:
    fetcher = make(GUARDED._replace(mirror="http://private.example:8080/sub"))

    assert failure_of(fetcher, f"http://{host}/a").kind == "blocked"
    assert hosts.connected == []


def test_a_redirect_from_a_mirror_stays_with_the_mirror(
    origin: Origin, make: Callable[..., Fetcher], hosts: Hosts
) -> None:
    fetcher = make(GUARDED._replace(mirror="http://private.example:8080/sub"))
    origin.redirect("/sub/a.example/b", "http://localhost/a")
    origin.redirect("/sub/a.example/c", "https://a.example/d")
    origin.serve("/sub/a.example/d", BODY)

    assert failure_of(fetcher, "http://a.example/b").kind == "blocked"
    assert fetcher.get("http://a.example/c") == BODY
    assert origin.hits("/a") == 0


# Proxies


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch, hosts: Hosts) -> Hosts:
    """A private proxy, which is the test's server."""
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    hosts.name("proxy.example", ["10.0.0.7"])
    return hosts


def test_a_proxy_may_be_private(origin: Origin, make: Callable[..., Fetcher], proxied: Hosts) -> None:
    origin.serve("http://public.example/b", BODY)

    assert make(GUARDED).get("http://public.example/b") == BODY
    assert proxied.connected == ["10.0.0.7"]


@pytest.mark.parametrize("host", REACHING)
def test_a_proxy_is_not_asked_for_this_machine(make: Callable[..., Fetcher], proxied: Hosts, host: str) -> None:
    assert failure_of(make(GUARDED), f"http://{host}/a").kind == "blocked"
    assert proxied.connected == []


def test_a_proxy_is_asked_for_names_that_are_not_known_here(
    origin: Origin, make: Callable[..., Fetcher], proxied: Hosts
) -> None:
    origin.serve("http://elsewhere.example/b", BODY)
    fetcher = make(GUARDED)

    assert [fetcher.get("http://elsewhere.example/b") for _ in range(3)] == [BODY] * 3
    assert proxied.asked.count("elsewhere.example") == 1


def test_a_redirect_through_a_proxy_is_checked(origin: Origin, make: Callable[..., Fetcher], proxied: Hosts) -> None:
    origin.redirect("http://public.example/there", "http://private.example/a")

    assert failure_of(make(GUARDED), "http://public.example/there").kind == "blocked"
    assert origin.hits("http://private.example/a") == 0


@pytest.mark.parametrize("url", ["http://proxy.example:3128/", "http://proxy.example:443/"])
def test_a_proxy_is_no_target(
    make: Callable[..., Fetcher], monkeypatch: pytest.MonkeyPatch, proxied: Hosts, url: str
) -> None:
    monkeypatch.setenv("NO_PROXY", "proxy.example")

    assert failure_of(make(GUARDED._replace(allow_ports=(3128,))), url).kind == "blocked"
    assert proxied.connected == []


def test_a_host_past_the_proxy_is_checked(
    make: Callable[..., Fetcher], monkeypatch: pytest.MonkeyPatch, proxied: Hosts
) -> None:
    monkeypatch.setenv("NO_PROXY", "private.example,127.0.0.0/8")

    assert failure_of(make(GUARDED), "http://private.example/a").kind == "blocked"
    assert proxied.connected == []


def test_an_allowed_host_is_asked_for_through_a_proxy(
    origin: Origin, make: Callable[..., Fetcher], proxied: Hosts
) -> None:
    origin.serve("http://private.example/b", BODY)

    assert make(GUARDED._replace(allow_hosts=("private.example",))).get("http://private.example/b") == BODY
