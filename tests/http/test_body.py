"""A response's body: whole, within bounds, as it was before any compression."""

from __future__ import annotations

import gzip
import itertools
import tracemalloc
import zlib
from collections.abc import Iterable

import httpx
import pytest

from birdlite.errors import PictureError
from birdlite.http.body import finish, read_body

BODY = bytes(range(256)) * 8  # 2,048 bytes


def answer(parts: Iterable[bytes], **headers: str) -> httpx.Response:
    """An answer that is still on its way."""
    fields = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return httpx.Response(200, headers=fields, content=parts)


def in_parts(body: bytes, size: int = 100) -> Iterable[bytes]:
    return (body[start : start + size] for start in range(0, len(body), size))


def test_a_body_comes_together_from_its_parts() -> None:
    assert read_body(answer(in_parts(BODY)), len(BODY)) == BODY


def test_no_body_is_an_empty_one() -> None:
    assert read_body(answer(iter(())), 10) == b""


def test_a_body_that_is_declared_too_large_is_not_read() -> None:
    parts = iter([BODY])
    with pytest.raises(PictureError, match=r"2,000,000,000 bytes, more than the 1,000 allowed") as failure:
        read_body(answer(parts, content_length="2000000000"), 1000)
    assert failure.value.kind == "too_large"
    assert next(parts) == BODY


def test_a_body_that_turns_out_too_large_is_not_read_to_its_end() -> None:
    taken: list[bytes] = []

    def parts() -> Iterable[bytes]:
        while True:
            taken.append(bytes(100))
            yield taken[-1]

    with pytest.raises(PictureError, match="more than the 1,000 bytes allowed") as failure:
        read_body(answer(parts()), 1000)
    assert failure.value.kind == "too_large"
    assert len(taken) == 11


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", " GZIP "])
def test_compression_that_nobody_asked_for_is_undone(encoding: str) -> None:
    packed = gzip.compress(BODY)
    assert read_body(answer(in_parts(packed), content_encoding=encoding), len(BODY)) == BODY


@pytest.mark.parametrize("size", [1, 100, 10_000])
@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress(BODY[:7]) + gzip.compress(BODY[7:99]) + gzip.compress(BODY[99:])),
        ("gzip", gzip.compress(BODY) + b"\0\0 surplus " + gzip.compress(b"no more")),
        ("deflate", zlib.compress(BODY)),
        ("Deflate", zlib.compress(BODY)[2:-4]),
        ("aws-chunked,gzip", gzip.compress(BODY)),
        ("identity, gzip", gzip.compress(BODY)),
        ("gzip, gzip", gzip.compress(gzip.compress(BODY))),
        ("deflate, x-gzip", gzip.compress(zlib.compress(BODY)[2:-4])),
        ('"gzip";q=1', gzip.compress(BODY)),
        ("gzip", zlib.compress(BODY)),
        ("deflate", gzip.compress(BODY)),
    ],
    ids=[
        "members",
        "surplus",
        "deflate",
        "deflate without zlib's header",
        "aws-chunked",
        "identity",
        "twice",
        "two ways",
        "parameters",
        "zlib called gzip",
        "gzip called deflate",
    ],
)
def test_compressed_data_is_read_in_all_its_forms(encoding: str, packed: bytes, size: int) -> None:
    assert read_body(answer(in_parts(packed, size), content_encoding=encoding), len(BODY) * 2) == BODY


@pytest.mark.parametrize(
    "encoding", ["", "identity", "utf-8", "UTF-8", "none", "null", "binary", "8bit", "aws-chunked", "image/jpeg", ","]
)
def test_an_encoding_that_is_no_compression_is_ignored(encoding: str) -> None:
    assert read_body(answer(in_parts(BODY), content_encoding=encoding), len(BODY)) == BODY


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "compress", "gzip, gzip"])
@pytest.mark.parametrize("start", [b"\xff\xd8\xff\xe0", b"\x89PNG\r\n", b"GIF89a", b"RIFF", b"II*\0", b"MM\0*"])
@pytest.mark.parametrize("size", [1, 1000])
def test_a_picture_that_is_only_called_compressed_is_taken_as_it_is(encoding: str, start: bytes, size: int) -> None:
    picture = start + BODY
    assert read_body(answer(in_parts(picture, size), content_encoding=encoding), len(picture)) == picture


def test_a_picture_that_is_called_compressed_twice_and_is_so_once_is_read() -> None:
    picture = b"\xff\xd8\xff\xe0" + BODY
    packed = in_parts(gzip.compress(picture))
    assert read_body(answer(packed, content_encoding="gzip, gzip"), len(picture)) == picture


@pytest.mark.parametrize("encoding", ["gzip, gzip", "deflate, gzip"])
def test_a_bomb_in_a_bomb_is_too_large(encoding: str) -> None:
    inner = gzip.compress(bytes(50_000_000)) if encoding == "gzip, gzip" else zlib.compress(bytes(50_000_000))
    with pytest.raises(PictureError) as failure:
        read_body(answer(iter([gzip.compress(inner)]), content_encoding=encoding), 60_000)
    assert failure.value.kind == "too_large"


def answer_206(range_: str) -> httpx.Response:
    headers = {"Content-Range": range_} if range_ else {}
    return httpx.Response(206, headers=headers, content=iter([BODY]))


@pytest.mark.parametrize("range_", ["bytes 0-99/2048", "Bytes 1-2048/2049", "bytes  2000-2047/2048"])
def test_a_part_that_nobody_asked_for_is_refused(range_: str) -> None:
    with pytest.raises(PictureError, match="206 Partial Content: only bytes ") as failure:
        read_body(answer_206(range_), 60_000)
    assert failure.value.kind == "http_status"


@pytest.mark.parametrize("range_", ["bytes 0-2047/2048", "bytes 0-2047/*", ""])
def test_a_part_that_may_be_all_is_read(range_: str) -> None:
    assert read_body(answer_206(range_), 60_000) == BODY


def test_a_compression_bomb_is_too_large() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    read_body(answer(iter([gzip.compress(b"")]), content_encoding="gzip"), 60_000)  # imports
    tracemalloc.start()
    with pytest.raises(PictureError) as failure:
        read_body(answer(iter([bomb]), content_encoding="gzip"), 60_000)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert failure.value.kind == "too_large"
    assert most < 5_000_000


def test_what_comes_after_compressed_data_counts_too() -> None:
    parts = itertools.chain([gzip.compress(BODY)], itertools.repeat(bytes(100)))
    with pytest.raises(PictureError) as failure:
        read_body(answer(parts, content_encoding="gzip"), 60_000)
    assert failure.value.kind == "too_large"


def test_the_members_of_compressed_data_are_bounded() -> None:
    with pytest.raises(PictureError, match="more than 1,024 members") as failure:
        read_body(answer(iter([gzip.compress(b"") * 2000]), content_encoding="gzip"), 60_000)
    assert failure.value.kind == "unsupported"


@pytest.mark.parametrize("packed", [zlib.compress(BODY)[:-1], zlib.compress(BODY)[2:-9], b"\x78", b""])
def test_deflate_that_ends_early_is_not_taken_for_whole(packed: bytes) -> None:
    with pytest.raises(PictureError, match="ends early"):
        read_body(answer(iter([packed]), content_encoding="deflate"), len(BODY))


def test_compressed_data_that_ends_early_may_be_whole_next_time() -> None:
    packed = gzip.compress(BODY)[:-10]
    with pytest.raises(PictureError, match="ends early") as failure:
        read_body(answer(in_parts(packed), content_encoding="gzip"), len(BODY))
    assert failure.value.kind == "network"


def test_compressed_data_that_is_damaged_is_not_passed_on() -> None:
    with pytest.raises(PictureError, match="damaged") as failure:
        read_body(answer(iter([BODY]), content_encoding="gzip"), len(BODY))
    assert failure.value.kind == "network"


@pytest.mark.parametrize("encoding", ["br", "zstd", "utf-8, compress", "gzip, br", "gzip, " * 5])
def test_another_compression_is_unsupported(encoding: str) -> None:
    with pytest.raises(PictureError, match="which was not asked for") as failure:
        read_body(answer(iter([BODY]), content_encoding=encoding), len(BODY))
    assert failure.value.kind == "unsupported"


@pytest.mark.parametrize(("length", "taken"), [(100, 2), (16 * 1024, 2), (16 * 1024 + 1, 0), (None, 0)])
def test_only_a_small_page_is_read_for_its_connection(length: int | None, taken: int) -> None:
    count = 0

    def parts() -> Iterable[bytes]:
        nonlocal count
        for _ in range(2):
            count += 1
            yield b"x" * 50

    headers = {} if length is None else {"content_length": str(length)}
    finish(answer(parts(), **headers))
    assert count == taken
