r"""Text from outside made harmless: names of files, labels and messages of servers can hold anything.

`inert` is the last step before a terminal: `writers.output` applies it to results, and `cli.console` to messages. So no
control character reaches a terminal, whatever a writer forgets. `printable` is for a text that must stay within its
line: of a table, a page or a log. `one_row` is for a cell of CSV. All of them write `\x1b` for the character itself.
"""

from __future__ import annotations

BOLD, RED, GREEN = "1", "31", "32"  # ECMA-48, select graphic rendition
PLAIN = "0"

_OUR_STYLES = tuple(f"[{style}m" for style in (PLAIN, BOLD, RED, GREEN))

_SPACES = "\u00a0\u3000"  # not "printable" in Unicode's sense, but harmless and common in file names

# "Printable" in Unicode's sense, and yet nothing is seen: fillers, joiners, and selectors of variants.
_UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0").union(
    map(chr, range(0xFE00, 0xFE10)), map(chr, range(0xE0100, 0xE01F0))
)

_ROW_ENDS = "\0\n\v\f\r\x1c\x1d\x1e\x85\u2028\u2029"  # where `str.splitlines` splits; old readers stop at NUL
_HALVES = "\ud800", "\udfff"  # the first and the last lone surrogate


def printable(text: str, *, as_json: bool = False) -> str:
    """Escape control characters, line breaks, changes of direction, unseen characters and undecodable bytes."""
    if text.isprintable() and (text.isascii() or _UNSEEN.isdisjoint(text)):
        return text
    return "".join(c if _is_seen(c) else _escaped(c, as_json=as_json) for c in text)


def inert(text: str, *, styles: bool = False, as_json: bool = False) -> str:
    """Escape everything that could control a terminal, but line ends (LF, CR LF).

    Args:
        text: whole lines, or the end of one.
        styles: let our own styles pass, for what `printable` has seen before it was painted.
        as_json: use the escapes of JSON, so that what is copied from the screen is valid.
    """
    line = _painted if styles else printable
    lines = text.split("\n")
    for at, one in enumerate(lines):
        body = one.removesuffix("\r")
        lines[at] = line(body, as_json=as_json) + one[len(body) :]
    return "\n".join(lines)


def one_row(text: str) -> str:
    r"""Escape the ends of lines and undecodable bytes, as `\x0a` or `\udce9`, for files that are read line by line.

    A backslash that looks like the beginning of such an escape becomes `\x5c`. So the text can be had back exactly.
    """
    if "\\" in text:
        import re

        text = re.sub(r"\\(?=x[0-9a-f]{2}|u[0-9a-f]{4})", r"\\x5c", text)
    if text.isprintable():
        return text
    return "".join(_escaped(c) if c in _ROW_ENDS or _HALVES[0] <= c <= _HALVES[1] else c for c in text)


def encodable(text: str) -> str:
    r"""Escape lone surrogates, which stand for undecodable bytes of a path and cannot be encoded in UTF-8.

    They become `\udc80`, which is the same character in JSON.
    """
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def _is_seen(character: str) -> bool:
    return (character.isprintable() and character not in _UNSEEN) or character in _SPACES


def _escaped(character: str, *, as_json: bool = False) -> str:
    r"""`\x1b`, `\u202e` or `\U000e0041`; in JSON `\u001b` and, for what needs more than 16 bits, a pair."""
    if as_json:
        units = character.encode("utf-16-be", "surrogatepass")
        return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _painted(line: str, *, as_json: bool) -> str:
    """A line in which our own styles stay."""
    first, *others = line.split("\x1b")
    shown = printable(first, as_json=as_json)
    for text in others:
        style = next(filter(text.startswith, _OUR_STYLES), "")
        shown += f"\x1b{style}" if style else _escaped("\x1b", as_json=as_json)
        shown += printable(text[len(style) :], as_json=as_json)
    return shown
