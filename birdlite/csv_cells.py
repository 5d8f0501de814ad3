"""Texts in the cells of birdlite's own CSV. `writers.csv_writer` makes them, and `targets.list_csv` reads them back.

Each row is one line, because `grep`, `wc` and many scripts read CSV line by line: `one_row` escapes line ends in texts.

A spreadsheet runs a cell as a formula if it begins with one of `_FORMULA_STARTS`. So such texts get an apostrophe in
front, as OWASP advises ("CSV Injection"). A text that begins so behind apostrophes of its own gets one more.
"""

from __future__ import annotations

from birdlite.printable import one_row

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def safe_cell(text: str) -> str:
    """Make a text stay in its row, and a spreadsheet show it instead of running it."""
    text = one_row(text)
    return f"'{text}" if _is_formula(text) else text


def exact(cell: str) -> str:
    """Give the text back that `safe_cell` had."""
    import re

    if cell.startswith("'") and _is_formula(cell):
        cell = cell[1:]
    return re.sub(r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4}))", lambda found: chr(int(found[1] or found[2], 16)), cell)


def _is_formula(text: str) -> bool:
    return text.lstrip("'").startswith(_FORMULA_STARTS)
