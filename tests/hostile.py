"""Texts that try to control a terminal, to hide, or to begin lines and rows of their own. Tests plant them everywhere.

`intruders` is how a test sees that one got through; it has its own idea of what is harmless, not birdlite's.
"""

from __future__ import annotations

import unicodedata

LINE_ENDS = ("\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029")
FORGED = "!1,x"  # what would stand at the beginning of a forged line

CONTROLS = "".join(map(chr, (*range(1, 0x20), *range(0x7F, 0xA0))))
SEQUENCES = "\x1b[2J\x1b[31m\x1b[0m\x1b]0;t\x07\x1bPq\x1b\\\x9b2J\x9d0;t\x9c"  # erase, colour, title, a string of DCS
DIRECTIONS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"
UNSEEN = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u180e\u034f\u115f\u3164\ufe0f\U000e0041\U000e0100"
UNDECODABLE = "\udcff\udc80"

FORGERY = "".join(end + FORGED for end in LINE_ENDS)

IN_LINE = "".join(c for c in CONTROLS + SEQUENCES + DIRECTIONS + UNSEEN + "\u2028\u2029" if c not in "\n\r")
"""Everything but line ends and undecodable bytes: what a label, a header or a line of a list can hold."""

TEXT = CONTROLS + SEQUENCES + DIRECTIONS + UNSEEN + UNDECODABLE + FORGERY
"""Everything at once."""

TEXTS = {
    "everything": TEXT,
    "a forged line": FORGERY,
    "undecodable bytes": UNDECODABLE,
    "an escape spelt out": "\\x0a\\u2028\\udcff\\n",
    "half a pair": "\ud83d",
    "NUL": "a\0b",
    "quotes": '","\n"',
}


def intruders(shown: str) -> set[str]:
    """The characters that no terminal should get, apart from LF and CR LF."""
    text = shown.replace("\r\n", "").replace("\n", "")
    return {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") or c in UNSEEN}


def forged(shown: str) -> list[str]:
    """The lines that begin as the forged ones do, for a reader that splits wherever it can."""
    return [line for line in shown.splitlines() if line.startswith(FORGED)]
