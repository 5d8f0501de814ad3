"""The page at `/`: drop pictures on it, or give it a URL. `app` sends it with the service's own bounds in it.

It is one file, as the report is, and looks like it. Its policy allows the one style sheet and the one script by their
hashes, requests to this service, and nothing else. `trusted-types` keeps the script from making HTML of text.
"""

from __future__ import annotations

import functools
import os
from string import Template

from birdlite._version import __version__
from birdlite.serve.answers import STAGES
from birdlite.serve.options import ServeOptions
from birdlite.settings import Settings
from birdlite.writers.page import COLOURS, LOOK, source, text

TYPE = "text/html"

AT_ONCE = 4
"""Pictures that one page has under way, where the service classifies as many at once. Browsers stop at 6."""

_PATIENCE_S = 15.0
"""s that the page waits for an answer, beyond those that the service allows itself."""

_ONLY_WITH_URLS = "<!-- only with URLs -->\n"


def _read(name: str) -> str:
    with open(os.path.join(os.path.dirname(__file__), name), encoding="utf-8") as file:
        return file.read()


@functools.cache
def _style() -> str:
    dots = "".join(f".dot.{name},.bar .{name}{{background:{COLOURS[stage]}}}" for stage, name in STAGES.items())
    return f"{LOOK}{_read('page.css')}{dots}\n"


@functools.cache
def _script() -> str:
    return _read("page.js")


@functools.cache
def headers() -> dict[str, str]:
    """What browsers are told of the page."""
    policy = (
        "default-src 'none'",
        f"script-src {source(_script())}",
        f"style-src {source(_style())}",
        "connect-src 'self'",
        "img-src data:",  # the page's own icon
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
    return {
        "Content-Security-Policy": "; ".join(policy),
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
    }


def document(settings: Settings, options: ServeOptions, *, model: str, ready: bool) -> str:
    """The page, for a service with these bounds. `model` is empty until one is loaded."""
    before, with_urls, after = _read_once().split(_ONLY_WITH_URLS)
    most = min(settings.fetch.max_bytes, options.max_body)
    return Template(before + (with_urls if options.urls else "") + after).substitute(
        style=_style(),
        script=_script(),
        ready=str(ready).lower(),
        urls=str(options.urls).lower(),
        at_once=min(AT_ONCE, settings.threads),
        max_bytes=most,
        patience=round((options.request_timeout + _PATIENCE_S) * 1e3),
        model=f"Model {text(model)}, " if model else "",
        version=__version__,
    )


@functools.cache
def _read_once() -> str:
    return _read("page.html")
