"""The part `heads`: damaged answers of HTTP servers, which a real server on this machine sends to a real `Fetcher`."""

from __future__ import annotations

import contextlib
import gzip
import socket
import threading
from pathlib import Path

from birdlite.errors import PictureError
from scripts.fuzz.damage import damaged, with_words
from scripts.fuzz.part import Attempt, Part

_BODY = bytes(range(256)) * 2
_CHUNKS = b"100\r\n" + _BODY[:256] + b"\r\n0f;a=b\r\n" + _BODY[:15] + b"\r\n0\r\nX-After: 1\r\n\r\n"
_MAX_BYTES = 1 << 20

_WORDS = (
    *(b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\n\n", b":", b" ", b"\t", b"\0", b"\xff", b",", b";", b'"', b"="),
    *(b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 ", b"HTTP/2 ", b"HTTP/1.1 100 Continue\r\n\r\n", b" 206 ", b" 204 ", b" 304 "),
    *(b" 302 ", b" 401 ", b" 429 ", b" 503 ", b" 101 ", b" 099 ", b" 1000 "),
    *(b"Content-Length: ", b"Content-Length: 18446744073709551616\r\n", b"Content-Length: -1\r\n", b"+", b"0x10"),
    *(b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip, chunked\r\n", b"Transfer-Encoding: identity\r\n"),
    *(
        b"Content-Encoding: gzip\r\n",
        b"Content-Encoding: deflate, gzip, br\r\n",
        b"Connection: close\r\n",
        b"keep-alive",
    ),
    *(b"Content-Range: bytes 0-511/512\r\n", b"Content-Range: bytes 5-1/9999999999999999999999\r\n"),
    *(
        b"Location: ",
        b"Location: //[::1\r\n",
        b"Location: http://\xe9.example/\r\n",
        b"http://",
        b"https://",
        b"file:///",
    ),
    *(b"Retry-After: ", b"Retry-After: Mon, 40 Jan 99999 99:99:99 GMT\r\n", b"9" * 5000, b"1e999", b"-1", b"nan"),
    *(
        b"WWW-Authenticate: Digest ",
        b"WWW-Authenticate: Basic\r\n",
        b'realm="\\"',
        b"qop=auth-int",
        b"algorithm=SHA-256",
    ),
    *(b"nonce=", b"0\r\n\r\n", b"fffffffffffffff\r\n", b"X: y\r\n", b" folded\r\n"),
)


def _seeds() -> dict[str, bytes]:
    ok, length = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n", b"Content-Length: 512\r\n"
    packed = gzip.compress(_BODY)
    digest = b'Digest realm="birds", qop="auth", nonce="abc", opaque="d", algorithm=MD5, stale=false'
    return {
        "length": ok + length + b"\r\n" + _BODY,
        "end": b"HTTP/1.0 200 OK\r\nServer: old\r\n\r\n" + _BODY,
        "chunks": ok + b"Transfer-Encoding: chunked\r\nTrailer: X-After\r\n\r\n" + _CHUNKS,
        "gzip": ok + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed) + packed,
        "early hints": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + ok + length + b"\r\n" + _BODY,
        "redirect": b"HTTP/1.1 302 Found\r\nLocation: /b.jpg?c=%20d\r\nContent-Length: 4\r\n\r\nover",
        "part": b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-511/512\r\n" + length + b"\r\n" + _BODY,
        "digest": b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: " + digest + b"\r\nContent-Length: 2\r\n\r\nno",
        "later": b"HTTP/1.1 503 Busy\r\nRetry-After: Wed, 21 Oct 2015 07:28:00 GMT\r\nContent-Length: 0\r\n\r\n",
        "many fields": ok
        + b"".join(b"Set-Cookie: a%d=b; Path=/\r\n" % n for n in range(60))
        + length
        + b"\r\n"
        + _BODY,
        "folded": b"HTTP/1.1 200\r\nX-A: b\r\n c\r\n\td\r\nno colon\r\nContent-length : 512\r\n\r\n" + _BODY,
    }


def _prepare(_folder: Path) -> Attempt:
    from birdlite.http.fetcher import Fetcher, FetchSettings

    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    sending = [b""]

    def serve() -> None:
        while True:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                request = b""
                while b"\r\n\r\n" not in request and (more := connection.recv(1 << 16)):
                    request += more
                connection.sendall(sending[0])

    threading.Thread(target=serve, daemon=True).start()
    mirror = f"http://me:pw@127.0.0.1:{listener.getsockname()[1]}"  # redirects lead nowhere else
    settings = FetchSettings(mirror=mirror, retries=0, timeout=10.0, max_bytes=_MAX_BYTES)
    fetcher = Fetcher(settings)

    def attempt(data: bytes) -> None:
        sending[0] = data
        body = fetcher.get("https://birds.invalid/a.jpg")
        assert len(body) <= _MAX_BYTES

    return attempt


HEADS = Part("heads", _seeds, _prepare, (damaged, *[with_words(_WORDS)] * 3), (PictureError,))
