"""Percent-encodes what a URL must not contain, and leaves existing escapes alone. For `targets` and `address`.

Not `urllib.parse`: importing it takes longer than sending a request.
"""

from __future__ import annotations

import re

_ILLEGAL = re.compile(rb"%(?![0-9A-Fa-f]{2})|[^!#$%&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~]")  # RFC 3986; [] as browsers do


def quote(text: str) -> str:
    """Escape a part of a URL, so that it is ASCII.

    Raises:
        UnicodeEncodeError: it holds half of a surrogate pair, as JSON text may.
    """
    octets = text.encode("utf-8", "surrogateescape")
    return _ILLEGAL.sub(lambda match: b"%%%02X" % ord(match[0]), octets).decode("ascii")
