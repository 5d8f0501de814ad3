"""https://HOST/PATH is asked for at BASE/HOST/PATH."""

from __future__ import annotations

import pytest

from birdlite.errors import PictureError, UsageError
from birdlite.http.address import address, mirror_address, under_mirror

BASE = "http://mirror.example:8080/sub"


def moved(url: str, base: str = BASE) -> str:
    return str(under_mirror(address(url), mirror_address(base)))


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://a.example/b/c.jpg", "/a.example/b/c.jpg"),
        ("http://a.example/b/c.jpg", "/a.example/b/c.jpg"),
        ("HTTPS://A.Example/B.JPG", "/a.example/B.JPG"),
        ("https://a.example/b?width=3&x=/y", "/a.example/b?width=3&x=/y"),
        ("https://a.example/b%2Cc%20d%3F.jpg", "/a.example/b%2Cc%20d%3F.jpg"),
        ("https://a.example/b.jpg#part", "/a.example/b.jpg"),
        ("https://a.example", "/a.example/"),
        ("https://a.example?q", "/a.example/?q"),
        ("https://a.example:8443/b", "/a.example:8443/b"),
        ("https://a.example:443/b", "/a.example/b"),
        ("http://a.example:80/b", "/a.example/b"),
        ("http://a.example:443/b", "/a.example:443/b"),
        ("https://user:p%40ss@a.example/b", "/a.example/b"),
        ("https://user@x@a.example/b", "/a.example/b"),
        ("https://[2001:db8::1]:8443/b", "/[2001:db8::1]:8443/b"),
        ("https://[2001:db8::1]/b", "/[2001:db8::1]/b"),
        ("http://mirror.example:8080/elsewhere/b", "/mirror.example:8080/elsewhere/b"),
        ("http://mirror.example:8080/subway/b", "/mirror.example:8080/subway/b"),
        ("http://mirror.example/sub/b", "/mirror.example/sub/b"),
        ("https://a.example/http://mirror.example:8080/sub/b", "/a.example/http://mirror.example:8080/sub/b"),
    ],
)
def test_an_address_moves_under_the_mirror(url: str, path: str) -> None:
    assert moved(url) == BASE + path


@pytest.mark.parametrize("url", [BASE + "/a.example/b?q", "HTTP://MIRROR.example:8080/sub/a.example/b?q"])
def test_an_address_under_the_mirror_stays_there(url: str) -> None:
    assert moved(url) == BASE + "/a.example/b?q"


def test_a_redirect_within_the_mirror_keeps_the_mirrors_password() -> None:
    base = "https://me:secret@store.example/birds"
    assert moved("https://store.example/birds/a.example/b", base) == f"{base}/a.example/b"


@pytest.mark.parametrize(
    "url", ["ftp://a.example/b", "a.example/b", "https:///b", "https://../b", "https://.:443/b", ""]
)
def test_nothing_slips_past_the_mirror(url: str) -> None:
    with pytest.raises(PictureError) as failure:
        moved(url)
    assert failure.value.kind == "unsupported"


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ("http://mirror.example", "http://mirror.example/"),
        ("http://mirror.example/", "http://mirror.example/"),
        ("HTTPS://Mirror.Example:443/Sub//", "https://mirror.example/Sub/"),
        (" http://127.0.0.1:9/x ", "http://127.0.0.1:9/x/"),
        ("https://me:Secret@store.example/", "https://me:Secret@store.example/"),
    ],
)
def test_a_mirror_is_given_in_many_ways(given: str, base: str) -> None:
    assert str(mirror_address(given)) == base


@pytest.mark.parametrize(
    "given",
    ["", "mirror.example", "ftp://mirror.example", "http://", "http://m/?q", "http://m/#f", "http://m/a b", "/srv"],
)
def test_what_cannot_be_a_mirror_is_refused(given: str) -> None:
    with pytest.raises(UsageError, match="--mirror"):
        mirror_address(given)


def test_a_refused_mirror_does_not_show_its_password() -> None:
    with pytest.raises(UsageError) as refusal:
        mirror_address("https://me:secret@m.example/?q\n")
    assert "secret" not in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("climb", ["..", "%2e%2E", ".%2e", "a/..", "..%2fb", "..%5Cb", "..;"])
@pytest.mark.parametrize("base", ["https://example.org/", "https://mirror.example/base/"])
def test_no_path_leads_out_of_the_mirror(base: str, climb: str) -> None:
    mirror = mirror_address("https://ann:pw@mirror.example/base/")
    with pytest.raises(PictureError, match=r"path with \.\."):
        under_mirror(address(f"{base}{climb}/a.jpg"), mirror)
    assert under_mirror(address(f"{base}a..b/...jpg?x=/../"), mirror).path.endswith("a..b/...jpg")
