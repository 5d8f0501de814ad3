"""Which addresses are public: the table, at both ends of each network, and beside it."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from birdlite.http.public import REFUSED, Ip, why_not_public, why_not_public_name

NOT_PUBLIC = {
    "0.0.0.0": "this host",
    "10.0.0.1": "private",
    "100.64.0.1": "shared",
    "100.100.100.200": "metadata",
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "168.63.129.16": "metadata",
    "169.254.169.254": "metadata",
    "172.16.0.1": "private",
    "172.31.255.255": "private",
    "192.0.0.192": "metadata",
    "192.0.2.1": "documentation",
    "192.88.99.1": "6to4",
    "192.168.1.1": "private",
    "198.18.0.1": "benchmarks",
    "198.19.255.255": "benchmarks",
    "198.51.100.1": "documentation",
    "203.0.113.1": "documentation",
    "224.0.0.1": "multicast",
    "239.255.255.255": "multicast",
    "240.0.0.1": "reserved",
    "255.255.255.255": "broadcast",
    "::": "unspecified",
    "::1": "loopback",
    "::127.0.0.1": "compatible",
    "::ffff:127.0.0.1": "mapped",
    "::ffff:8.8.8.8": "mapped",
    "::ffff:0:127.0.0.1": "translated",
    "64:ff9b::169.254.169.254": "NAT64",
    "64:ff9b::8.8.8.8": "NAT64",
    "64:ff9b:1::a00:1": "NAT64",
    "100::1": "discarded",
    "2001::1": "Teredo",
    "2001:2::1": "protocols",
    "2001:10::1": "protocols",
    "2001:db8::1": "documentation",
    "2002:7f00:1::": "6to4",
    "3fff::1": "documentation",
    "5f00::1": "segment",
    "4000::1": "reserved",
    "fc00::1": "unique-local",
    "fd00:ec2::254": "metadata",
    "fe80::1": "link-local",
    "fe80::1%lo": "link-local",
    "fec0::1": "site-local",
    "ff02::1": "multicast",
}
PUBLIC = (
    *("1.1.1.1", "8.8.8.8", "93.184.215.14", "192.31.196.1", "223.255.255.255"),
    *("9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0"),
    *("168.63.129.15", "168.63.129.17", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0"),
    *("192.0.1.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0"),
    *("2001:200::1", "2001:4860:4860::8888", "2606:4700:4700::1111", "2a00:1450::1", "2003::1"),
)


@pytest.mark.parametrize(("address", "why"), NOT_PUBLIC.items())
def test_an_address_that_is_not_public_has_a_reason(address: str, why: str) -> None:
    assert why in (why_not_public(ip_address(address)) or "")


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_has_none(address: str) -> None:
    assert why_not_public(ip_address(address)) is None


@pytest.mark.parametrize("network", REFUSED, ids=str)
def test_a_network_is_refused_from_its_first_address_to_its_last(network: object) -> None:
    first, last = ends_of(network)

    assert None not in (why_not_public(first), why_not_public(last))


def ends_of(network: object) -> tuple[Ip, Ip]:
    start, _, prefix = str(network).partition("/")
    first = ip_address(start)
    return first, first + (2 ** (first.max_prefixlen - int(prefix)) - 1)


def test_each_network_has_an_example_here() -> None:
    examples = [ip_address(one) for one in NOT_PUBLIC]

    assert [network for network in REFUSED if not any(one in network for one in examples)] == []


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.1", "127.0.1", "2130706433", "017700000001", "0x7f000001", "0x7f.1", "0177.0.0.1", "0"),
        *("10.0.0.1.", "::1", "::ffff:127.0.0.1", "0xa9fea9fe", "1.2.3.4.5", "4294967296", "0x1.example.0x7f", "256.1"),
        *(
            "localhost",
            "localhost.",
            "a.localhost",
            "localhost.localdomain",
            "camera",
            "nas.local",
            "metadata.google.internal",
        ),
    ],
)
def test_a_host_may_be_known_by_its_spelling(host: str) -> None:
    assert why_not_public_name(host) is not None


@pytest.mark.parametrize("host", ["a.example", "localhost.example", "8.8.8.8", "134744072", "2606:4700::1111", "x.0a"])
def test_other_hosts_are_known_by_their_addresses_only(host: str) -> None:
    assert why_not_public_name(host) is None
