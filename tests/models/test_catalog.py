"""What the catalogue says of its models, held against the real files."""

from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from birdlite.convert.proof import REQUANTISED, bounds_of
from birdlite.demo import FOLDER, HOST
from birdlite.engines import describe
from birdlite.errors import UnknownModel
from birdlite.models.bounded_tar import member_of
from birdlite.models.bundle import CARD_FILE, LABELS_FILE, MODEL_FILES, card_to_json, problem, read_card
from birdlite.models.catalog import CATALOG, DEMO_MODEL, Entry, find
from birdlite.settings import DEFAULT_MODEL


@pytest.mark.parametrize("entry", CATALOG.values(), ids=list(CATALOG))
def test_every_file_has_a_source_and_a_checksum(entry: Entry) -> None:
    if entry.made_from is not None:
        return
    assert entry.sources.keys() == entry.card.files.keys()
    assert {MODEL_FILES[entry.card.format], LABELS_FILE} <= entry.card.files.keys()
    for sources in entry.sources.values():
        assert sources
        assert {urlsplit(source.url).scheme for source in sources} == {"https"}


@pytest.mark.parametrize("entry", [entry for entry in CATALOG.values() if entry.made_from], ids=lambda e: e.card.name)
def test_what_is_made_of_another_model_shares_its_labels_and_ends_and_says_what_it_was_made_of(entry: Entry) -> None:
    source, card = entry.made_from, entry.card
    assert source is not None
    assert source in CATALOG.values()
    assert source.made_from is None
    assert not entry.sources
    assert {name for name in card.files if card.files[name] != source.card.files.get(name)} == {"model.tflite"}
    assert (card.input, card.output) == (source.card.input, source.card.output)
    assert (card.source, card.licence) == (source.card.source, source.card.licence)
    assert card.made_with["source_sha256"] == source.card.files["model.tflite"].sha256
    assert bounds_of(card) is REQUANTISED


def test_the_demo_entry_describes_the_files_in_the_package() -> None:
    entry = find(DEMO_MODEL)

    assert entry.folder == FOLDER
    for name, fact in entry.card.files.items():
        data = (Path(FOLDER) / name).read_bytes()
        assert (fact.bytes, fact.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert describe((Path(FOLDER) / "model.tflite").read_bytes()) == (entry.card.input, entry.card.output)
    assert {urlsplit(source.url).hostname for sources in entry.sources.values() for source in sources} == {HOST}


def test_the_demo_in_the_package_is_a_model_folder_with_the_card_of_the_catalogue() -> None:
    # made by: python -m scripts.train_demo_model --card
    assert (Path(FOLDER) / CARD_FILE).read_text(encoding="utf-8") == card_to_json(find(DEMO_MODEL).card)
    assert read_card(FOLDER) == find(DEMO_MODEL).card


def test_an_unknown_name_lists_the_known_ones_and_the_nearest() -> None:
    known = "one of: birds-v1-lite, birds-v1-lite-int8, birdlite-demo"
    with pytest.raises(UnknownModel, match=f"{known}$"):
        find("robins")
    with pytest.raises(UnknownModel, match=rf"{known}; did you mean birds-v1-lite\?$"):
        find("birds-v1-lit")


@pytest.mark.birds
def test_the_birds_entry_describes_the_real_files_wherever_they_are(birds: Path) -> None:
    entry = find(DEFAULT_MODEL)
    found = 0

    for name, sources in entry.sources.items():
        for source in sources:
            address = urlsplit(source.url)
            path = birds / "mirror" / (address.hostname or "") / address.path.lstrip("/")
            if not path.is_file():
                continue
            data = path.read_bytes()
            if source.member:
                data = member_of(data, source.member, entry.card.files[name].bytes)
            assert problem(data, entry.card.files[name]) is None, source.url
            found += 1
    assert found >= len(entry.sources) + 1  # the model lies there twice, plain and packed


@pytest.mark.birds
def test_the_birds_entry_describes_the_real_tensors(birds: Path) -> None:
    entry = find(DEFAULT_MODEL)
    address = urlsplit(entry.sources["model.tflite"][0].url)
    data = (birds / "mirror" / (address.hostname or "") / address.path.lstrip("/")).read_bytes()

    assert describe(data) == (entry.card.input, entry.card.output)
