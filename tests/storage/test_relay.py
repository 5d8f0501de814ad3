"""Folders in Google and Azure storage with keys that the client refuses: the others are listed, the odd ones named.

The stores here answer listings as Google's XML interface and Azure's do: in pages, ordered by key.
"""

from __future__ import annotations

import hmac
import re
import threading
from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, quote, urlsplit
from xml.sax.saxutils import escape

import pytest

from birdlite.batch.files import outputs_at
from birdlite.errors import PictureError, StorageError
from birdlite.settings import DEFAULTS
from birdlite.storage import Place
from birdlite.storage.listing import PAGE
from birdlite.storage.relay import Relay
from birdlite.storage.store import Storage

ODD = ["a//x.jpg", "a/b//c/x.jpg", "a/../x.jpg", "a/./x.jpg", "a/\x01.jpg", "a/d\x7f.jpg", "a/b/..//x.jpg"]


class Store:
    """A bucket called `birds` that can only be listed: `size` keys a page."""

    def __init__(self, scheme: str) -> None:
        self.scheme = scheme
        self.keys: list[str] = []
        self.size = 1000
        self.statuses: list[int] = []  # of the next answers
        self.asked: list[tuple[dict[str, str], dict[str, str]]] = []  # query and headers of each question
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.store = self  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def page(self, query: dict[str, str]) -> bytes:
        begin = int(query.get("marker") or query.get("continuation-token") or 0)
        prefix, delimiter, after = query.get("prefix", ""), query.get("delimiter"), query.get("start-after", "")
        keys = sorted(key for key in self.keys if key.startswith(prefix) and key > after)
        folders: list[str] = []
        if delimiter:
            folders = sorted({prefix + key[len(prefix) :].partition("/")[0] + "/" for key in keys if "/" in key[2:]})
            keys = [key for key in keys if "/" not in key[len(prefix) :]]
        end = begin + self.size
        token = str(end) if end < len(keys) else ""
        make = _google if self.scheme == "gs" else _azure
        return make(keys[begin:end], folders, prefix, token).encode()


def _google(keys: list[str], folders: list[str], prefix: str, token: str) -> str:
    facts = '<LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>"x"</ETag><Size>3</Size>'
    contents = "".join(f"<Contents><Key>{_xml(key)}</Key>{facts}</Contents>" for key in keys)
    common = "".join(f"<CommonPrefixes><Prefix>{_xml(one)}</Prefix></CommonPrefixes>" for one in folders)
    more = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    begin = (
        f"<ListBucketResult xmlns='http://doc.s3.amazonaws.com/2006-03-01'><Name>birds</Name><Prefix>{prefix}</Prefix>"
    )
    return f"{begin}<IsTruncated>{str(bool(token)).lower()}</IsTruncated>{contents}{common}{more}</ListBucketResult>"


def _azure(keys: list[str], folders: list[str], prefix: str, token: str) -> str:
    facts = (
        "<Properties><Last-Modified>Thu, 01 Jan 2026 00:00:00 GMT</Last-Modified><Etag>0x1</Etag>"
        "<Content-Length>3</Content-Length><Content-Type>image/jpeg</Content-Type></Properties>"
    )
    blobs = "".join(f"<Blob>{_name(key)}{facts}</Blob>" for key in keys)
    blobs += "".join(f"<BlobPrefix>{_name(one)}</BlobPrefix>" for one in folders)
    begin = f'<EnumerationResults ContainerName="birds"><Prefix>{prefix}</Prefix>'
    return f"{begin}<Blobs>{blobs}</Blobs><NextMarker>{token}</NextMarker></EnumerationResults>"


def _name(key: str) -> str:
    return f'<Name Encoded="true">{quote(key)}</Name>' if "\ufffe" in key else f"<Name>{_xml(key)}</Name>"


def _xml(key: str) -> str:
    return "".join(sign if sign.isprintable() else f"&#x{ord(sign):X};" for sign in escape(key))


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        store: Store = self.server.store  # type: ignore[attr-defined]
        query = dict(parse_qsl(urlsplit(self.path).query))
        store.asked.append((query, {name.lower(): value for name, value in self.headers.items()}))
        status = store.statuses.pop(0) if store.statuses else 200
        body = store.page(query) if status == 200 else b"<Error><Code>Broken</Code></Error>"
        self.send_response_only(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Keep quiet."""


@pytest.fixture(params=["gs", "az"])
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store, and an environment that leads to it."""
    store = Store(request.param)
    if store.scheme == "gs":
        monkeypatch.setenv("GOOGLE_BASE_URL", store.url)
        monkeypatch.setenv("GOOGLE_SKIP_SIGNATURE", "true")
    else:
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "a2V5")
        monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", store.url)
    yield store
    store.close()


def listed(store: Store, storage: Storage | None = None) -> list[str]:
    """The keys in the folder `a`, of pictures."""
    urls = (storage or Storage()).objects(f"{store.scheme}://birds/a/", lambda key: key.endswith(".jpg"))
    return [url.removeprefix(f"{store.scheme}://birds/") for url in urls]


@pytest.mark.parametrize("odd", ODD)
def test_one_odd_key_does_not_hide_the_others(store: Store, odd: str) -> None:
    keys = ["a/0.jpg", "a/b/é +&<.jpg", "a/~.jpg", odd]
    store.keys = keys

    assert sorted(listed(store)) == sorted(keys)
    with pytest.raises(PictureError, match="is not supported") as caught:
        Storage().fetch(f"{store.scheme}://birds/{odd}")
    assert caught.value.kind == "unsupported"
    assert len(store.asked) == 2  # nothing was fetched


def test_an_odd_name_that_azure_encodes_is_known_too() -> None:
    store = Store("az")
    relay = Relay(store.url, Place("az", "birds", "a/"), DEFAULTS)
    store.keys = ["a/0.jpg", "a//\ufffe.jpg"]

    _, page = relay.answer("/birds?restype=container&comp=list&prefix=a%2F", {})
    relay.close()
    store.close()

    names = [name.decode() for name in re.findall(rb"<Blob><Name[^>]*>([^<]*)", page)]
    assert [relay.key(name) for name in names] == [("a//\ufffe.jpg", True), ("a/0.jpg", False)]


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_an_odd_key_on_any_page_repeats_and_loses_nothing(store: Store, place: int) -> None:
    store.size = 2
    store.keys = sorted([*(f"a/{number}.jpg" for number in range(7)), f"a/{2 * place}.jpg//x.jpg"])

    assert listed(store) == store.keys


def test_what_was_handed_out_before_the_odd_key_is_not_repeated(store: Store) -> None:
    store.keys = [*(f"a/{number:04}.jpg" for number in range(PAGE + 1)), "a/~//last.jpg"]

    assert listed(store) == store.keys
    assert len(store.asked) == 4  # two pages, the second of which was refused, and again


def test_without_an_odd_key_the_store_is_asked_once(store: Store) -> None:
    store.keys = ["a/0.jpg", "b//x.jpg"]

    assert listed(store) == ["a/0.jpg"]
    assert len(store.asked) == 1


def test_the_store_is_asked_with_the_same_rights(store: Store) -> None:
    store.keys = ["a//x.jpg"]

    assert listed(store) == ["a//x.jpg"]
    (query, headers), (again, headers_again) = store.asked
    assert query == again
    for said in (headers, headers_again):
        assert said.get("authorization") == (signature_of(query, said) if store.scheme == "az" else None)
    assert headers["user-agent"] == headers_again["user-agent"]
    assert headers_again["host"] == store.url.removeprefix("http://")


def signature_of(query: dict[str, str], headers: dict[str, str]) -> str:
    """Sign a question by https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key."""
    resource = "/account/birds" + "".join(f"\n{name}:{value}" for name, value in sorted(query.items()))
    own = f"x-ms-version:{headers['x-ms-version']}\n"
    text = f"GET\n\n\n\n\n\n{headers['date']}\n\n\n\n\n\n{own}{resource}"
    return "SharedKey account:" + b64encode(hmac.digest(b"key", text.encode(), "sha256")).decode()


def test_outputs_beside_odd_keys_are_found_and_the_odd_ones_named(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    store.keys = ["a/part-0.jsonl", "a//part-1.jsonl", "a/../part-2.jsonl", "a/part-\x01.jsonl", "a/part.jsonl/"]

    assert outputs_at(f"{store.scheme}://birds/a/") == [f"{store.scheme}://birds/a/part-0.jsonl"]
    (said,) = caplog.messages
    assert "1 left out, as their keys are not supported" in said


def test_a_refusal_is_told_as_usual(store: Store) -> None:
    store.keys = ["a//x.jpg"]
    store.statuses = [200, 403]

    with pytest.raises(StorageError, match="permission denied") as caught:
        listed(store)

    assert caught.value.kind == "blocked"


def test_a_busy_store_is_asked_again(store: Store) -> None:
    store.keys = ["a//x.jpg", "a/y.jpg"]
    store.statuses = [200, 503]

    assert listed(store, Storage(DEFAULTS._replace(backoff=0.0))) == ["a//x.jpg", "a/y.jpg"]
