"""Models compared from Python, as the package's docstring shows it."""

from __future__ import annotations

from pathlib import Path

from birdlite.evaluate import Comparison, combinations, open_source
from birdlite.models.catalog import DEMO_MODEL
from birdlite.settings import Settings
from tests.demo_world import PICTURES, species_of


def test_each_model_is_measured_with_each_way_to_resize(warm_cache: Path, tmp_path: Path) -> None:
    album = tmp_path / "album.csv"
    album.write_text("path,label\n" + "".join(f"{picture},{species_of(picture)}\n" for picture in PICTURES))
    several = combinations(Settings(cache_dir=str(warm_cache)), [DEMO_MODEL], ["crop", "squash"])

    with Comparison(several, open_source(str(album))) as comparison:
        found = [(one.settings.resize, one.tally.figures().top1) for one in comparison.run()]

    assert found == [("crop", 1.0), ("squash", 1.0)]


def test_a_cancelled_comparison_ends_with_what_is_finished(warm_cache: Path, tmp_path: Path) -> None:
    album = tmp_path / "album.csv"
    album.write_text(f"path,label\n{PICTURES[0]},{species_of(PICTURES[0])}\n")
    several = combinations(Settings(cache_dir=str(warm_cache)), [DEMO_MODEL], ["crop", "squash"])

    with Comparison(several, open_source(str(album))) as comparison:
        found = []
        for one in comparison.run():
            found.append(one.settings.resize)
            comparison.cancel()

    assert found == ["crop"]
