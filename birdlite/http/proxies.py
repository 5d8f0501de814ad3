"""Which proxy a request goes through: as the environment says (http_proxy, https_proxy, all_proxy, no_proxy).

What the variables mean is for the standard library to say; it is imported only where there are any, for it takes as
long as a picture.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from birdlite.errors import PictureError, UsageError
from birdlite.http.address import Address, address


class Proxies:
    """The proxies of this process. Made by `find_proxies`."""

    def __init__(self, by_scheme: Mapping[str, Address]) -> None:
        self._by_scheme = by_scheme

    def on_the_way_to(self, target: Address) -> Address | None:
        """The proxy to ask, or None to ask the host itself."""
        from urllib.request import proxy_bypass

        proxy = self._by_scheme.get(target.scheme) or self._by_scheme.get("all")
        return None if proxy is None or proxy_bypass(target.netloc) else proxy


def find_proxies() -> Proxies | None:
    """Read the environment; None where it names no proxy.

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
