"""Text from outside made harmless: for people's screens, and for files that must be UTF-8."""

from __future__ import annotations

_SPACES = "\u00a0\u3000"  # not "printable" in Unicode's sense, but harmless and at home in file names


def printable(text: str) -> str:
    """Escape what a terminal would obey or hide: control characters, line breaks, directions, bytes of no encoding.

    A name on a web server can hold the codes that clear the screen or turn the direction of writing.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in _SPACES else _escape(ord(c)) for c in text)


def _escape(code: int) -> str:
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def encodable(text: str) -> str:
    r"""Escape lone surrogates, which stand for undecodable bytes of a path and do not exist in UTF-8.

    They become `\udc80`, which in a JSON text means the same character again.
    """
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")
