"""By which way bytes are fetched: a mirror, a proxy, none at all; and what is imported for it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from birdlite.errors import UsageError
from birdlite.http.fetcher import Fetcher, FetchSettings
from tests.fetching import BODY, SETTINGS, fetchers
from tests.origin import Origin


@pytest.fixture
def make() -> Iterator[Callable[..., Fetcher]]:
    """Makes fetchers, and closes them after the test."""
    with fetchers() as make:
        yield make


# The mirror, and no network at all


def test_everything_is_asked_of_the_mirror(origin: Origin, make: Callable[..., Fetcher], tmp_path: Path) -> None:
    (tmp_path / "a.example" / "b c").mkdir(parents=True)
    (tmp_path / "a.example" / "b c" / "d,e.jpg").write_bytes(BODY)
    fetcher = make(SETTINGS._replace(mirror=origin.serve_folder("/mirror", tmp_path)))
    assert fetcher.get("https://a.example/b%20c/d%2Ce.jpg") == BODY
    assert fetcher.get("http://A.example:80/b c/d,e.jpg") == BODY
    assert [seen.path for seen in origin.requests] == [
        "/mirror/a.example/b%20c/d%2Ce.jpg",
        "/mirror/a.example/b%20c/d,e.jpg",
    ]


def test_a_host_in_other_letters_has_its_ascii_name_under_the_mirror(
    origin: Origin, make: Callable[..., Fetcher]
) -> None:
    origin.serve("/xn--vgel-5qa.example/a", BODY)
    assert make(SETTINGS._replace(mirror=origin.base)).get("https://vögel.example/a") == BODY


def test_each_hop_of_a_redirect_goes_through_the_mirror(origin: Origin, make: Callable[..., Fetcher]) -> None:
    origin.redirect("/m/a.example/1", "https://b.example/2?q=1")
    origin.redirect("/m/b.example/2", "3")
    origin.redirect("/m/b.example/3", origin.url("/m/c.example/4"))
    origin.serve("/m/c.example/4", BODY)
    assert make(SETTINGS._replace(mirror=origin.url("/m/"))).get("https://a.example/1") == BODY
    assert origin.requests[1].path == "/m/b.example/2?q=1"


def test_no_certificates_are_read_for_an_http_mirror(
    origin: Origin, make: Callable[..., Fetcher], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("birdlite.http.network._read_certificates", lambda: pytest.fail("certificates were read"))
    origin.serve("/a.example/b", BODY)
    assert make(SETTINGS._replace(mirror=origin.base)).get("https://a.example/b") == BODY


@pytest.mark.parametrize("settings", [SETTINGS._replace(mirror="mirror.example"), SETTINGS._replace(user_agent="ä")])
def test_settings_that_make_no_sense_are_wrong_usage(settings: FetchSettings) -> None:
    with pytest.raises(UsageError):
        Fetcher(settings)


def test_offline_nothing_is_asked(origin: Origin) -> None:
    program = (
        "import sys; from birdlite.http.fetcher import *; from birdlite.errors import PictureError\n"
        "fetcher = Fetcher(FetchSettings(offline=True)); fetcher.preload()\n"
        "try: fetcher.get(sys.argv[1])\n"
        "except PictureError as error: print(error.kind, error)\n"
        "fetcher.close()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, origin.serve("/a", BODY)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "blocked it would have to be fetched, which --offline forbids\n"
    assert origin.requests == []
