"""RGB photographs on Pillow's C core: the same pixels as through `PIL.Image`, which is used if the core is unusual."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Literal

import pytest
from PIL import Image, _imaging

from birdlite.errors import PictureError
from birdlite.images import jpeg, picture, pillow_core
from tests.pictures import photograph, saved

SIZES = ((640, 480), (1200, 950), (333, 512), (1800, 500), (17, 90))
PHOTO = saved(photograph(600, 500), "JPEG")


@pytest.fixture(autouse=True)
def _untried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test tries the core for itself."""
    monkeypatch.setattr(pillow_core, "_usable", None)


def turned(size: tuple[int, int], orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(photograph(*size), "JPEG", exif=exif)


@pytest.mark.parametrize(("size", "resize"), list(product(SIZES, ("crop", "squash", "exact"))))
def test_the_core_gives_the_pixels_that_pillow_s_python_gives(
    size: tuple[int, int], resize: Literal["crop", "squash", "exact"], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = [turned(size, orientation) for orientation in range(1, 9)]
    by_core = [picture.decode(each, resize=resize) for each in data]
    monkeypatch.setattr(pillow_core, "_usable", False)

    assert by_core == [picture.decode(each, resize=resize) for each in data]


def test_an_rgb_photograph_uses_only_the_core() -> None:
    image = jpeg.header(PHOTO, least=448, max_pixels=10**7).read().image

    assert isinstance(image, pillow_core.CoreImage)
    assert (image.size, image.width, image.height) == ((600, 500), 600, 500)


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_other_photographs_use_pillow_s_python(mode: str) -> None:
    data = saved(photograph(600, 500).convert(mode), "JPEG")

    assert isinstance(jpeg.header(data, least=448, max_pixels=10**7).read().image, Image.Image)


def newer(*_: object) -> None:
    raise TypeError("function takes exactly 9 arguments (7 given)")


WHITE = Image.new("RGB", (2, 1), "white").im


def white(*_: object) -> object:
    return WHITE


@pytest.mark.parametrize(
    "change",
    [
        lambda patch: patch.delattr(_imaging, "jpeg_decoder"),
        lambda patch: patch.delattr(_imaging, "raw_encoder"),
        lambda patch: patch.setattr(_imaging, "jpeg_decoder", newer),
        lambda patch: patch.setattr(_imaging, "fill", newer),
        lambda patch: patch.setattr(_imaging, "fill", white),
        lambda patch: patch.setattr("PIL.__version__", "0.1"),
    ],
    ids=["no decoder", "no encoder", "another decoder", "another fill", "not black", "another version"],
)
def test_a_core_that_is_not_as_expected_is_not_used(
    change: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pillow_core.usable()
    monkeypatch.setattr(pillow_core, "_usable", None)

    change(monkeypatch)

    assert not pillow_core.usable()


def test_pictures_are_read_without_the_core_too(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = picture.decode(PHOTO)
    monkeypatch.setattr(pillow_core, "_usable", False)

    assert isinstance(jpeg.header(PHOTO, least=448, max_pixels=10**7).read().image, Image.Image)
    assert picture.decode(PHOTO) == expected


def test_damaged_photographs_give_the_same_errors_with_and_without_the_core(monkeypatch: pytest.MonkeyPatch) -> None:
    small = saved(photograph(60, 50), "JPEG")
    damaged = [small[:at] + bytes([small[at] ^ 0x55]) + small[at + 1 :] for at in range(2, len(small), 3)]
    by_core = [outcome(data) for data in damaged]
    monkeypatch.setattr(pillow_core, "_usable", False)

    assert by_core == [outcome(data) for data in damaged]
    assert {text for text in by_core if isinstance(text, str)} >= {
        "damaged JPEG: cannot decode image data",
        "damaged JPEG: part of the picture is missing",
    }


def outcome(data: bytes) -> picture.Picture | str:
    try:
        return picture.decode(data, side=8)
    except PictureError as error:
        return str(error)


def test_the_constants_are_those_of_pillow() -> None:
    assert pillow_core.BILINEAR == Image.Resampling.BILINEAR
    for turn in Image.Transpose:
        assert getattr(pillow_core, turn.name) == turn.value
