"""A model on disk: a folder with the model, its labels and `model.json`, the card that vouches for them.

The store writes one for each model it downloads, `--model DIR` reads one. `model.json` is written last, so a folder
that has it is whole; a folder without it is no bundle.
"""

from __future__ import annotations

import os

from birdlite.errors import InvalidModel
from birdlite.local_file import reason
from birdlite.models.card import Card, FileFact, ModelBytes, ModelFormat, Tensor
from birdlite.models.verify import map_file, problem

CARD_FILE = "model.json"
MODEL_FILES: dict[ModelFormat, str] = {"tflite": "model.tflite", "onnx": "model.onnx"}
LABELS_FILE = "labels.csv"
NAMES_FILE = "names.txt"

CARD_SCHEMA = 1  # raised when an older birdlite could misread a newer card
CARD_MAX_BYTES = 1024 * 1024
HEX_DIGITS = frozenset("0123456789abcdef")


def card_to_json(card: Card) -> str:
    """The text of `model.json`."""
    import json  # a model from the catalogue has no card to read

    fields: dict[str, object] = {"schema": CARD_SCHEMA}
    for key, value in card._asdict().items():
        if isinstance(value, Tensor):
            fields[key] = value._asdict()
        elif key == "files":
            fields[key] = {name: fact._asdict() for name, fact in card.files.items()}
        else:
            fields[key] = value
    return json.dumps(fields, indent=2, ensure_ascii=False) + "\n"


def read_card(folder: str) -> Card:
    """The card of a bundle.

    Raises:
        InvalidModel: there is no `model.json`, or it is not a card that this version understands.
    """
    import json

    path = os.path.join(folder, CARD_FILE)
    try:
        with open(path, "rb") as file:
            data = file.read(CARD_MAX_BYTES + 1)
    except OSError as error:
        raise InvalidModel(f"{folder}: not a model bundle: {CARD_FILE}: {reason(error)}") from None
    if len(data) > CARD_MAX_BYTES:
        raise InvalidModel(f"{path}: larger than a card can be")
    try:
        return _card_from(json.loads(data))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidModel(f"{path}: not a model card: {type(error).__name__}: {str(error)[:100]}") from None


def look_in(folder: str, card: Card) -> tuple[dict[str, ModelBytes], dict[str, str]]:
    """The files of a card that are in a folder and right, and what is wrong with those that are there and wrong."""
    files: dict[str, ModelBytes] = {}
    problems: dict[str, str] = {}
    for name, fact in card.files.items():
        try:
            data = map_file(os.path.join(folder, name))
        except FileNotFoundError:
            continue
        except OSError as error:
            problems[name] = f"cannot be read ({reason(error)})"
            continue
        wrong = problem(data, fact)
        if wrong:
            problems[name] = wrong
        else:
            files[name] = data
    return files, problems


def faults_in(folder: str, card: Card) -> dict[str, str]:
    """What is wrong with each file of a card that is not in a folder as it must be, as a clause for a sentence."""
    files, problems = look_in(folder, card)
    return {name: problems.get(name, "missing") for name in card.files if name not in files}


def _card_from(fields: dict[str, object]) -> Card:
    """Build a card, strictly: whatever is missing or of the wrong type raises one of the four errors caught above."""
    if fields.get("schema") != CARD_SCHEMA:
        raise ValueError(f"schema {fields.get('schema')!r}, expected {CARD_SCHEMA}; a newer birdlite may read it")
    format_ = fields["format"]
    if format_ not in MODEL_FILES:
        raise ValueError(f"format {format_!r} is none of {', '.join(MODEL_FILES)}")
    files = {name: _fact_from(fact) for name, fact in _mapping(fields["files"]).items()}
    for name in files:
        if name != os.path.basename(name):
            raise ValueError(f"`files` lists {name!r}, which is not in the bundle's own folder")
    for name in (MODEL_FILES[format_], LABELS_FILE):
        if name not in files:
            raise ValueError(f"`files` does not list {name}")
    return Card(
        name=_string(fields["name"]),
        format=format_,
        input=_tensor_from(_mapping(fields["input"])),
        output=_tensor_from(_mapping(fields["output"])),
        files=files,
        source=_string(fields["source"]),
        licence=_string(fields.get("licence", "")),
        quantization=_string(fields.get("quantization", "none")),
        made_with={key: _string(value) for key, value in _mapping(fields.get("made_with", {})).items()},
        distance={key: float(str(value)) for key, value in _mapping(fields.get("distance", {})).items()},
    )


def _tensor_from(fields: dict[str, object]) -> Tensor:
    shape, dtype = fields["shape"], fields["dtype"]
    if not (isinstance(shape, list) and shape and all(type(size) is int for size in shape)):
        raise ValueError(f"shape {shape!r} is not a list of whole numbers")
    if dtype not in ("uint8", "int8", "float32"):
        raise ValueError(f"dtype {dtype!r}")
    return Tensor(tuple(shape), dtype, float(str(fields["scale"])), int(str(fields["zero_point"])))


def _fact_from(fields: object) -> FileFact:
    fact = _mapping(fields)
    size, digest = fact["bytes"], _string(fact["sha256"])
    if type(size) is not int or size <= 0 or len(digest) != 64 or not HEX_DIGITS.issuperset(digest):
        raise ValueError(f"no bytes and sha256 in {fact!r}")
    return FileFact(size, digest)


def _mapping(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise TypeError(f"{value!r} is not an object")
    return value


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a string")
    return value
