"""Which proxy a request goes through: as the environment says (http_proxy, https_proxy, all_proxy, no_proxy).

The standard library reads the variables. It is imported only if there are any: the import takes as long as a picture.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Mapping

from birdlite.errors import PictureError, UsageError
from birdlite.http.address import Address, address


class Proxies:
    """The proxies of this process. Made by `find_proxies`."""

    def __init__(self, by_scheme: Mapping[str, Address]) -> None:
        self._by_scheme = by_scheme

    def all(self) -> Iterable[Address]:
        """Give the addresses of all proxies."""
        return self._by_scheme.values()

    def on_the_way_to(self, target: Address) -> Address | None:
        """Give the proxy to ask, or None to ask the host itself."""
        from urllib.request import proxy_bypass

        proxy = self._by_scheme.get(target.scheme) or self._by_scheme.get("all")
        bypassed = proxy is not None and (proxy_bypass(target.netloc) or _in_no_proxy_network(target.host))
        return None if bypassed else proxy


def find_proxies() -> Proxies | None:
    """Read the environment; None if it names no proxy.

    Raises:
        UsageError: it names something that cannot be used as one.
    """
    named = [name for name in os.environ if name.lower().endswith("_proxy") and name.lower() != "no_proxy"]
    if not named and sys.platform not in ("darwin", "win32"):  # these two have settings elsewhere
        return None
    from urllib.request import getproxies

    found = {scheme: url for scheme, url in getproxies().items() if scheme in ("http", "https", "all") and url}
    return Proxies({scheme: _proxy(url) for scheme, url in found.items()}) if found else None


def _proxy(url: str) -> Address:
    try:
        return address(url if "://" in url else f"http://{url}")
    except PictureError as error:
        raise UsageError(f"the proxy that the environment names cannot be used: {error}") from error


def _in_no_proxy_network(host: str) -> bool:
    """True if `host` is an address in a network of no_proxy, such as 127.0.0.0/8: urllib does not know these."""
    from ipaddress import ip_address, ip_network

    for network in (os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or "").split(","):
        with contextlib.suppress(ValueError):  # of a name, only the proxy knows the network; or this is not a network
            if "/" in network and ip_address(host) in ip_network(network.strip(), strict=False):
                return True
    return False
