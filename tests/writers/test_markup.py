"""Texts and links in the report."""

from __future__ import annotations

import os

import pytest

from birdlite.writers.page import LONGEST_ADDRESS, address, last_part, text


@pytest.mark.parametrize(
    ("value", "made"),
    [
        ("Möwe × 写真.jpg", "Möwe × 写真.jpg"),
        ("<b> & 'c' \"d\"", "&lt;b&gt; &amp; &#x27;c&#x27; &quot;d&quot;"),
        ("a\u202eb\nc\x00", "a\\u202eb\\x0ac\\x00"),
        ("caf\udce9", "caf\\udce9"),
    ],
)
def test_text_is_escaped(value: str, made: str) -> None:
    assert text(value) == made


def test_a_long_text_keeps_its_ends() -> None:
    assert text("a" * 500 + "b" * 500, 10) == "aaaaa…bbbb"
    assert text("&" * 10, 10) == "&amp;" * 10


@pytest.mark.parametrize(
    ("target", "where"),
    [
        ("https://example.org/a b.jpg#top", "https://example.org/a%20b.jpg"),
        ("HTTP://example.org/ä?q='1'&r=\"2\"", "http://example.org/%C3%A4?q=&#x27;1&#x27;&amp;r=%222%22"),
        ("https://user:secret@example.org/a.jpg", None),
        ("https:///a.jpg", None),
        ("data:text/html,x", None),
        ("ftp://example.org/a.jpg", None),
        ("file:///etc/passwd", None),
        ("s3://bucket/a.jpg", None),
        ("javascript:alert(1)", "./javascript%3Aalert%281%29"),
        ("/album/page/a.jpg", "./a.jpg"),
        ("/album/b/../c d.jpg", "./../c%20d.jpg"),
        ("//evil.example/x", "./../../evil.example/x"),
        ("/album/page/caf\udce9.jpg", "./caf%E9.jpg"),
        ("/album/page/\ud800.jpg", None),
        ("", None),
        ("/" + "x" * LONGEST_ADDRESS, None),
    ],
)
def test_an_address_is_one_of_the_web_or_a_path_from_the_page(
    monkeypatch: pytest.MonkeyPatch, target: str, where: str | None
) -> None:
    monkeypatch.setattr(os, "getcwd", lambda: "/album/page")

    assert address(target, "/album/page") == where


def test_a_page_in_a_bucket_has_no_links_to_files() -> None:
    assert address("/album/a.jpg", None) is None
    assert address("https://example.org/a.jpg", None) == "https://example.org/a.jpg"


@pytest.mark.parametrize(
    ("target", "last"),
    [
        ("https://example.org/a/b.jpg?next=/c/d", "b.jpg"),
        ("photos/what?/b.jpg", "b.jpg"),
        ("photos/", "photos"),
        ("b.jpg", "b.jpg"),
        ("/", "/"),
        ("", ""),
    ],
)
def test_the_last_part_tells_a_target_from_its_neighbours(target: str, last: str) -> None:
    assert last_part(target) == last
