"""Which addresses are public: a table of those that are not, and why. `guard` asks before a connection is made.

The table is our own. `ipaddress.is_global` differs between versions of Python, and calls addresses global that lead to
private ones, such as those of 6to4. Addresses of IPv6 that hold one of IPv4 (mapped, NAT64, 6to4, Teredo) are refused
whatever they hold: no public server has one. Sources: the registries of IANA for special-purpose addresses, and the
documentation of the clouds for the addresses of their metadata.
"""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

Ip = IPv4Address | IPv6Address
IpNetwork = IPv4Network | IPv6Network

_REASONS = {
    "0.0.0.0/8": "this host",
    "10.0.0.0/8": "private",
    "100.64.0.0/10": "shared by a provider's customers; metadata of a cloud",
    "127.0.0.0/8": "loopback",
    "168.63.129.16/32": "metadata of a cloud",
    "169.254.0.0/16": "link-local; metadata of clouds",
    "172.16.0.0/12": "private",
    "192.0.0.0/24": "for protocols; metadata of a cloud",
    "192.0.2.0/24": "for documentation",
    "192.88.99.0/24": "relays of 6to4",
    "192.168.0.0/16": "private",
    "198.18.0.0/15": "benchmarks of networks",
    "198.51.100.0/24": "for documentation",
    "203.0.113.0/24": "for documentation",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved, and broadcast",
    "::/128": "unspecified",
    "::1/128": "loopback",
    "::/96": "compatible with IPv4",
    "::ffff:0:0/96": "mapped IPv4",
    "::ffff:0:0:0/96": "translated IPv4",
    "64:ff9b::/96": "NAT64",
    "64:ff9b:1::/48": "NAT64 of one network",
    "100::/64": "discarded",
    "2001::/32": "Teredo",
    "2001::/23": "for protocols",
    "2001:db8::/32": "for documentation",
    "2002::/16": "6to4",
    "3fff::/20": "for documentation",
    "5f00::/16": "segment routing",
    "fc00::/7": "unique-local; metadata of a cloud",
    "fe80::/10": "link-local",
    "fec0::/10": "site-local",
    "ff00::/8": "multicast",
    "::/3": "reserved",  # public addresses of IPv6 are in 2000::/3, the only block that IANA gives out
    "4000::/2": "reserved",
    "8000::/1": "reserved",
}

REFUSED: dict[IpNetwork, str] = {ip_network(network): reason for network, reason in _REASONS.items()}
"""Networks that are not public, and why. The first one that holds an address gives its reason."""

_OWN_NAMES = {
    "localhost": "this host",
    "localdomain": "this network",
    "local": "this network",
    "internal": "a private network",
    "home.arpa": "this network",
}


def why_not_public(found: Ip) -> str | None:
    """Why an address must not be connected to for a stranger; None if it is public."""
    return next((reason for network, reason in REFUSED.items() if found in network), None)


def why_not_public_name(host: str) -> str | None:
    """Why the host of a URL cannot be public, by its name alone; None if only its addresses can tell.

    An address in any spelling counts: `127.1`, `0x7f000001`, `2130706433`. So do names that no public host has.
    """
    name = host.rstrip(".")
    literal = _literal(name)
    if literal is not None:
        return why_not_public(literal)
    last = name.rpartition(".")[2]
    if last.isdigit() or last.startswith("0x"):
        return "a number that is no address"
    if "." not in name and name != "localhost":
        return "a name in this network"
    return next((why for own, why in _OWN_NAMES.items() if name == own or name.endswith(f".{own}")), None)


def _literal(name: str) -> Ip | None:
    """The address that a host is written as, as resolvers read it."""
    if ":" in name:
        return IPv6Address(socket.inet_pton(socket.AF_INET6, name))
    try:
        return IPv4Address(socket.inet_aton(name))
    except OSError:
        return None
