"""What somebody probably meant who misspelt a command, an option, a choice or a variable."""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(word: str, words: Iterable[str], *, prefix: str = "") -> str:
    """A clause that names the nearest of `words`, or nothing if none is near. Swapped letters are nearest of all.

    `prefix` is what all of them begin with. It does not make them near.
    """
    from difflib import get_close_matches

    word, known = word.removeprefix(prefix), [one.removeprefix(prefix) for one in words]
    close = [one for one in known if sorted(one) == sorted(word)] or get_close_matches(word, known, 1)
    return f"; did you mean {prefix}{close[0]}?" if close else ""
