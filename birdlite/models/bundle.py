"""A model on disk is a bundle: a folder with the model, its labels and `model.json`, the card with their checksums.

The store writes one for each model it downloads, `--model DIR` reads one. `model.json` is written last, so a folder
that has it is whole; a folder without it is not a bundle. Every file is checked against the card before it is loaded;
the checked files make a `Model`.
"""

from __future__ import annotations

import hashlib
import mmap
import os

from birdlite.errors import InvalidModel
from birdlite.local_file import reason
from birdlite.models.card import Card, FileFact, ModelBytes, ModelFormat, Tensor
from birdlite.models.labels import Labels, read_labels
from birdlite.namedtuple import NamedTuple

CARD_FILE = "model.json"
MODEL_FILES: dict[ModelFormat, str] = {"tflite": "model.tflite", "onnx": "model.onnx"}
LABELS_FILE = "labels.csv"
NAMES_FILE = "names.txt"

CARD_SCHEMA = 1  # raised when an older birdlite could misread a newer card
CARD_MAX_BYTES = 1024 * 1024
HEX_DIGITS = frozenset("0123456789abcdef")


class Model(NamedTuple):
    """A verified model, in memory or mapped."""

    card: Card
    data: ModelBytes
    labels: Labels
    folder: str | None  # its bundle on disk, or None for one that is in memory only

    @property
    def sha256(self) -> str:
        """Of the model file, 64 hexadecimal digits."""
        return self.card.files[MODEL_FILES[self.card.format]].sha256


def model_of(card: Card, files: dict[str, ModelBytes], folder: str | None) -> Model:
    """The model of a card and its verified files.

    Raises:
        InvalidModel: its labels do not fit it.
    """
    return Model(card, files[MODEL_FILES[card.format]], labels_of(card, files), folder)


def labels_of(card: Card, files: dict[str, ModelBytes]) -> Labels:
    """The labels among a card's files.

    Raises:
        InvalidModel: they do not fit the model.
    """
    names = files.get(NAMES_FILE)
    return read_labels(bytes(files[LABELS_FILE]), None if names is None else bytes(names), card.classes)


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


def sha256(data: ModelBytes | mmap.mmap) -> str:
    """64 hexadecimal digits; the GIL is released meanwhile. 3.5 MB take 2 ms with SHA instructions, 10 ms without."""
    return hashlib.sha256(data).hexdigest()


def problem(data: ModelBytes | mmap.mmap, fact: FileFact) -> str | None:
    """What is wrong with `data`, as the rest of a sentence about the file; None if nothing is."""
    if len(data) != fact.bytes:
        return f"has {len(data):,} bytes instead of {fact.bytes:,}"
    found = sha256(data)
    return None if found == fact.sha256 else f"has sha256 {found[:12]}… instead of {fact.sha256[:12]}…"


def map_file(path: str) -> memoryview:
    """A file's bytes, mapped and not read. They stay what was verified when the file is replaced.

    The map lives as long as the view. It is writable, so that a pointer into it can be taken without a copy.

    Raises:
        OSError: the file cannot be opened.
    """
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            return memoryview(b"")  # an empty file cannot be mapped
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))


def look_in(folder: str, card: Card) -> tuple[dict[str, ModelBytes], dict[str, str]]:
    """The card's correct files in a folder, and what is wrong with each incorrect one."""
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
    """What is wrong with each of the card's files in a folder, missing ones included."""
    files, problems = look_in(folder, card)
    return {name: problems.get(name, "missing") for name in card.files if name not in files}


def _card_from(fields: dict[str, object]) -> Card:
    """Build a card, strictly: whatever is missing or of the wrong type raises one of the four errors caught above."""
    if fields.get("schema") != CARD_SCHEMA:
        raise ValueError(f"schema {fields.get('schema')!r}, expected {CARD_SCHEMA}; a newer birdlite may read it")
    format_ = fields["format"]
    if format_ not in MODEL_FILES:
        raise ValueError(f"format {format_!r} is not one of {', '.join(MODEL_FILES)}")
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
