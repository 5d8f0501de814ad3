"""The card on disk: what is written is read back, and what is no card is refused with a reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from birdlite.errors import InvalidModel
from birdlite.models.bundle import card_to_json, read_card
from birdlite.models.card import Card, FileFact, Tensor

CARD = Card(
    name="magpie",
    format="tflite",
    input=Tensor((1, 224, 224, 3), "uint8", 0.0078125, 128),
    output=Tensor((1, 5), "uint8", 0.00390625, 0),
    files={"model.tflite": FileFact(10, "a" * 64), "labels.csv": FileFact(20, "b" * 64)},
    source="https://example.org/é",
    licence="Apache-2.0",
    quantization="uint8",
    made_with={"tool": "1.2"},
    distance={"max": 0.25},
)


def write(folder: Path, fields: object) -> str:
    (folder / "model.json").write_text(json.dumps(fields))
    return str(folder)


@pytest.fixture
def fields() -> dict[str, Any]:
    """The good card as JSON, for tests to spoil."""
    return json.loads(card_to_json(CARD))  # type: ignore[no-any-return]


def test_a_card_survives_the_way_to_disk_and_back(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text(card_to_json(CARD), encoding="utf-8")

    assert read_card(str(tmp_path)) == CARD


def test_a_card_knows_its_classes_and_its_side() -> None:
    assert (CARD.classes, CARD.side) == (5, 224)


def test_a_folder_without_a_card_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(InvalidModel, match=r"not a model bundle: model.json: no such file"):
        read_card(str(tmp_path))


SPOILED: list[tuple[list[str], object, str]] = [
    (["schema"], 2, "schema 2, expected 1; a newer birdlite may read it"),
    (["format"], "pickle", "format 'pickle' is not one of tflite, onnx"),
    (["files"], {}, "does not list model.tflite"),
    (["files"], {"../../etc/passwd": {"bytes": 1, "sha256": "a" * 64}}, "not in the bundle's own folder"),
    (["files", "model.tflite", "sha256"], "XYZ", "no bytes and sha256"),
    (["files", "model.tflite", "bytes"], True, "no bytes and sha256"),
    (["files", "model.tflite", "bytes"], -1, "no bytes and sha256"),
    (["input", "shape"], "224", "not a list of whole numbers"),
    (["input", "shape"], [], "not a list of whole numbers"),
    (["input", "dtype"], "float16", "dtype 'float16'"),
    (["output", "scale"], "wide", "could not convert"),
    (["name"], 7, "7 is not a string"),
    (["output"], None, "None is not an object"),
    (["made_with"], ["tool"], "is not an object"),
]


@pytest.mark.parametrize(("path", "value", "complaint"), SPOILED)
def test_a_card_with_a_wrong_field_is_refused(
    tmp_path: Path, fields: dict[str, Any], path: list[str], value: object, complaint: str
) -> None:
    place = fields
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value

    with pytest.raises(InvalidModel, match="not a model card") as caught:
        read_card(write(tmp_path, fields))

    assert complaint in str(caught.value)


@pytest.mark.parametrize("missing", ["schema", "format", "files", "name", "input", "output", "source"])
def test_a_card_that_lacks_a_field_is_refused(tmp_path: Path, fields: dict[str, Any], missing: str) -> None:
    del fields[missing]

    with pytest.raises(InvalidModel, match="not a model card"):
        read_card(write(tmp_path, fields))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"card"', "\x00", "{}"])
def test_a_file_that_is_no_card_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "model.json").write_text(text)

    with pytest.raises(InvalidModel, match="not a model card"):
        read_card(str(tmp_path))


def test_a_card_of_absurd_size_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_bytes(b" " * (1024 * 1024 + 1))

    with pytest.raises(InvalidModel, match="larger than a card can be"):
        read_card(str(tmp_path))
