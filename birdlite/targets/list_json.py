"""Lists in JSON documents, read an entry at a time, however long a document is. `list_file` calls it.

    [ … ]                   strings, or objects with a field as in JSON lines
    {"instances": [ … ]}    what SpeciesNet reads; `predictions` is what it writes
    {"images": [ … ]}       MegaDetector, COCO
    {"results": [ … ]}      birdlite's own `--format json`

Everything else in the document is skipped. Several documents, one behind the other, are one list, as of joined files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from birdlite.errors import UsageError, one_line
from birdlite.targets.list_fields import FAULT, LABEL, Entry, field_of, lacking
from birdlite.targets.list_text import ListText

LISTS = ("instances", "predictions", "images", "results")
ENTRY_LIMIT = 1 << 20  # characters of one entry, or of one value that is skipped

_SPACE = re.compile(r"[ \t\r\n\ufeff]*")  # joined files have a byte order mark between them
_NO_DOCUMENT = "not JSON; this and all behind it is not read"
DECODER = json.JSONDecoder(parse_int=float)  # no target is a number, and int() refuses those of 4,300 digits


class Document:
    """The entries of the lists in one or more JSON documents."""

    def __init__(self, text: ListText, name: str, *, labelled: bool) -> None:
        """Take over the text of the list `name`."""
        self._chunks = text.chunks()
        self._name = name
        self._labelled = labelled
        self._text = ""
        self._at = 0
        self._count = 0  # entries

    def __iter__(self) -> Iterator[Entry]:
        """Yield the entries.

        Raises:
            UsageError: while iterating: it is not JSON, is cut off, or has no list of pictures.
        """
        yield from self._document(first=True)
        while following := self._peek():
            if following not in "[{":
                yield self._count + 1, "", "", _NO_DOCUMENT
                return
            yield from self._document()

    def _document(self, *, first: bool = False) -> Iterator[Entry]:
        """The entries of a document. One behind the first that is an object with a field is an entry itself."""
        if self._next() == "[":
            yield from self._list()
            return
        self._take("{")
        found = False
        facts: dict[str, object] = {}
        while self._next() != "}":
            key = self._value()
            self._take(":")
            if self._next() != "[":
                fact = {str(key): self._value()}
                if not first and (field_of(fact) is not None or key == LABEL):
                    facts |= fact
            elif key in LISTS and not found and field_of(facts) is None:
                found = True
                yield from self._list()
            else:
                self._skip_list()
            if self._next() != "}":
                self._take(",")
        self._take("}")
        if not found and first:
            raise UsageError(f"{self._name}: JSON without a list of pictures: {', '.join(LISTS)}, or [ … ]")
        if not found:
            yield self._entry(facts)

    def _list(self) -> Iterator[Entry]:
        yield from map(self._entry, self._values())

    def _entry(self, value: object) -> Entry:
        self._count += 1
        target = field_of(value)
        label = value.get(LABEL) if isinstance(value, dict) else None
        if target is None:
            if self._count == 1:  # none of the others will have one either
                found = f"; found: {one_line(', '.join(value))}" if value and isinstance(value, dict) else ""
                raise UsageError(f"{self._name}: no url, path, filepath or file in its first entry{found}")
            return self._count, "", "", FAULT
        if self._labelled and not (isinstance(label, str) and label):
            return self._count, "", "", lacking(LABEL)
        return self._count, target, label if isinstance(label, str) else "", ""

    def _skip_list(self) -> None:
        for _ in self._values():
            pass

    def _values(self) -> Iterator[object]:
        self._take("[")
        while self._next() != "]":
            yield self._value()
            if self._next() != "]":
                self._take(",")
                if self._next() == "]":
                    raise self._wrong()
        self._take("]")

    def _next(self) -> str:
        """The next character that is not a space; there must be one."""
        character = self._peek()
        if not character:
            raise self._wrong()
        return character

    def _peek(self) -> str:
        """The next character that is not a space; empty at the end."""
        while True:
            space = _SPACE.match(self._text, self._at)
            self._at = space.end() if space else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def _take(self, character: str) -> None:
        if self._next() != character:
            raise self._wrong()
        self._at += 1

    def _value(self) -> object:
        self._next()
        wanted = 0  # characters; doubled, so that a long value is not decoded again for every chunk
        while True:
            try:
                value, end = DECODER.raw_decode(self._text, self._at)
                if end < len(self._text):  # else a number may go on
                    self._at = end
                    return value
            except RecursionError:
                raise self._wrong() from None
            except ValueError:
                if len(self._text) - self._at > ENTRY_LIMIT:
                    raise self._wrong() from None
            wanted = max(2 * wanted, len(self._text) - self._at + 1)
            while len(self._text) - self._at < wanted:
                if not self._more():
                    raise self._wrong()

    def _more(self) -> bool:
        """Read on, and let go what was used."""
        more = next(self._chunks, None)
        if more is None:
            return False
        self._text, self._at = self._text[self._at :] + more, 0
        return True

    def _wrong(self) -> UsageError:
        return UsageError(f"{self._name}: the list is damaged or cut off{self._after()}: not JSON")

    def _after(self) -> str:
        return f" after entry {self._count}" if self._count else ""
