"""What every part of the report is made of: the page's frame and style, bars, and texts made safe for HTML.

The page is one file. Its policy forbids scripts, requests, frames and forms. It allows the one style sheet by its hash,
so a style that somebody managed to insert has no effect; widths are therefore classes, not style attributes.

Names of files, URLs, labels and messages of servers can hold anything. So every text reaches a page through `text`, and
every link through `address`. `address` makes links to http(s) URLs, which are parsed and encoded as for fetching them,
and to files, as paths relative to the report. All other targets (`data:`, objects in a bucket) are shown without a
link, and `javascript:` is the name of a file.
"""

from __future__ import annotations

import hashlib
import html
import os
from binascii import b2a_base64
from urllib.parse import quote

from birdlite.targets import Target
from birdlite.targets.expand import single
from birdlite.timing import STAGES, Stage
from birdlite.writers.escape import encodable, printable

COLOURS: dict[Stage, str] = {  # each has enough contrast on white and on near-black
    "interpreter start-up": "#8b8f98",
    "imports": "#8f7bea",
    "threads": "#5f7d8f",
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

_STYLE = """
:root{color-scheme:light dark;--paper:#f7f6f2;--card:#fff;--ink:#23282b;--soft:#626b6f;--line:#e2dfd6;--leaf:#2f7d5b;
--bar:#5aa583;--faint:#ebe9e2;--red:#b3392f;--pink:#fbeeec}
@media (prefers-color-scheme:dark){:root{--paper:#14181a;--card:#1c2124;--ink:#e4e6e3;--soft:#9aa5a8;--line:#30373a;
--leaf:#7fcaa6;--bar:#4f9a7b;--faint:#2a3033;--red:#f08b80;--pink:#33211f}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif;
-webkit-text-size-adjust:100%}
header,main,footer{max-width:66rem;margin:0 auto;padding:0 1.25rem}
header{padding-top:2.25rem}
h1{margin:0;font-size:1.75rem;line-height:1.2;letter-spacing:-.02em;text-wrap:balance}
h2{margin:0 0 .75rem;font-size:1.1rem;letter-spacing:-.01em}
h3{margin:1.25rem 0 .25rem;font-size:1rem}
h3 small{font-weight:400}
p{margin:.25rem 0 .75rem}
a{color:inherit;text-decoration-color:var(--bar);text-underline-offset:.2em;text-decoration-thickness:1px}
a:hover{color:var(--leaf)}
a:focus-visible,summary:focus-visible,.wide:focus-visible{outline:2px solid var(--leaf);outline-offset:2px}
nav{margin-top:.75rem;display:flex;flex-wrap:wrap;gap:.25rem 1.1rem;color:var(--soft)}
section{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:1.25rem;margin:1.25rem 0}
.soft,small{color:var(--soft)}
small{font-size:.8125rem}
.note{background:var(--pink);color:var(--red);border-radius:.4rem;padding:.6rem .9rem;margin:1rem 0 0}
.numbers{display:grid;grid-template-columns:repeat(auto-fit,minmax(7.5rem,1fr));gap:.5rem 1rem;margin:0}
.numbers div{display:flex;flex-direction:column-reverse}
.numbers dt{color:var(--soft);font-size:.8125rem}
.numbers dd{margin:0;font-size:1.6rem;line-height:1.2;font-variant-numeric:tabular-nums;letter-spacing:-.02em}
.facts{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1rem;margin:1.25rem 0 0;font-size:.875rem}
.facts dt{color:var(--soft)}
.facts dd{margin:0;overflow-wrap:anywhere}
table{width:100%;border-collapse:collapse;font-size:.875rem}
th{text-align:left;font-weight:500;color:var(--soft);font-size:.8125rem}
th,td{padding:.35rem .75rem .35rem 0;vertical-align:top;border-bottom:1px solid var(--line)}
tr:last-child td{border-bottom:0}
th:last-child,td:last-child{padding-right:0}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.t{overflow-wrap:anywhere;unicode-bidi:isolate}
.bar{display:block;height:.5rem;margin-top:.45rem;background:var(--faint);border-radius:.25rem;overflow:hidden;
min-width:3rem}
.bar i{display:block;height:100%;background:var(--bar);border-radius:.25rem}
.dot{display:inline-block;width:.7rem;height:.7rem;border-radius:.15rem;margin-right:.5rem}
.sum td{font-weight:600}
.species .bar{width:100%}
.species td:nth-child(3),.stages td:last-child{width:34%}
details>summary{cursor:pointer;color:var(--leaf);padding:.5rem 0}
ul{margin:.25rem 0 .75rem;padding-left:1.1rem}
li{margin:.2rem 0}
.wide{overflow-x:auto;margin-top:1.25rem}
.waterfall{display:block;width:100%;min-width:44rem;height:auto}
.pictures{table-layout:fixed}
.pictures th:first-child,.pictures td:first-child{width:4.5rem;color:var(--soft)}
.pictures th:last-child{width:56%}
.pictures small{display:block}
ol{list-style:none;margin:0;padding:0}
ol li{display:grid;grid-template-columns:5rem 1fr 3rem;gap:0 .75rem;margin:0}
ol li:first-child b{font-weight:600}
b{font-weight:400}
em{color:var(--soft)}
.bad{color:var(--red)}
footer{padding-bottom:2.5rem;color:var(--soft);font-size:.8125rem}
@media (max-width:40rem){
header,main,footer{padding-left:.75rem;padding-right:.75rem}
section{padding:1rem .85rem}
.pictures thead{display:none}
.pictures,.pictures tbody,.pictures tr,.pictures td{display:block}
.pictures tr{padding:.6rem 0;border-bottom:1px solid var(--line)}
.pictures tr:last-child{border-bottom:0}
.pictures td{border:0;padding:.1rem 0}
.pictures td:first-child{float:right;width:auto;padding-left:.75rem}
.pictures td:last-child{width:auto;clear:both;padding-top:.3rem}
ol li{grid-template-columns:3rem 1fr 2.6rem;gap:0 .6rem}
.species em{display:block}
.species td:nth-child(3),.stages td:last-child{width:22%}
.stages th:nth-child(2),.stages td:nth-child(2){display:none}
}
@media print{body{background:#fff}section{border:0;padding:0}nav{display:none}tr{break-inside:avoid}
.wide{overflow:visible}.waterfall{min-width:0}}
"""

STYLE = (
    _STYLE
    + "".join(f".w{share}{{width:{share}%}}" for share in range(101))
    + "".join(f".s{at}{{background:{COLOURS[stage]}}}" for at, stage in enumerate(STAGES))
    + "\n"
)


def head(title: str) -> str:
    """The page up to its first heading; `title` is plain text."""
    digest = b2a_base64(hashlib.sha256(STYLE.encode()).digest(), newline=False).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{text(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
    )


def bar(share: float) -> str:
    """A share between 0 and 1 as a bar."""
    percent = min(max(round(share * 100), 0), 100)
    return f'<span class="bar"><i class="w{percent}"></i></span>'


def dot(at: int) -> str:
    """The colour of a stage in the waterfall, by its position in `STAGES`."""
    return f'<span class="dot s{at}"></span>'


def text(value: str, limit: int = LONGEST_TEXT) -> str:
    """A text or attribute that is safe in HTML: escaped, without control characters, shortened in the middle."""
    if len(value) > limit:
        value = f"{value[: limit // 2]}…{value[-(limit - limit // 2 - 1) :]}"
    return html.escape(encodable(printable(value)))


def address(target: str, folder: str | None) -> str | None:
    """The address of a link to a target, escaped; None for a target that gets no link.

    `folder` is the page's own folder, an absolute path, or None if files cannot be reached from there.
    """
    found = single(target)
    if not isinstance(found, Target):
        return None
    if found.kind == "url":
        safe = "@" not in found.location.split("/", 3)[2]  # else it holds a user name or a password
        where = found.location if safe else None
    else:
        where = _path(found.location, folder) if found.kind == "file" else None
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
