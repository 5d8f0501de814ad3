"""What `import birdlite` promises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import birdlite
from birdlite import Classifier, FetchSettings, Settings
from birdlite.models.catalog import DEMO_MODEL
from tests.demo_world import PICTURES, slug, species_of


def test_the_public_names_are_these_and_all_of_them_are_there() -> None:
    assert birdlite.__all__ == [
        "BirdliteError",
        "Classifier",
        "EngineError",
        "EngineMissing",
        "Failure",
        "FetchSettings",
        "ImageInfo",
        "InvalidModel",
        "ListRules",
        "MaxFailures",
        "ModelError",
        "ModelUnavailable",
        "OutputError",
        "PerHost",
        "PictureError",
        "Prediction",
        "Progress",
        "Result",
        "RunOptions",
        "RunReport",
        "RunSummary",
        "Runner",
        "Settings",
        "Shard",
        "Times",
        "TooManyFailures",
        "UnknownModel",
        "UsageError",
        "__version__",
        "expand",
        "picture",
        "redacted",
    ]
    for name in birdlite.__all__:
        assert getattr(birdlite, name) is not None


def test_dir_lists_the_public_names() -> None:
    assert dir(birdlite) == sorted(birdlite.__all__)


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Classify'"):
        birdlite.Classify  # noqa: B018


def test_a_picture_is_decoded_without_a_model() -> None:
    decoded = birdlite.picture.decode(PICTURES[0].read_bytes(), side=64)

    assert len(decoded.pixels) == 64 * 64 * 3


def test_a_failure_of_a_picture_is_a_value(warm_cache: Path) -> None:
    with Classifier(Settings(model=DEMO_MODEL, cache_dir=str(warm_cache))) as birds:
        result = birds.classify("absent.jpg")

    assert not result.ok
    assert result.predictions == ()
    assert result.failure is not None
    assert result.failure == ("not_found", "absent.jpg: no such file")


def test_classify_takes_one_file_and_no_folder(warm_cache: Path) -> None:
    with Classifier(Settings(model=DEMO_MODEL, cache_dir=str(warm_cache))) as birds:
        result = birds.classify(PICTURES[0].parent)

    assert result.failure is not None
    assert result.failure.kind == "unsupported"


@pytest.mark.parametrize("mirror", [None, "http://127.0.0.1:9"])
def test_the_demo_model_is_a_part_of_birdlite_and_needs_no_network_and_no_cache(
    tmp_path: Path, mirror: str | None
) -> None:
    settings = Settings(model=DEMO_MODEL, cache_dir=str(tmp_path), fetch=FetchSettings(offline=True, mirror=mirror))
    with Classifier(settings) as birds:
        result = birds.classify(PICTURES[0])

    assert slug(result.predictions[0].common_name) == species_of(PICTURES[0])
    assert list(tmp_path.iterdir()) == []


def test_a_missing_model_is_raised(tmp_path: Path) -> None:
    settings = Settings(model="nosuch", cache_dir=str(tmp_path))

    with Classifier(settings) as birds, pytest.raises(birdlite.UnknownModel, match="no model 'nosuch'"):
        birds.classify(PICTURES[0])


@pytest.mark.parametrize(
    ("child", "parent"),
    [
        ("UsageError", "BirdliteError"),
        ("ModelError", "BirdliteError"),
        ("UnknownModel", "ModelError"),
        ("ModelUnavailable", "ModelError"),
        ("InvalidModel", "ModelError"),
        ("EngineError", "BirdliteError"),
        ("EngineMissing", "EngineError"),
        ("OutputError", "BirdliteError"),
        ("PictureError", "BirdliteError"),
    ],
)
def test_the_tree_of_errors_is_as_drawn(child: str, parent: str) -> None:
    assert getattr(birdlite, child).__base__ is getattr(birdlite, parent)


@pytest.mark.parametrize("field", ["output", "report"])
def test_results_do_not_go_to_a_url(field: str) -> None:
    changed: dict[str, Any] = {field: "https://example.org/up?token=abc"}
    options = birdlite.RunOptions()._replace(**changed)

    with pytest.raises(birdlite.UsageError, match=r"https://example\.org/up.*: results go into a file or obj"):
        birdlite.Runner(Settings(), options)
