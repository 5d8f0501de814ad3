"""Text from outside, such as names and messages, made safe for terminals and for UTF-8 files."""

from __future__ import annotations

_SPACES = "\u00a0\u3000"  # not "printable" in Unicode's sense, but harmless and common in file names


def printable(text: str) -> str:
    """Escape control characters, line breaks, changes of direction and undecodable bytes.

    A name on a web server can hold codes that clear the screen or reverse the direction of writing.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in _SPACES else _escape(ord(c)) for c in text)


def _escape(code: int) -> str:
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def encodable(text: str) -> str:
    r"""Escape lone surrogates, which stand for undecodable bytes of a path and cannot be encoded in UTF-8.

    They become `\udc80`, which is the same character in JSON.
    """
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")
