"""Thumbnails of Wikimedia: the one to fetch instead of an original on request, and why one is not served.

An original has 5 to 20 MB. At 960 px across it has 0.2 MB, and still more pixels than the model uses.
"""

from __future__ import annotations

import re

from birdlite.settings import WIKIMEDIA, WIKIMEDIA_THUMBNAILS, host_key

WIDTH = 960
"""px. The smallest width that Wikimedia serves whose other side is at least 448 px in pictures up to 2:1.

A picture is decoded to at least 448 px before it is resized to 224. (https://www.mediawiki.org/wiki/Common_thumbnail_sizes)
"""

_WIDTHS = (20, 40, 60, 120, 250, 330, 500, 960, 1280, 1920, 3840)  # px
_LONGEST_NAME = 150  # bytes; thumbnails of files with longer names have other names

_ORIGINAL = re.compile(
    rf"(https://{re.escape(WIKIMEDIA)}/wikipedia/[a-z-]+)/([0-9a-f]/[0-9a-f]{{2}}/([^/?#]+\.(?:jpe?g|png|webp)))",
    re.IGNORECASE,
)


def smaller(url: str) -> str | None:
    """Give the address of a smaller form that is large enough; None if no such address is known.

    Only the host knows whether it exists: an original with fewer pixels across has none.
    """
    match = _ORIGINAL.fullmatch(url)
    if match is None or len(match[3].encode()) > _LONGEST_NAME:
        return None
    folder, path, name = match.groups()
    return f"{folder}/thumb/{path}/{WIDTH}px-{name}"


def thumbnail_advice(host: str, path: str) -> str | None:
    """Say what is wrong with the URL of a thumbnail whose width is not served; None for all other URLs.

    Such a request is answered 400, or 429 without Retry-After. Asking again does not help.
    """
    match = re.search(r"/thumb/.*/(?:[a-z0-9]+-)*(\d{1,6})px-[^/]*$", path)
    if host_key(host) not in (WIKIMEDIA, WIKIMEDIA_THUMBNAILS) or match is None or int(match[1]) in _WIDTHS:
        return None
    return f"thumbnails are served {', '.join(map(str, _WIDTHS))} px wide, not {match[1]}"
