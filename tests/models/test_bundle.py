"""The card on disk: what is written is read back, and what is no card is refused with a reason."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from birdlite.errors import InvalidModel
from birdlite.models.bundle import card_to_json, faults_in, look_in, read_card, sha256
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
    (["output", "scale"], "wide", "'wide' is not a number"),
    (["output", "scale"], float("nan"), "NaN is not a number"),
    (["output", "scale"], 10**400, "is not a number"),
    (["output", "scale"], True, "True is not a number"),
    (["output", "zero_point"], 1.5, "the zero point 1.5 is not a whole number"),
    (["distance", "max"], float("-inf"), "-Infinity is not a number"),
    (["output", "zero_point"], 10**30, "is not a whole number"),
    (["output", "shape"], [1, 10**30], "not a list of whole numbers"),
    (["input", "shape"], [1] * 9, "not a list of whole numbers"),
    (["input", "shape"], [1, 224.5, 224.5, 3], "not a list of whole numbers"),
    (["input", "dtype"], ["uint8"], "dtype"),
    (["files", ".."], {"bytes": 1, "sha256": "a" * 64}, "not in the bundle's own folder"),
    (["files", "a\0b"], {"bytes": 1, "sha256": "a" * 64}, "has control characters"),
    (["files", "model.tflite", "bytes"], 1 << 40, "no bytes and sha256"),
    (["files", "labels.csv", "bytes"], 1 << 25, "no bytes and sha256"),
    (["files"], {f"file {n}": {"bytes": 1, "sha256": "a" * 64} for n in range(100)}, "`files` lists 100 files"),
    (["name"], "a\nb", "'a\\nb' has control characters"),
    (["name"], "\ud800", "surrogates not allowed"),
    (["source"], "s" * 100_000, "a text of 100,000 characters"),
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


IMPOSSIBLE: list[tuple[list[str], object, str]] = [
    (["input", "shape"], [1, -224, -224, 3], "the model takes uint8 [1, -224, -224, 3]"),
    (["input", "shape"], [1, 0, 0, 3], "the model takes uint8 [1, 0, 0, 3]"),
    (["input", "shape"], [1, 224, 225, 3], "only uint8 [1, side, side, 3] can be run"),
    (["input", "shape"], [1, 60_000, 60_000, 3], "a side has at most 2048 px"),
    (["input", "shape"], [10**9, 224, 224, 3], "only one at a time can be run"),
    (["input", "dtype"], "float32", "the model takes float32 [1, 224, 224, 3]"),
    (["output", "shape"], [1, -1], "the model gives uint8 [1, -1]"),
    (["output", "shape"], [1, 10**12], "at most 1000000 classes can be read"),
    (["output", "shape"], [5], "only [1, classes] can be read"),
    (["output", "zero_point"], 256, "no tensor can be uint8 [1, 5] (scale 0.00390625, zero point 256)"),
    (["output", "scale"], 0, "no tensor can be"),
    (["output", "scale"], -1.5, "no tensor can be"),
]


@pytest.mark.parametrize(("path", "value", "complaint"), IMPOSSIBLE)
def test_a_card_of_tensors_that_no_engine_runs_is_refused_before_the_model_is_read(
    tmp_path: Path, fields: dict[str, Any], path: list[str], value: object, complaint: str
) -> None:
    fields[path[0]][path[1]] = value

    with pytest.raises(InvalidModel) as caught:
        read_card(write(tmp_path, fields))

    assert complaint in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "model.json"))


NO_CARDS = {
    "empty": b"",
    "half an object": b"{",
    "a list": b"[]",
    "null": b"null",
    "a text": b'"card"',
    "a NUL": b"\0",
    "an empty object": b"{}",
    "lists in lists": b"[" * 100_000,
    "objects in objects": b'{"schema":' * 20_000,
    "not UTF-8": b'{"schema": "\xff"}',
    "a number of 10,000 digits": b'{"schema": ' + b"9" * 10_000 + b"}",
    "a key twice": b'{"schema": 1, "schema": 1}',
}


@pytest.mark.parametrize("what", NO_CARDS)
def test_a_file_that_is_no_card_is_refused_in_one_short_line(tmp_path: Path, what: str) -> None:
    (tmp_path / "model.json").write_bytes(NO_CARDS[what])

    with pytest.raises(InvalidModel, match="not a model card") as caught:
        read_card(str(tmp_path))

    assert len(str(caught.value).removeprefix(str(tmp_path))) < 250
    assert "\n" not in str(caught.value)


def test_a_card_of_absurd_size_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_bytes(b" " * (256 * 1024 + 1))

    with pytest.raises(InvalidModel, match="larger than a card can be"):
        read_card(str(tmp_path))


def test_a_pipe_in_place_of_a_card_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.json")

    with pytest.raises(InvalidModel, match=r"not a model bundle: model\.json: not a regular file"):
        read_card(str(tmp_path))


@pytest.mark.parametrize("name", ["model.tflite", "labels.csv"])
def test_a_pipe_in_place_of_a_file_is_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)

    assert faults_in(str(tmp_path), CARD)[name] == "cannot be read (not a regular file)"


def test_a_file_larger_than_its_card_says_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "model.tflite").open("wb") as file:
        file.truncate(1 << 40)

    assert faults_in(str(tmp_path), CARD)["model.tflite"] == "has more than 10 bytes"


def test_a_model_stays_what_was_checked_when_its_file_is_overwritten_and_cut_off(tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(b"0123456789")
    card = CARD._replace(files={"model.tflite": FileFact(10, sha256(b"0123456789"))})
    files, problems = look_in(str(tmp_path), card)

    with (tmp_path / "model.tflite").open("r+b") as file:
        file.write(b"x")
        file.truncate(1)

    assert bytes(files["model.tflite"]) == b"0123456789"
    assert problems == {}
