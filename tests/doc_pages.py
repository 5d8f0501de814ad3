"""The Markdown pages for users, and the code blocks in them. Tests of the documentation read pages through here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *DECISIONS,
]

NOT_RUN = {
    "needs docker",
    "needs a cluster",
    "needs a bucket",
    "needs a release",
    "needs Prometheus",
    "needs TensorFlow",
    "needs ONNX",
    "needs an SDK of a cloud",
    "installs packages",
    "runs the tests",
    "never ends",
}
"""Why a block may be left out. A block is marked by a comment above it: `<!-- not run: needs docker -->`."""

REAL = "<!-- run with: the real model -->"
"""Above a block that names real birds. It runs where the real model and photographs are present."""

_FENCE = re.compile(r"^```(\w*)\s*$")
_NOT_RUN = re.compile(r"^<!-- not run: (.*) -->$")


class Block(NamedTuple):
    """A fenced block of code."""

    page: Path
    line: int  # of its fence, from 1
    language: str
    text: str
    marker: str  # the line above it

    @property
    def where(self) -> str:
        """For messages: `docs/models.md:12`."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def reason(self) -> str | None:
        """Why it is not run, if it is marked so."""
        found = _NOT_RUN.match(self.marker)
        return None if found is None else found[1]


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page."""
    lines = page.read_text().split("\n")
    found: list[Block] = []
    start: int | None = None
    language = ""
    for number, line in enumerate(lines):
        fence = _FENCE.match(line)
        if fence is None:
            continue
        if start is None:
            start, language = number, fence[1]
            continue
        above = next((text for text in reversed(lines[:start]) if text.strip()), "")
        found.append(Block(page, start + 1, language, "\n".join(lines[start + 1 : number]), above))
        start = None
    assert start is None, f"{page}: a block is not closed"
    return found


def prose(page: Path) -> str:
    """The page without its blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
