"""What a stranger is told of a picture at a URL that failed, with `--public-only`: nothing of what answered.

The pipeline asks for every failure of a URL, whatever found it: the network, the format or the decoder. No status, no
first bytes, no address and no closed port stands in a record then. The log has it all, for the operator (`-v`).
"""

from __future__ import annotations

import re

from birdlite.errors import PictureError
from birdlite.http.guard import NOT_PUBLIC
from birdlite.results import FailureKind

_AWAY: tuple[FailureKind, str] = ("network", "it could not be downloaded")
_WORDS: dict[FailureKind, tuple[FailureKind, str]] = {
    "not_found": ("blocked", NOT_PUBLIC),  # a name that is unknown here and one that is private look alike
    "network": _AWAY,
    "timeout": _AWAY,
    "too_large": ("too_large", "more bytes, pixels or memory than --max-bytes, --max-pixels or --memory allow"),
    "not_an_image": ("not_an_image", "no picture of a known format came from there; perhaps it does not exist"),
    "decode": ("decode", "a damaged picture"),
    "unsupported": ("unsupported", "a URL or a kind of picture that is not supported"),
}


def quiet(error: PictureError) -> PictureError:
    """Give the failure as a stranger may see it. A status that will not change counts as no picture."""
    if error.kind == "http_status":
        kind, words = _AWAY if error.temporary else _WORDS["not_an_image"]
    else:
        told = re.sub(r"^redirected by \S+", "redirected", str(error))  # `blocked` and `cancelled` are our own words
        kind, words = _WORDS.get(error.kind, (error.kind, told))
    return PictureError(kind, words, temporary=error.temporary)
