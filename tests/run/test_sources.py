"""Everything that `Classifier.classify` takes, and what it refuses."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from birdlite import Classifier, FetchSettings, Settings
from birdlite.models.catalog import DEMO_MODEL
from tests.demo_world import PICTURES, slug, species_of
from tests.origin import Origin

PICTURE = PICTURES[0]


@pytest.fixture
def birds(warm_cache: Path) -> Iterator[Classifier]:
    with Classifier(Settings(model=DEMO_MODEL, cache_dir=str(warm_cache))) as classifier:
        yield classifier


@pytest.mark.parametrize("make", [bytes, bytearray, memoryview, io.BytesIO])
def test_bytes_and_binary_files_give_the_answer_of_the_path(birds: Classifier, make: Any) -> None:
    by_path = birds.classify(PICTURE)

    result = birds.classify(make(PICTURE.read_bytes()))

    assert result.predictions == by_path.predictions
    assert result.image == by_path.image


def test_an_open_file_goes_by_its_own_name(birds: Classifier) -> None:
    with PICTURE.open("rb") as file:
        result = birds.classify(file)

    assert result.target == str(PICTURE)
    assert slug(result.predictions[0].common_name) == species_of(PICTURE)


def test_a_url_is_fetched(birds: Classifier, origin: Origin) -> None:
    result = birds.classify(origin.serve("/a.jpg", PICTURE.read_bytes()))

    assert slug(result.predictions[0].common_name) == species_of(PICTURE)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "CMYK", "YCbCr"])
def test_an_image_of_pillow_is_classified_whatever_its_mode(birds: Classifier, mode: str) -> None:
    result = birds.classify(PIL.Image.open(PICTURE).convert(mode))

    assert slug(result.predictions[0].common_name) == species_of(PICTURE)
    assert result.image is not None
    assert (result.image.format, result.image.bytes) == ("RGB", 0)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P"])
def test_an_image_without_colours_or_with_a_palette_gives_what_its_file_gives(birds: Classifier, mode: str) -> None:
    image = PIL.Image.open(PICTURE).convert(mode)
    file = io.BytesIO()
    image.save(file, "PNG")

    assert birds.classify(image).predictions == birds.classify(file.getvalue()).predictions


def test_an_image_that_is_opened_only_is_decoded_and_turned_as_its_exif_says(birds: Classifier) -> None:
    upright = PIL.Image.open(PICTURE)
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn to the right
    file = io.BytesIO()
    upright.transpose(PIL.Image.Transpose.ROTATE_90).save(file, "PNG", exif=exif)

    result = birds.classify(PIL.Image.open(file))

    assert result.predictions == birds.classify(file.getvalue()).predictions
    assert slug(result.predictions[0].common_name) == species_of(PICTURE)
    assert result.image is not None
    assert (result.image.width, result.image.height, result.image.format) == (*upright.size, "PNG")


def test_an_array_gives_the_answer_of_the_image_that_it_was_made_of(birds: Classifier) -> None:
    image = PIL.Image.open(PICTURE).convert("RGB")
    array = np.asarray(image)

    assert birds.classify(array).predictions == birds.classify(image).predictions
    assert birds.classify(array[:, ::-1]).ok  # not contiguous


def test_many_pictures_of_all_kinds_come_in_their_order(birds: Classifier) -> None:
    given: list[Any] = [PICTURE, PICTURE.read_bytes(), PIL.Image.open(PICTURE), PICTURE.parent]

    results = list(birds.classify_many(given))

    assert [result.index for result in results] == list(range(3 + len(PICTURES)))
    assert [result.target for result in results[:3]] == [str(PICTURE), "<bytes>", str(PICTURE)]
    assert {slug(result.predictions[0].common_name) for result in results[:3]} == {species_of(PICTURE)}


def test_a_damaged_image_is_the_failure_of_that_picture(birds: Classifier) -> None:
    file = io.BytesIO()
    PIL.Image.open(PICTURE).save(file, "PNG")
    torn = PIL.Image.open(io.BytesIO(file.getvalue()[:3000]))

    failure = birds.classify(torn).failure

    assert failure is not None
    assert failure.kind == "decode"


def test_bytes_and_pixels_are_held_to_the_limits_of_the_settings(warm_cache: Path) -> None:
    fetch = FetchSettings(max_bytes=1000)
    with Classifier(Settings(model=DEMO_MODEL, cache_dir=str(warm_cache), max_pixels=99, fetch=fetch)) as birds:
        failures = [
            birds.classify(given).failure
            for given in (PICTURE.read_bytes(), io.BytesIO(PICTURE.read_bytes()), np.zeros((10, 10, 3), np.uint8))
        ]

    assert [failure and failure.message for failure in failures] == [
        "<bytes>: more than 1000 bytes",
        "<file>: more than 1000 bytes",
        "<array>: 10x10 px is over the limit of 99 pixels",
    ]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, "NoneType is no picture: give a URL, a path, bytes, a binary file, a PIL image or an RGB array"),
        (3, "int is no picture"),
        ([PICTURE], "list is no picture"),
        (io.StringIO("text"), "a file that gives str: open it for bytes, with mode 'rb'"),
        (np.zeros((4, 4, 3), np.float32), r"an array of float32 with shape \(4, 4, 3\): give uint8 in RGB"),
        (np.zeros((3, 4, 4), np.uint8), r"an array of uint8 with shape \(3, 4, 4\)"),
        (np.zeros((1, 4, 4, 3), np.uint8), "an array of uint8 with shape"),
        (PIL.Image.new("I;16", (4, 4)), "a PIL image of mode I;16: convert it to RGB first"),
        (PIL.Image.new("F", (4, 4)), "a PIL image of mode F"),
    ],
)
def test_what_is_no_picture_is_a_type_error(birds: Classifier, given: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        birds.classify(given)
    with pytest.raises(TypeError, match=words):
        list(birds.classify_many([given]))


@pytest.mark.parametrize("given", ["photo.jpg", Path("photo.jpg"), b"bytes", io.BytesIO(b"bytes")])
def test_one_picture_for_classify_many_is_a_type_error_at_once(birds: Classifier, given: Any) -> None:
    with pytest.raises(TypeError, match="classify_many takes several pictures, such as a list; classify takes"):
        birds.classify_many(given)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (5, "not int: each is a URL, a path, bytes, a binary file, a PIL image or an RGB array"),
        (None, "not NoneType: each is"),
        (PIL.Image.new("RGB", (4, 4)), "classify takes a single Image"),
        (np.zeros((4, 4, 3), np.uint8), "classify takes a single ndarray"),
        (np.zeros((4, 4), np.uint8), "classify takes a single ndarray"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_holds_no_pictures_is_a_type_error_at_once(birds: Classifier, given: Any, words: str) -> None:
    with pytest.raises(TypeError, match=f"classify_many takes several pictures, such as a list.*{words}"):
        birds.classify_many(given)


def test_an_array_with_four_dimensions_holds_several_pictures(birds: Classifier) -> None:
    assert len(list(birds.classify_many(np.zeros((3, 8, 8, 3), np.uint8)))) == 3


def test_standard_input_is_not_for_programs(birds: Classifier) -> None:
    (result,) = birds.classify_many(["-"])

    assert result.failure is not None
    assert result.failure.kind == "unsupported"
