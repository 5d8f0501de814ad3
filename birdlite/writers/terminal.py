"""What a text stream can show (width, colour, characters), and text made to fit."""

from __future__ import annotations

import os
from collections.abc import Sequence

from birdlite.namedtuple import NamedTuple
from birdlite.printable import PLAIN, printable
from birdlite.writers.base import TextSink

NARROWEST = 20  # columns; narrower terminals wrap the lines themselves
DEFAULT_WIDTH = 80  # columns, if the terminal does not say

GAP = "  "  # between columns


class Terminal(NamedTuple):
    """The abilities of a text stream."""

    width: int | None = None  # columns; None for a file or a pipe, where nothing is cut
    colour: bool = False
    encoding: str = "utf-8"

    @property
    def blocks(self) -> bool:
        """Whether it can show block characters and an ellipsis."""
        return self.can_show("█░…")

    def can_show(self, text: str) -> bool:
        """Whether its encoding has all characters of `text`."""
        try:
            text.encode(self.encoding)
        except UnicodeEncodeError:
            return False
        return True

    def text(self, text: str) -> str:
        """Make text from outside safe to print here, in characters that the stream can encode."""
        text = printable(text)
        if text.isascii() or self.can_show(text):
            return text
        text = text.replace("\u00d7", "x")  # the multiplication sign in the names of hybrids
        return text.encode(self.encoding, "backslashreplace").decode(self.encoding)

    def paint(self, text: str, style: str) -> str:
        """Add colour to safe text, if the stream has colour."""
        return f"\x1b[{style}m{text}\x1b[{PLAIN}m" if self.colour and text else text

    def cut(self, text: str, width: int) -> str:
        """Shorten to `width` columns at the end."""
        if columns(text) <= width:
            return text
        mark = "…" if self.blocks else "."
        return _head(text, width - 1) + mark

    def cut_middle(self, text: str, width: int) -> str:
        """Shorten to `width` columns in the middle, because both ends of a path or URL matter most."""
        if columns(text) <= width:
            return text
        mark = "…" if self.blocks else "..."
        left = width - len(mark)
        end = _head(text[::-1], left - left // 2)[::-1]
        return _head(text, left // 2) + mark + end


def look(stream: TextSink) -> Terminal:
    """Find out what `stream` can show.

    Colour needs a terminal that is not `TERM=dumb`; NO_COLOR turns it off and FORCE_COLOR on, as no-color.org and
    force-color.org describe. COLUMNS overrides the terminal's width, as in the standard library.
    """
    terminal = stream.isatty()
    colour = terminal and os.environ.get("TERM", "dumb") not in ("dumb", "")
    if os.environ.get("NO_COLOR"):
        colour = False
    elif os.environ.get("FORCE_COLOR"):
        colour = True
    width = max(NARROWEST, _width(stream)) if terminal else None
    return Terminal(width, colour, stream.encoding or "utf-8")


def _width(stream: TextSink) -> int:
    """The number of columns. shutil can tell it too, but takes 8 ms to import."""
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and len(given) < 6 and int(given) > 0:
        return int(given)
    try:
        return os.get_terminal_size(stream.fileno()).columns or DEFAULT_WIDTH
    except (OSError, ValueError):  # not a terminal; ValueError: the stream is closed or has no descriptor
        return DEFAULT_WIDTH


def columns(text: str) -> int:
    """How many columns a terminal takes for `text`: two for wide East Asian characters, none for combining ones."""
    if text.isascii():
        return len(text)
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if character < "\u0300":
        return 1
    from unicodedata import category, east_asian_width

    if category(character) in ("Mn", "Me"):
        return 0
    return 2 if east_asian_width(character) in "WF" else 1


def aligned(rows: Sequence[Sequence[str]], sides: str) -> list[str]:
    """Lines in which each column is as wide as its widest cell, `sides` (`<` or `>`) of which are flush."""
    widths = [max(columns(row[at]) for row in rows) for at in range(len(sides))]
    return [
        GAP.join(
            pad(cell, width) if side == "<" else " " * (width - columns(cell)) + cell
            for cell, width, side in zip(row, widths, sides, strict=True)
        ).rstrip()
        for row in rows
    ]


def pad(text: str, width: int) -> str:
    """Fill up with spaces to `width` columns."""
    return text + " " * (width - columns(text))


def bar(share: float, width: int, terminal: Terminal) -> str:
    """Draw a share between 0 and 1 as a bar of `width` columns."""
    full = min(max(round(share * width), 0), width)
    return "█" * full + "░" * (width - full) if terminal.blocks else "#" * full + "." * (width - full)


def _head(text: str, width: int) -> str:
    """The longest beginning of `text` that takes at most `width` columns."""
    used = 0
    for at, character in enumerate(text):
        used += _columns(character)
        if used > width:
            return text[:at]
    return text
