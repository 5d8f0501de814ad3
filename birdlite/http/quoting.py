"""What may not stand in a URL is percent-encoded, and what is encoded stays. For `targets` and `address`.

Done by hand because importing `urllib.parse` takes longer than asking for a picture.
"""

from __future__ import annotations

import re

_ILLEGAL = re.compile(rb"%(?![0-9A-Fa-f]{2})|[^!#$%&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~]")  # RFC 3986; [] as browsers do


def quote(text: str) -> str:
    """Bring a part of a URL into ASCII.

    Raises:
        UnicodeEncodeError: it holds half of a surrogate pair, as JSON may.
    """
    octets = text.encode("utf-8", "surrogateescape")
    return _ILLEGAL.sub(lambda match: b"%%%02X" % ord(match[0]), octets).decode("ascii")
