"""Heads mended for a strict parser, and the end of a body found however it is cut into pieces."""

from __future__ import annotations

import pytest

from birdlite.http.framing import mend_head

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked"


@pytest.mark.parametrize(
    ("block", "mended"),
    [
        (b"HTTP/1.1 200 OK", b"HTTP/1.1 200 \r\n\r\n"),
        (b"HTTP/1.1 404 No\r\nConnection: Close", b"HTTP/1.1 404 \r\nconnection: Close\r\n\r\n"),
        (b"HTTP/1.0 200 OK", b"HTTP/1.0 200 \r\n\r\n"),
        (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive", b"HTTP/1.1 200 \r\nconnection: Keep-Alive\r\n\r\n"),
        (b"HTTP/2 200", b"HTTP/1.1 200 \r\n\r\n"),
        (OK + b"a:  b \r\n  c\r\nA: d", b"HTTP/1.1 200 \r\na: b  c\r\na: d\r\n\r\n"),
        (
            OK + b"Transfer-Encoding: identity, Chunked\r\nContent-Length: 3",
            b"HTTP/1.1 200 \r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n",
        ),
        (OK + b"Content-Length: 1\r\nContent-Length: 2", b"HTTP/1.1 200 \r\ncontent-length: 1, 2\r\n\r\n"),
    ],
)
def test_a_head_is_written_anew(block: bytes, mended: bytes) -> None:
    assert mend_head(block).text == mended


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize(
    ("block", "body"),
    [
        (OK + b"Content-Length: 12", b"twelve bytes"),
        (OK + b"Content-Length: 0", b""),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 3", b""),
        (CHUNKED, b"3\r\nabc\r\n00A ; x=y\r\n0123\r\n6789\r\n0\r\n\r\n"),
        (CHUNKED, b"0\r\nA: b\r\nC: d\r\n\r\n"),
    ],
    ids=["length", "no length", "no body", "chunks", "trailers"],
)
def test_what_follows_a_body_does_not_belong_to_it(block: bytes, body: bytes, size: int) -> None:
    end = mend_head(block).body
    data = body + b"0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"

    taken = [end.take(data[start : start + size]) for start in range(0, len(data), size)]

    assert sum(count for count, _ in taken) == len(body)


def test_a_body_without_a_length_has_no_end() -> None:
    assert mend_head(OK).body.take(b"abc") == (3, b"abc")


def test_what_is_not_http_is_an_error() -> None:
    with pytest.raises(ValueError, match="malformed status line"):
        mend_head(b"SSH-2.0-OpenSSH_9.2")
