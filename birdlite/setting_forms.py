"""The forms of settings that few programs set. `settings` imports this when a Python program sets one of them.

On the command line, what uses such a value checks it, and names the option.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_MIRROR = re.compile(r"\s*https?://[^\s/?#]+[^\s?#]*\s*", re.IGNORECASE)
_HOST = re.compile(
    r"\s*(?:\[[0-9a-f:.]+\]|[0-9a-f:]*:[0-9a-f:.]*:[0-9a-f:.]*|[^\s:/?#@\[\],]+)(?::[0-9]{1,5})?\s*", re.IGNORECASE
)


def wanted(field: str, value: object) -> str | None:
    """What the field must be, if it is not. Its type may be wrong inside only."""
    if field == "mirror":
        return None if _MIRROR.fullmatch(str(value)) else "an http:// or https:// URL without query and fragment"
    if field == "model_sha256":
        return None if re.fullmatch("[0-9a-f]{64}", str(value)) else "64 hexadecimal digits in lower case"
    items: Iterable[object] = value if isinstance(value, tuple) else ()
    if field == "allow_hosts":
        fits = all(isinstance(item, str) and all(map(_HOST.fullmatch, item.split(","))) for item in items)
        return None if fits else "a tuple of HOST or HOST:PORT"
    if field == "allow_ports":
        return None if all(type(item) is int and 0 < item < 1 << 16 for item in items) else "a tuple of ports"
    general, named = items
    limits = [general, *(named.values() if isinstance(named, Mapping) else [None])]
    return None if all(type(limit) is int and limit > 0 for limit in limits) else "a PerHost of whole numbers from 1"
