"""A request into targets: a picture as the body, several as a form, or URLs in JSON or in the query. All within bounds.

`app` calls `lane` before a body is read, and then `read`. What is wrong with a request is a `Problem`.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from birdlite.errors import one_line
from birdlite.namedtuple import NamedTuple
from birdlite.results import Failure
from birdlite.serve import fields
from birdlite.serve.admission import Lane
from birdlite.serve.bodies import Room, pieces, whole
from birdlite.serve.forms import File, Form
from birdlite.serve.options import ServeOptions
from birdlite.serve.problems import Problem, named
from birdlite.settings import Settings
from birdlite.targets import BadTarget, Target
from birdlite.targets.expand import scheme_of, single

if TYPE_CHECKING:
    from starlette.requests import Request

MAX_JSON = 1 << 20
"""Bytes of a JSON body."""

SHORT = 512
"""Bytes of JSON, or of a query, that are read in the event loop, which takes up to 25 ms: secrets are looked for in
URLs. A thread reads more."""

MAX_URL = 8192
"""Characters of a URL. Signed ones have up to 3,000."""

MAX_SIGNS = 256
"""Signs in a URL that begin a part of it, escaped or not: each part may be a secret, which takes time to find out."""

_SIGNS = re.compile(r"[/\\?#&;=:@]")

Fields: TypeAlias = "Sequence[tuple[str, object]]"
"""Names and values of a query."""

_NO_FILE = "the form holds no file: send the content of one (with curl: -F file=@photo.jpg)"

JSON, FORM, BYTES = "application/json", "multipart/form-data", "application/octet-stream"


class Asked(NamedTuple):
    """What a request asks for."""

    targets: list[Target | BadTarget]
    settings: Settings  # of the service, with what the request changes
    several: bool  # the answer is a document even if there is one picture, and that fails


def lane(request: Request) -> Lane:
    """Where the pictures of a request will wait."""
    return "upload" if request.method == "POST" and _content_type(request) != JSON else "url"


async def read(request: Request, settings: Settings, options: ServeOptions, room: Room) -> Asked:
    """Read what a request asks for.

    Raises:
        Problem: it makes no sense, is too large or too slow, or there is no room for it.
        ClientDisconnect: the client has gone.
    """
    if request.method != "POST":
        short = len(request.scope["query_string"]) <= SHORT
        facts = request, settings, options
        return _from_query(*facts) if short else await asyncio.to_thread(_from_query, *facts)
    with room.filling(options.body_timeout):
        return await _from_body(request, settings, options, room)


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", BYTES).partition(";")[0].strip().lower()


def _from_query(request: Request, settings: Settings, options: ServeOptions) -> Asked:
    urls = request.query_params.getlist("url")
    others = [(name, value) for name, value in request.query_params.multi_items() if name != "url"]
    changed = fields.changed(settings, others, also=("url",))
    if len(urls) > 1:
        raise Problem(400, "url is given twice; several pictures go into a POST")
    if not urls:
        raise Problem(400, "give a picture as ?url=…, percent-encoded; several go into a POST")
    return Asked(_urls(urls, options), changed, several=False)


async def _from_body(request: Request, settings: Settings, options: ServeOptions, room: Room) -> Asked:
    query = request.query_params.multi_items()
    changed = fields.changed(settings, query)
    kind = _content_type(request)
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity":
        raise Problem(415, f"content encoding {named(coding)}: send the body as it is", kind="unsupported")
    if kind == JSON:
        data = await whole(request, min(MAX_JSON, options.max_body), room)
        facts = data, query, settings, options
        return _from_json(*facts) if len(data) <= SHORT else await asyncio.to_thread(_from_json, *facts)
    if kind == FORM:
        return await _from_form(request, query, settings, options, room)
    if kind == BYTES or kind.startswith("image/"):
        data = await whole(request, min(settings.fetch.max_bytes, options.max_body), room)
        if not data:
            raise Problem(400, "the body is empty; send a picture in it")
        return Asked([Target("body", "file", "body", data=data)], changed, several=False)
    raise Problem(415, f"content type {named(kind)}: send image/*, {BYTES}, {FORM} or {JSON}", kind="unsupported")


async def _from_form(request: Request, query: Fields, settings: Settings, options: ServeOptions, room: Room) -> Asked:
    form = Form(options.max_batch, len(fields.READERS))
    await form.read(request.headers["content-type"], pieces(request, options.max_body, room))
    changed = fields.changed(settings, [*query, *form.fields], hint="" if form.files else f"; {_NO_FILE}")
    if not form.files:
        raise Problem(400, _NO_FILE)
    targets = [_uploaded(file, index, settings.fetch.max_bytes) for index, file in enumerate(form.files)]
    return Asked(targets, changed, several=True)


def _uploaded(file: File, index: int, most: int) -> Target | BadTarget:
    name = file.name or f"file {index}"
    if len(file.data) > most:
        return BadTarget(name, Failure("too_large", f"{name}: more than {most} bytes, allowed by --max-bytes"), index)
    return Target(name, "file", name, index, file.data)


def _from_json(data: bytes, query: Fields, settings: Settings, options: ServeOptions) -> Asked:
    try:
        document = _DECODER.decode(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise Problem(400, "the body is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise Problem(400, f"the body is not JSON: {one_line(error)}") from None
    except RecursionError:
        raise Problem(400, "the body is nested too deeply") from None
    except ValueError:  # int() refuses more than 4,300
        raise Problem(400, "the body has a number of too many digits") from None
    if not isinstance(document, dict):
        raise Problem(400, 'the body must be an object, such as {"urls": ["https://…"]}')
    urls = document.pop("urls", None)
    changed = fields.changed(settings, [*query, *document.items()], also=("urls",))
    if not isinstance(urls, list) or not urls or not all(isinstance(url, str) for url in urls):
        raise Problem(400, "urls must be a list of at least one URL")
    if len(urls) > options.max_batch:
        raise Problem(413, f"{len(urls)} URLs; at most {options.max_batch} in a request", kind="too_large")
    return Asked(_urls(urls, options), changed, several=True)


def _object(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose names differ. Of two that are alike, readers take one or the other."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise Problem(400, f"{named(name)} is given twice")
        found[name] = value
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_object)


def _urls(urls: list[str], options: ServeOptions) -> list[Target | BadTarget]:
    """Targets of URLs. Names of files and buckets are refused: they would be this machine's, and its owner's.

    Raises:
        Problem: this service fetches none.
    """
    if not options.urls:
        raise Problem(403, "this service fetches no URLs; send the picture itself", kind="blocked")
    return [_url(url, index) for index, url in enumerate(urls)]


def _url(url: str, index: int) -> Target | BadTarget:
    too_much = _too_much(url)
    if too_much:
        name = f"URL {index}"
        return BadTarget(name, Failure("unsupported", f"{name}: more than {too_much}"), index)
    target = single(url, index)
    if scheme_of(url) not in ("http", "https"):
        from birdlite.redaction import redacted_address

        name = target.name if scheme_of(url) else redacted_address(target.name)
        why = "only http and https URLs are fetched" if url.strip() else "an empty URL"
        return BadTarget(name, Failure("unsupported", f"{name}: {why}"), index)
    return target


def _too_much(url: str) -> str:
    """What a URL has too much of; nothing if it is within bounds."""
    from birdlite.secret_names import decoded

    if len(url) > MAX_URL:
        return f"{MAX_URL} characters"
    return f"{MAX_SIGNS} of the signs / \\ ? # & ; = : @" if len(_SIGNS.findall(decoded(url))) > MAX_SIGNS else ""
