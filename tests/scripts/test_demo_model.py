"""The demo model that the package ships: it knows its invented birds, on drawings that it never saw."""

from __future__ import annotations

import csv
import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from birdlite import engines
from birdlite.engines.contract import Engine
from birdlite.images.picture import decode
from birdlite.models.bundle import faults_in, read_card
from birdlite.models.card import Card, Tensor
from birdlite.settings import Resize
from scripts import train_demo_model
from scripts.demo_birds import BACKGROUND, SPECIES, draw
from scripts.demo_pictures import (
    EXIF_ORIENTATION,
    HELD_OUT,
    PORTRAITS,
    PORTRAITS_SHIPPED,
    SHOWN_TURNED_CLOCKWISE,
    TRAINING,
    VALIDATION,
    photograph,
)

REPO = Path(__file__).parents[2]
DEMO = REPO / "birdlite" / "demo"
PICTURES = sorted(path.name for path in (DEMO / "pictures").iterdir())
REAL_LABELS = REPO.parent / "shared/birds/mirror/www.gstatic.com/aihub/tfhub/labelmaps/aiy_birds_V1_labelmap.csv"
REAL_NAMES = (
    REPO.parent / "shared/birds/mirror/raw.githubusercontent.com/google-coral/test_data/master/inat_bird_labels.txt"
)

CARD = Card(
    name="demo",
    format="tflite",
    input=Tensor((1, 224, 224, 3), "uint8", 1 / 128, 128),
    output=Tensor((1, BACKGROUND + 1), "uint8", 1 / 256, 0),
    files={},
    source="scripts/train_demo_model.py",
)
EACH = 18  # held-out pictures of every species and of the background
# The script reports above 99 % on all 1,400 held-out pictures. A model of 99 % falls below 95 % on one sample of 126 in
# 3,300; one that has lost its way is far below: 71 % with red and blue swapped, 77 % with pixels at half their value,
# 40 % with channels in planes.
ENOUGH = 0.95


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    loaded = engines.load((DEMO / "model.tflite").read_bytes(), CARD)
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def unseen() -> list[tuple[int, bytes]]:
    return [(species, photograph(species, seed)) for seed in HELD_OUT[:EACH] for species in range(BACKGROUND + 1)]


def best(engine: Engine, data: bytes, resize: Resize) -> int:
    (scores,) = engine.run(decode(data, resize=resize).pixels)
    return max(range(len(scores)), key=scores.__getitem__)


@pytest.mark.parametrize("resize", ["crop", "squash"])
def test_unseen_drawings_get_the_right_species(engine: Engine, unseen: list[tuple[int, bytes]], resize: Resize) -> None:
    right = [species for species, data in unseen if best(engine, data, resize) == species]

    assert len(right) >= ENOUGH * len(unseen)
    assert min(right.count(species) for species in range(BACKGROUND + 1)) >= 0.8 * EACH


@pytest.mark.parametrize("resize", ["crop", "squash", "exact"])
@pytest.mark.parametrize("name", PICTURES)
def test_a_shipped_picture_gets_the_species_it_is_named_for(engine: Engine, name: str, resize: Resize) -> None:
    species = best(engine, (DEMO / "pictures" / name).read_bytes(), resize)

    assert SPECIES[species].common.lower().replace(" ", "-") == Path(name).stem


def test_every_invented_bird_has_one_shipped_picture() -> None:
    assert sorted(portrait.file_name for portrait in PORTRAITS_SHIPPED) == PICTURES
    assert sorted(portrait.species for portrait in PORTRAITS_SHIPPED) == list(range(BACKGROUND))


def test_the_shipped_pictures_show_what_birdlite_must_cope_with() -> None:
    formats, sizes, orientations = set(), set(), set()
    for name in PICTURES:
        with Image.open(DEMO / "pictures" / name) as picture:
            formats.add(picture.format)
            sizes.add(picture.size)
            orientations.add(picture.getexif().get(EXIF_ORIENTATION))

    assert formats == {"JPEG", "PNG"}
    assert len(sizes) >= 5
    assert SHOWN_TURNED_CLOCKWISE in orientations


def test_the_demo_is_a_small_part_of_the_package() -> None:
    assert (DEMO / "model.tflite").stat().st_size < 100_000
    assert sum((DEMO / "pictures" / name).stat().st_size for name in PICTURES) < 200_000


def test_the_command_that_makes_the_model_writes_its_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("model.tflite", "labels.csv", "names.txt"):
        shutil.copy(DEMO / name, tmp_path)

    train_demo_model.main(["--card", str(tmp_path)])
    assert (tmp_path / "model.json").read_bytes() == (DEMO / "model.json").read_bytes()
    assert "catalog.py" not in capsys.readouterr().out

    (tmp_path / "model.tflite").write_bytes(b"trained anew")
    train_demo_model.main(["--card", str(tmp_path)])
    assert faults_in(str(tmp_path), read_card(str(tmp_path))) == {}
    assert "catalog.py has other files of birdlite-demo; put these there" in capsys.readouterr().out


def test_no_drawing_is_for_two_purposes() -> None:
    purposes = [TRAINING, VALIDATION, HELD_OUT, PORTRAITS]

    assert not any(set(a) & set(b) for a, b in itertools.combinations(purposes, 2))
    assert all(portrait.seed in PORTRAITS for portrait in PORTRAITS_SHIPPED)


@pytest.mark.parametrize("species", range(BACKGROUND + 1))
def test_a_drawing_is_a_function_of_species_seed_and_size(species: int) -> None:
    first = draw(species, 7, (120, 90))
    draw(species, 8, (120, 90))

    assert draw(species, 7, (120, 90)).tobytes() == first.tobytes()
    assert draw(species, 8, (120, 90)).tobytes() != first.tobytes()


def test_label_ids_are_those_of_the_model_with_background_last_by_id_and_first_by_row() -> None:
    with (DEMO / "labels.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)

    assert header == ["id", "name"]
    assert rows[0] == [str(BACKGROUND), "background"]
    assert sorted(int(key) for key, _ in rows) == list(range(BACKGROUND + 1))
    assert {int(key): name for key, name in rows[1:]} == {i: bird.scientific for i, bird in enumerate(SPECIES)}


def test_common_names_stand_in_the_order_of_the_ids() -> None:
    *birds, last = (DEMO / "names.txt").read_text(encoding="utf-8").splitlines()

    assert birds == [f"{bird.scientific} ({bird.common})" for bird in SPECIES]
    assert last == "background"


@pytest.mark.birds
def test_no_invented_name_is_that_of_a_real_bird() -> None:
    if not REAL_LABELS.is_file():
        pytest.skip("../shared/birds is not here")
    real = (REAL_LABELS.read_text(encoding="utf-8") + REAL_NAMES.read_text(encoding="utf-8")).casefold()

    for bird in SPECIES:
        genus, _ = bird.scientific.split()
        assert genus.casefold() not in real
        assert bird.common.split()[-1].casefold() not in real
