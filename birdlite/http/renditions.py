"""Smaller forms of a photograph that its host serves at documented addresses. `fetcher` asks for them on request.

An original on Wikimedia has 5 to 20 MB. At 960 px across it has 0.2 MB, and still more pixels than the model uses.
"""

from __future__ import annotations

import re

from birdlite.settings import WIKIMEDIA

WIDTH = 960
"""px. The smallest width that Wikimedia serves whose other side is at least 448 px in pictures up to 2:1.

A picture is decoded to at least 448 px before it is resized to 224. (https://www.mediawiki.org/wiki/Common_thumbnail_sizes)
"""

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
