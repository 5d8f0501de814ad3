"""Texts from outside made into HTML: escaped, shortened, and linked where a link is safe. For the report's rooms.

Names of files, URLs, labels and servers' messages come from anybody. No text reaches a page but through `text`, and no
address but through `address`, which knows two kinds: http(s) URLs, taken apart and put together again as for fetching
them, and files, as paths relative to the report. Everything else (`data:`, objects in a bucket) stays text, and
`javascript:` is a file's name like any other.
"""

from __future__ import annotations

import html
import os
from urllib.parse import quote

from birdlite.targets.expand import Target, single
from birdlite.writers.escape import encodable, printable
from birdlite.writers.terminal import Terminal

LONGEST_TEXT = 300  # characters shown; more of a name nobody reads, and a million of them would be a page
LONGEST_ADDRESS = 2048  # characters; browsers take more, servers often do not

_PLAIN = Terminal()


def text(value: str, limit: int = LONGEST_TEXT) -> str:
    """Make `value` harmless text or attribute: escaped, without controls and turns of direction, cut in the middle."""
    if len(value) > limit:
        value = f"{value[: limit // 2]}…{value[-(limit - limit // 2 - 1) :]}"
    return html.escape(encodable(printable(value)))


def address(target: str, folder: str | None) -> str | None:
    """Where a link to a target leads, escaped; None where there shall be no link.

    `folder` is where the page will be: an absolute path, or None if files cannot be reached from there.
    """
    found = single(target)
    if not isinstance(found, Target):
        return None
    if found.kind == "url":
        safe = "@" not in found.location.split("/", 3)[2]  # a name and a password are nobody else's
        where = found.location if safe else None
    else:
        where = _path(found.location, folder) if found.kind == "file" else None
    return None if where is None or len(where) > LONGEST_ADDRESS else html.escape(encodable(where))


def _path(path: str, folder: str | None) -> str | None:
    """A file's path from `folder`, which nobody can take for a URL with a scheme or a host."""
    if folder is None or not path:
        return None
    try:
        octets = os.fsencode(os.path.relpath(os.path.abspath(path), folder))
    except (UnicodeEncodeError, ValueError):
        return None  # no file can be called so
    return "./" + quote(octets)


def last_part(target: str) -> str:
    """What tells a target from its neighbours: the file's name, without folders and host."""
    path = target.partition("?")[0] if target[:4].lower() == "http" else target
    return path.rstrip("/").rpartition("/")[2] or target
