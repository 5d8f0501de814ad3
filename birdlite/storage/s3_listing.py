"""A folder in S3 with all its keys, also those that obstore refuses (`//`, `..`, control characters). For `bucket`.

One such key makes obstore refuse the whole listing. S3 is then asked without it, with a URL that obstore signs, so that
it is asked with the rights that obstore found. The query stands in the endpoint, where obstore signs it too. What
obstore adds to the endpoint, the name of an object, goes into a parameter that begins with `x-`: S3 ignores those.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote_plus, urlencode

from birdlite.errors import StorageError
from birdlite.namedtuple import NamedTuple
from birdlite.settings import FetchSettings

if TYPE_CHECKING:
    import ssl

Make = Callable[[Mapping[str, str]], Any]
"""Makes a store of obstore's with more configuration than the usual."""

_LARGEST = 16 << 20  # bytes of a page: a thousand keys with 1,024 escaped bytes each, and what S3 says about them
_VALID = timedelta(minutes=5)
_LONGEST_PAUSE_S = 5.0
_UNSIGNED = {"access_key_id": "-", "secret_access_key": "-"}


class Page(NamedTuple):
    """A part of a listing."""

    keys: list[str]
    token: str | None  # asks for the next page


def list_url(make: Make, query: Mapping[str, str]) -> str:
    """Give the URL of a listing."""
    import obstore

    base = obstore.sign(make(_UNSIGNED), "GET", "-", _VALID).rpartition("/-?")[0]  # wherever obstore finds the bucket
    asked = urlencode({"list-type": "2", "encoding-type": "url", **query}, quote_via=quote, safe="-_.~")
    if os.environ.get("AWS_SKIP_SIGNATURE", "").lower() in ("1", "true", "on", "yes", "y"):
        return f"{base}?{asked}"
    endpoint = {"endpoint": f"{base}?{asked}&x-birdlite=", "virtual_hosted_style_request": "true"}
    return obstore.sign(make(endpoint), "GET", "-", _VALID)


def read_patiently(url: str, settings: FetchSettings) -> tuple[int, bytes]:
    """Give the status and the body of an answer, after further tries if S3 is busy. Raises as `read_url` does."""
    for failures in range(settings.retries):
        with suppress(OSError):
            status, body = read_url(url, settings)
            if status < 500:
                return status, body
        time.sleep(min(_LONGEST_PAUSE_S, settings.backoff * 2.0**failures))
    return read_url(url, settings)


def read_url(url: str, settings: FetchSettings, headers: Mapping[str, str] = MappingProxyType({})) -> tuple[int, bytes]:
    """Give the status and the body of an answer. httpx would log the URL, and with it the signature.

    A redirect to another server is not followed: its status is the answer. `headers` are not sent to where a redirect
    leads.

    Raises:
        StorageError: it is too large.
        OSError: it does not come.
    """
    from urllib.error import HTTPError
    from urllib.parse import urlsplit
    from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

    class SameServer(HTTPRedirectHandler):
        """Follows a redirect to the same server only."""

        def redirect_request(self, req: Request, *answer: Any) -> Request | None:
            *_, new = answer
            is_same = urlsplit(new)[:2] == urlsplit(url)[:2]
            return super().redirect_request(req, *answer) if is_same else None

    request = Request(url, headers={"User-Agent": settings.user_agent})  # noqa: S310 - http or https, see `Bucket`
    for name, value in headers.items():
        request.add_unredirected_header(name, value)
    opener = build_opener(SameServer, HTTPSHandler(context=_trust(url)))
    try:
        with opener.open(request, timeout=settings.read_timeout) as answer:
            body = answer.read(_LARGEST + 1)
    except HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read(_LARGEST)
    if len(body) > _LARGEST:
        raise StorageError("too_large", f"a page of the listing has more than {_LARGEST:,} bytes")
    return 200, body


def _trust(url: str) -> ssl.SSLContext | None:
    if not url.startswith("https:"):
        return None
    import ssl

    import certifi

    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    return ssl.create_default_context(cafile=file or (None if folder else certifi.where()), capath=folder or None)


def parse_page(document: bytes) -> Page:
    """Read an answer.

    Raises:
        ElementTree.ParseError: it is not XML.
    """
    from xml.etree import ElementTree

    root = ElementTree.fromstring(document)  # noqa: S314 - bounded, and expat bounds what entities become
    keys = [element.text or "" for element in root.iterfind("{*}Contents/{*}Key")]
    if root.findtext("{*}EncodingType") == "url":
        keys = [unquote_plus(key) for key in keys]
    more = root.findtext("{*}IsTruncated") == "true"
    return Page(keys, root.findtext("{*}NextContinuationToken") if more else None)
