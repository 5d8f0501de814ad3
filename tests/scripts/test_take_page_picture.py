"""The picture of the page in docs/service.md can be taken again, and is small enough for a page of documentation."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from scripts import take_page_picture

IN_DOCS = Path(__file__).parents[2] / "docs" / "page.png"


def test_the_picture_is_as_wide_as_the_page_and_small(tmp_path: Path) -> None:
    take_page_picture.main(["-o", str(tmp_path / "page.png")])

    for picture in (tmp_path / "page.png", IN_DOCS):
        with Image.open(picture) as image:
            assert image.width == take_page_picture.WIDTH
        assert picture.stat().st_size < 200_000
