"""Smaller forms of a photograph that its host keeps at documented addresses. `fetch` asks for them if the user wants.

Wikimedia's originals have 5 to 20 MB; of 960 px across, one has 0.2 MB, and is still more than a model looks at.
"""

from __future__ import annotations

import re

from birdlite.http.settings import WIKIMEDIA

WIDTH = 960
"""px. Of the widths that Wikimedia serves, the smallest whose other side is 448 px or more in pictures up to 2:1.

448 px is what a picture is decoded to before it is brought to 224. (https://www.mediawiki.org/wiki/Common_thumbnail_sizes)
"""

_LONGEST_NAME = 150  # bytes; the thumbnails of files with longer names are called something else

_ORIGINAL = re.compile(
    rf"(https://{re.escape(WIKIMEDIA)}/wikipedia/[a-z-]+)/([0-9a-f]/[0-9a-f]{{2}}/([^/?#]+\.(?:jpe?g|png|webp)))",
    re.IGNORECASE,
)


def smaller(url: str) -> str | None:
    """The address of a rendition that is large enough; None where no such address is known.

    Whether there is one only the host can say: an original of fewer pixels across has none.
    """
    match = _ORIGINAL.fullmatch(url)
    if match is None or len(match[3].encode()) > _LONGEST_NAME:
        return None
    folder, path, name = match.groups()
    return f"{folder}/thumb/{path}/{WIDTH}px-{name}"
