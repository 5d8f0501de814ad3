"""What every part of the report is made of: the page's frame and style, bars, and texts made safe for HTML.

The page is one file. Its policy forbids scripts, requests, frames and forms. It allows the one style sheet by its hash,
so a style that somebody managed to insert has no effect; widths are therefore classes, not style attributes.

Names of files, URLs, labels and messages of servers can hold anything. So every text reaches a page through `text`, and
every link through `address`. `address` makes links to http(s) URLs, which are parsed and encoded as for fetching them,
and to files, as paths relative to the report. All other targets (`data:`, `file:`, objects in a bucket) are shown
without a link, and `javascript:` is the name of a file.
"""

from __future__ import annotations

import hashlib
import html
import os
from binascii import b2a_base64
from collections.abc import Iterable
from string import Template
from urllib.parse import quote

from birdlite.printable import encodable, printable
from birdlite.redaction import MARK
from birdlite.targets import Target
from birdlite.targets.expand import single
from birdlite.timing import STAGES, Stage

COLOURS: dict[Stage, str] = {  # each has enough contrast on white and on near-black
    "interpreter start-up": "#8b8f98",
    "imports": "#8f7bea",
    "threads": "#5f7d8f",
    "queue": "#3d9aa1",
    "model fetch": "#c9931f",
    "model load": "#dd6f32",
    "labels": "#a9805b",
    "image fetch": "#3f86dd",
    "decode": "#2c9f6b",
    "inference": "#dd4b4b",
    "output": "#cf62a3",
}

LONGEST_TEXT = 300  # characters of a text that are shown
LONGEST_ADDRESS = 2048  # characters; browsers take more, servers often do not


def _read(name: str) -> str:
    with open(os.path.join(os.path.dirname(__file__), name), encoding="utf-8") as file:
        return file.read()


LOOK = _read("look.css")
"""Colours, type and bars. The page of `birdlite serve` has them too."""

STYLE = (
    LOOK
    + _read("report.css")
    + "".join(f".w{share}{{width:{share}%}}" for share in range(101))
    + "".join(f".s{at}{{background:{COLOURS[stage]}}}" for at, stage in enumerate(STAGES))
    + "\n"
)


def page(**parts: str) -> str:
    """The page: `report.html` with its parts, in HTML."""
    return Template(_read("report.html")).substitute(parts, style=STYLE, source=source(STYLE))


def source(inline: str) -> str:
    """What a page's policy calls its own style or script: nothing else may be one."""
    return f"'sha256-{b2a_base64(hashlib.sha256(inline.encode()).digest(), newline=False).decode()}'"


def section(place: str, heading: str, body: str) -> str:
    """A section of the page, to which `#place` leads."""
    return f'<section id="{place}">\n<h2>{heading}</h2>\n{body}</section>\n'


def table(kind: str, cells: str, rows: Iterable[str]) -> str:
    """A table with the class `kind`; `cells` are those of its head."""
    head = f'<table class="{kind}">\n<thead><tr>{cells}</tr></thead>\n<tbody>\n'
    return f"{head}{''.join(rows)}</tbody>\n</table>\n"


def bar(share: float) -> str:
    """A share between 0 and 1 as a bar."""
    percent = min(max(round(share * 100), 0), 100)
    return f'<span class="bar"><i class="w{percent}"></i></span>'


def text(value: str, limit: int = LONGEST_TEXT) -> str:
    """A text or attribute that is safe in HTML: escaped, without control characters, shortened in the middle."""
    if len(value) > limit:
        value = f"{value[: limit // 2]}…{value[-(limit - limit // 2 - 1) :]}"
    return html.escape(encodable(printable(value)))


def address(target: str, folder: str | None) -> str | None:
    """The address of a link to a target, escaped; None for a target that gets no link.

    `folder` is the page's own folder, an absolute path, or None if files cannot be reached from there.
    """
    found = single(target, reveal_targets=True)
    if not isinstance(found, Target):
        return None
    if found.kind == "url":
        # Else it holds a user name or a password, or the secrets of the name were left out, and it leads nowhere.
        safe = "@" not in found.location.split("/", 3)[2] and MARK not in target
        where = found.location if safe else None
    else:
        is_path = found.kind == "file" and found.location == target  # else it is a file: URL
        where = _path(target, folder) if is_path else None
    return None if where is None or len(where) > LONGEST_ADDRESS else html.escape(encodable(where))


def _path(path: str, folder: str | None) -> str | None:
    """A file's path from `folder`. It begins with ./ so that it cannot be read as a scheme or a host."""
    if folder is None or not path:
        return None
    try:
        octets = os.fsencode(os.path.relpath(os.path.abspath(path), folder))
    except (UnicodeEncodeError, ValueError):
        return None  # no file can have this name
    return "./" + quote(octets)


def last_part(target: str) -> str:
    """The file name of a target, without folders and host."""
    path = target.partition("?")[0] if target[:4].lower() == "http" else target
    return path.rstrip("/").rpartition("/")[2] or target
