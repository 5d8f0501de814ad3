"""Thumbnails: asked for only if wanted, else or if there is none the original; and widths that are not served."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from birdlite.cli import main
from birdlite.http.fetcher import Fetcher
from birdlite.http.wikimedia import smaller, thumbnail_advice
from birdlite.settings import DEFAULTS, WIKIMEDIA, WIKIMEDIA_THUMBNAILS
from tests.fetching import BODY, SETTINGS, failure_of, fetchers
from tests.origin import Origin

ORIGINAL = "https://upload.wikimedia.org/wikipedia/commons/8/81/Eumomota_superciliosa.jpg"
RENDITION = (
    "/upload.wikimedia.org/wikipedia/commons/thumb/8/81/Eumomota_superciliosa.jpg/960px-Eumomota_superciliosa.jpg"
)
PLACE = ORIGINAL.removeprefix("https:/")


@pytest.fixture
def make() -> Iterator[Callable[..., Fetcher]]:
    with fetchers() as making:
        yield making


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (ORIGINAL, f"https:/{RENDITION}"),
        (
            "https://upload.wikimedia.org/wikipedia/en/0/0a/%C3%89gret.PNG",
            "https://upload.wikimedia.org/wikipedia/en/thumb/0/0a/%C3%89gret.PNG/960px-%C3%89gret.PNG",
        ),
        ("https://upload.wikimedia.org/wikipedia/commons/thumb/8/81/A.jpg/500px-A.jpg", None),
        (f"{ORIGINAL}?download", None),
        ("https://upload.wikimedia.org/wikipedia/commons/8/81/Song.ogg", None),
        ("https://upload.wikimedia.org/wikipedia/commons/8/81/Map.svg", None),
        ("https://example.org/wikipedia/commons/8/81/A.jpg", None),
        ("http://upload.wikimedia.org/wikipedia/commons/8/81/A.jpg", None),
        (f"https://upload.wikimedia.org/wikipedia/commons/8/81/{'a' * 160}.jpg", None),
    ],
)
def test_the_address_of_a_rendition_follows_from_that_of_the_original(url: str, expected: str | None) -> None:
    assert smaller(url) == expected


def test_a_rendition_is_fetched_instead_of_the_original(origin: Origin, make: Callable[..., Fetcher]) -> None:
    origin.serve(RENDITION, BODY)
    origin.serve(PLACE, b"twenty megabytes")

    assert make(SETTINGS._replace(renditions=True, mirror=origin.base)).get(ORIGINAL) == BODY
    assert origin.hits(PLACE) == 0


def test_nobody_gets_a_rendition_who_did_not_ask_for_it(origin: Origin, make: Callable[..., Fetcher]) -> None:
    origin.serve(RENDITION, b"small")
    origin.serve(PLACE, BODY)

    assert make(SETTINGS._replace(mirror=origin.base)).get(ORIGINAL) == BODY
    assert origin.hits(RENDITION) == 0


@pytest.mark.parametrize("status", [400, 404, 429])
def test_without_a_rendition_the_original_is_fetched(origin: Origin, make: Callable[..., Fetcher], status: int) -> None:
    origin.serve(RENDITION, b"no such width", status=status)
    origin.serve(PLACE, BODY)

    assert make(SETTINGS._replace(renditions=True, mirror=origin.base, retries=0)).get(ORIGINAL) == BODY
    assert origin.hits(RENDITION) == 1


def test_a_rendition_that_is_too_large_is_a_failure_like_any_other(
    origin: Origin, make: Callable[..., Fetcher]
) -> None:
    origin.serve(RENDITION, BODY)
    origin.serve(PLACE, b"small")

    failure = failure_of(make(SETTINGS._replace(renditions=True, mirror=origin.base)), ORIGINAL, max_bytes=100)

    assert failure.kind == "too_large"
    assert origin.hits(PLACE) == 0


def test_exact_wants_originals(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["classify", "--renditions", "--resize", "exact", str(tmp_path)]) == 2
    assert "--resize exact samples the original" in capsys.readouterr().err


@pytest.mark.parametrize("host", [WIKIMEDIA, WIKIMEDIA_THUMBNAILS, "Thumb.Wikimedia.org."])
@pytest.mark.parametrize("name", ["640px-Bird.jpg", "lossy-page1-640px-Bird.tif.jpg", "640px-Bird_(a).png"])
def test_a_wikimedia_thumbnail_of_a_width_that_is_not_served_is_explained(host: str, name: str) -> None:
    advice = thumbnail_advice(host, f"/wikipedia/commons/thumb/8/81/Bird.jpg/{name}")
    assert advice is not None
    assert "960" in advice
    assert advice.endswith("not 640")


@pytest.mark.parametrize(
    ("host", "path"),
    [
        (WIKIMEDIA, "/wikipedia/commons/thumb/8/81/Bird.jpg/960px-Bird.jpg"),
        (WIKIMEDIA, "/wikipedia/commons/8/81/640px-Bird.jpg"),
        (WIKIMEDIA_THUMBNAILS, "/wikipedia/commons/thumb/8/81/Bird.jpg/500px-Bird.jpg"),
        ("a.example", "/wikipedia/commons/thumb/8/81/Bird.jpg/640px-Bird.jpg"),
    ],
)
def test_nothing_is_said_about_other_pictures(host: str, path: str) -> None:
    assert thumbnail_advice(host, path) is None


@pytest.mark.parametrize("host", [WIKIMEDIA, WIKIMEDIA_THUMBNAILS])
def test_wikimedia_is_asked_for_two_pictures_at_once(host: str) -> None:
    assert DEFAULTS.per_host.limit(host) == 2


@pytest.mark.usefixtures("every_host_is_here")
@pytest.mark.parametrize("status", [400, 429])
def test_an_odd_width_is_explained_at_once(origin: Origin, make: Callable[..., Fetcher], status: int) -> None:
    path = "/wikipedia/commons/thumb/8/81/Bird.jpg/640px-Bird.jpg"
    origin.serve(path, b"Use thumbnail steps", status=status)

    failure = failure_of(make(), f"http://{WIKIMEDIA_THUMBNAILS}:{origin.port}{path}")

    assert failure.kind == "http_status"
    assert str(failure).endswith(" 960, 1280, 1920, 3840 px wide, not 640")
    assert origin.hits(path) == 1
