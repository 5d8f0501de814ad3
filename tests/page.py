"""The report read as a browser would: elements in their nesting, by the standard library's parser."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser

VOID = {"br", "meta"}  # elements without an end


class Element:
    """One element of a page."""

    def __init__(self, tag: str, attributes: dict[str, str]) -> None:
        self.tag = tag
        self.attributes = attributes
        self.children: list[Element | str] = []

    def __getitem__(self, name: str) -> str:
        return self.attributes[name]

    @property
    def text(self) -> str:
        """What a reader reads in it, in one line."""
        parts = [child if isinstance(child, str) else child.text for child in self.children]
        return " ".join(" ".join(parts).split())

    def all(self, tag: str, kind: str = "") -> list[Element]:
        """The elements below it of this tag and, if given, of this class."""
        return [one for one in self.walk() if one.tag == tag and kind in ["", *one.attributes.get("class", "").split()]]

    def one(self, tag: str, kind: str = "") -> Element:
        """The only one of these."""
        (found,) = self.all(tag, kind)
        return found

    def section(self, name: str) -> Element:
        """The section with this id."""
        (found,) = [one for one in self.all("section") if one["id"] == name]
        return found

    def walk(self) -> Iterator[Element]:
        """It and all below it, in the order of the page."""
        yield self
        for child in self.children:
            if isinstance(child, Element):
                yield from child.walk()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open = [Element("page", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"<{tag}> says something twice: {attrs}"
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> where <{self.open[-1].tag}> is open"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def read(document: str) -> Element:
    """Take a page apart; it must be well formed, every element closed where it should be."""
    reader = _Reader()
    reader.feed(document)
    reader.close()
    assert len(reader.open) == 1, f"<{reader.open[-1].tag}> is never closed"
    return reader.open[0]


def numbers(page: Element) -> dict[str, str]:
    """The large numbers at its head, by name."""
    shown = page.one("dl", "numbers")
    return {name.text: value.text for name, value in zip(shown.all("dt"), shown.all("dd"), strict=True)}


def facts(page: Element) -> dict[str, str]:
    """The facts below them."""
    shown = page.one("dl", "facts")
    return {name.text: value.text for name, value in zip(shown.all("dt"), shown.all("dd"), strict=True)}


def rows(page: Element, table: str = "pictures") -> list[list[str]]:
    """The cells of a table's body, as text."""
    return [[cell.text for cell in row.all("td")] for row in page.one("table", table).one("tbody").all("tr")]
