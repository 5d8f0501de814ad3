"""What a request says: its header fields, and its bytes. `client` sends it, and `fetcher` before httpx is imported."""

from __future__ import annotations

import binascii
import re

from birdlite.http.address import Address

Fields = list[tuple[str, str]]


def request_fields(target: Address, user_agent: str) -> Fields:
    """Give the header fields of a request for `target`.

    Nothing compressed is asked for: pictures and models do not shrink, and what is not compressed cannot swell.
    """
    fields = [("Host", target.netloc), ("User-Agent", user_agent), ("Accept", "*/*"), ("Accept-Encoding", "identity")]
    return fields + authorization("Authorization", target)


def request_bytes(target: Address, fields: Fields) -> bytes:
    """Give a request as it is sent to the host itself."""
    lines = [f"GET {target.target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields), "", ""]
    return "\r\n".join(lines).encode("ascii")


def authorization(name: str, place: Address) -> Fields:
    """Make the header field with the user name and password of an address, if it has them."""
    if not place.userinfo:
        return []
    user, _, password = place.userinfo.partition(":")
    words = _unquoted(user) + b":" + _unquoted(password)
    return [(name, f"Basic {binascii.b2a_base64(words, newline=False).decode('ascii')}")]


def _unquoted(text: str) -> bytes:
    return re.sub(rb"%([0-9A-Fa-f]{2})", lambda match: bytes((int(match[1], 16),)), text.encode("ascii"))
