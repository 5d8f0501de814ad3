"""A request into targets: a picture as the body, several as a form, or URLs in JSON or in the query. All within bounds.

`app` calls `read`. What is wrong with a request is a `Problem`, which becomes its answer.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, get_args

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from birdlite.errors import one_line
from birdlite.namedtuple import NamedTuple
from birdlite.results import Failure
from birdlite.serve.options import ServeOptions
from birdlite.settings import Resize, Settings
from birdlite.targets import BadTarget, Target
from birdlite.targets.expand import single

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from starlette.requests import Request

MAX_JSON = 1 << 20
"""Bytes of a JSON body. It is parsed in the event loop, 10 ms a megabyte."""

MAX_FIELD = 4096  # bytes of a field of a form that is no file
MAX_TOP = 1000  # as for --top


class Problem(Exception):
    """Why a request has no answer: an HTTP status and a line for a person (RFC 9457)."""

    def __init__(self, status: int, detail: str, *, kind: str = "request", retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.kind = kind  # a kind of failure, or what is wrong with the request or the service
        self.retry_after = retry_after  # s


class Asked(NamedTuple):
    """What a request asks for."""

    targets: list[Target | BadTarget]
    settings: Settings  # of the service, with what the request changes
    several: bool  # the answer is a document even if there is one picture, and that fails


class Bodies:
    """The bytes of all bodies that are in memory. What does not fit in is refused."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0

    @contextmanager
    def room(self) -> Iterator[Room]:
        """The room of one request: what it takes is given back at its end."""
        room = Room(self)
        try:
            yield room
        finally:
            self.held -= room.taken


class Room:
    """What one request has of `Bodies`."""

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies
        self.taken = 0

    def take(self, size: int) -> None:
        """Take room for `size` bytes more.

        Raises:
            Problem: 503, there is none.
        """
        if self._bodies.held + size > self._bodies.limit:
            raise Problem(503, "there is no memory for this body now; try again in 1 s", kind="overload", retry_after=1)
        self._bodies.held += size
        self.taken += size


async def read(request: Request, settings: Settings, options: ServeOptions, room: Room) -> Asked:
    """Read what a request asks for.

    Raises:
        Problem: it makes no sense, is too large or too slow, or there is no room for it.
        ClientDisconnect: the client has gone.
    """
    if request.method == "GET":
        return _from_query(request, settings, options)
    try:
        return await asyncio.wait_for(_from_body(request, settings, options, room), options.body_timeout)
    except asyncio.TimeoutError:
        raise Problem(408, f"the body did not arrive within {options.body_timeout:g} s", kind="timeout") from None


def _from_query(request: Request, settings: Settings, options: ServeOptions) -> Asked:
    query = dict(request.query_params)
    url = query.pop("url", None)
    if url is None or len(request.query_params.getlist("url")) != 1:
        raise Problem(400, "give one picture as ?url=…; several go into a POST")
    return Asked(_urls([url], options), _changed(settings, query), several=False)


async def _from_body(request: Request, settings: Settings, options: ServeOptions, room: Room) -> Asked:
    settings = _changed(settings, dict(request.query_params))
    kind = request.headers.get("content-type", "application/octet-stream").partition(";")[0].strip().lower()
    if kind == "application/json":
        return _from_json(await _whole(request, min(MAX_JSON, options.max_body), room), settings, options)
    if kind == "multipart/form-data":
        return await _from_form(request, settings, options, room)
    if kind.startswith("image/") or kind == "application/octet-stream":
        data = await _whole(request, min(settings.fetch.max_bytes, options.max_body), room)
        if not data:
            raise Problem(400, "the body is empty; send a picture in it")
        return Asked([Target("body", "file", "body", data=data)], settings, several=False)
    raise Problem(
        415,
        f"content type {one_line(kind)}: send image/*, application/octet-stream, multipart/form-data"
        " or application/json",
        kind="unsupported",
    )


async def _from_form(request: Request, settings: Settings, options: ServeOptions, room: Room) -> Asked:
    parser = MultiPartParser(
        request.headers,
        _bounded(request, options.max_body, room),
        max_files=options.max_batch,
        max_fields=len(_READERS),
        max_part_size=MAX_FIELD,
    )
    parser.spool_max_size = options.max_body + 1  # all of it stays in memory: the file system may be read-only
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise Problem(400, f"the form cannot be read: {one_line(error.message)}") from None
    targets: list[Target | BadTarget] = []
    fields: dict[str, str] = {}
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            targets.append(
                _uploaded(value.filename or f"file {len(targets)}", await value.read(), len(targets), settings)
            )
        else:
            fields[name] = value
    if not targets:
        raise Problem(400, "the form holds no file")
    return Asked(targets, _changed(settings, fields), several=True)


def _uploaded(name: str, data: bytes, index: int, settings: Settings) -> Target | BadTarget:
    most = settings.fetch.max_bytes
    if len(data) > most:
        return BadTarget(name, Failure("too_large", f"{name}: more than {most} bytes, allowed by --max-bytes"), index)
    return Target(name, "file", name, index, data)


def _from_json(data: bytes, settings: Settings, options: ServeOptions) -> Asked:
    try:
        document = json.loads(data.decode("utf-8"))
    except UnicodeDecodeError:
        raise Problem(400, "the body is not UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise Problem(400, f"the body is not JSON: {one_line(error)}") from None
    if not isinstance(document, dict):
        raise Problem(400, 'the body must be an object, such as {"urls": ["https://…"]}')
    urls = document.pop("urls", None)
    if not isinstance(urls, list) or not urls or not all(isinstance(url, str) for url in urls):
        raise Problem(400, "urls must be a list of at least one URL")
    if len(urls) > options.max_batch:
        raise Problem(413, f"{len(urls)} URLs; at most {options.max_batch} in a request", kind="too_large")
    return Asked(_urls(urls, options), _changed(settings, document), several=True)


def _urls(urls: list[str], options: ServeOptions) -> list[Target | BadTarget]:
    """Targets of URLs. Names of files and buckets are refused: they would be this machine's, and its owner's.

    Raises:
        Problem: this service fetches none.
    """
    if not options.urls:
        raise Problem(403, "this service fetches no URLs; send the picture itself", kind="blocked")
    return [_url(url, index) for index, url in enumerate(urls)]


def _url(url: str, index: int) -> Target | BadTarget:
    target = single(url, index)
    if isinstance(target, Target) and target.kind != "url":
        return BadTarget(url, Failure("unsupported", f"{url}: only http and https URLs are fetched"), index)
    return target


def _number(kind: type[int | float], least: float, most: float) -> Any:
    def read(value: object) -> object:
        number = kind(value) if isinstance(value, str) else value
        if isinstance(number, bool) or not isinstance(number, (int, kind)) or not least <= number <= most:
            raise ValueError(f"must be a number from {least:g} to {most:g}")
        return number

    return read


def _resize(value: object) -> object:
    if value not in get_args(Resize):
        raise ValueError(f"must be one of {', '.join(get_args(Resize))}")
    return value


_READERS = {"top": _number(int, 1, MAX_TOP), "min_score": _number(float, 0, 1), "resize": _resize}


def _changed(settings: Settings, fields: Mapping[str, object]) -> Settings:
    """The settings with what a request changes.

    Raises:
        Problem: it names a field that is not known, or a value that cannot be.
    """
    changes: dict[str, Any] = {}
    for name, value in fields.items():
        if name not in _READERS:
            raise Problem(400, f"no field {one_line(name)}; known are {', '.join(['urls', *_READERS])}")
        try:
            changes[name] = _READERS[name](value)
        except (ValueError, OverflowError) as error:
            words = str(error) if str(error).startswith("must") else "must be a number"
            raise Problem(400, f"{name} {words}") from None
    return settings._replace(**changes) if changes else settings


async def _whole(request: Request, most: int, room: Room) -> bytes:
    parts = [part async for part in _bounded(request, most, room)]
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def _bounded(request: Request, most: int, room: Room) -> AsyncGenerator[bytes, None]:
    """The pieces of a body of at most `most` bytes."""
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > most:
        raise Problem(413, f"the body has {length} bytes; at most {most} are taken", kind="too_large")
    came = 0
    async for part in request.stream():
        came += len(part)
        if came > most:
            raise Problem(413, f"the body has more than the {most} bytes that are taken", kind="too_large")
        room.take(len(part))
        if part:
            yield part
