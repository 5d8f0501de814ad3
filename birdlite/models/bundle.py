"""A model on disk is a bundle: a folder with the model, its labels and `model.json`, the card with their checksums.

The store writes one for each model it downloads, `--model DIR` reads one. `model.json` is written last, so a folder
that has it is whole; a folder without it is not a bundle. Every file is checked against the card before it is loaded;
the checked files make a `Model`. Files are read, not mapped: a mapped one that is overwritten in place changes after
the check, and one that is cut off kills the process.
"""

from __future__ import annotations

import hashlib
import math
import os

from birdlite import log
from birdlite.errors import InvalidModel, one_line
from birdlite.local_file import read_bounded, reason
from birdlite.models.card import MODEL_MAX_BYTES, Card, FileFact, ModelBytes, ModelFormat, Tensor, check_ends, read_file
from birdlite.models.labels import LABELS_MAX_BYTES, Labels, read_labels
from birdlite.namedtuple import NamedTuple

CARD_FILE = "model.json"
MODEL_FILES: dict[ModelFormat, str] = {"tflite": "model.tflite", "onnx": "model.onnx"}
LABELS_FILE = "labels.csv"
NAMES_FILE = "names.txt"

CARD_SCHEMA = 1  # raised when an older birdlite could misread a newer card
CHECKED = (
    "On every load birdlite compares bytes and sha256 of everything in files. Nothing here vouches for this card: "
    "keep its folder where only you can write, or name its sha256 with --model-sha256."
)
"""What a card says of itself, for people who open it."""

CARD_MAX_BYTES = 256 * 1024  # 100 times the card of the birds
TEXT_MAX_CHARACTERS = 2000  # of a name or a URL in it
DIMENSIONS_MAX = 8
FILES_MAX = 16
HEX_DIGITS = frozenset("0123456789abcdef")


class Model(NamedTuple):
    """A verified model in memory."""

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

    fields: dict[str, object] = {"schema": CARD_SCHEMA, "checked": CHECKED}
    for key, value in card._asdict().items():
        if isinstance(value, Tensor):
            fields[key] = value._asdict()
        elif key == "files":
            fields[key] = {name: fact._asdict() for name, fact in card.files.items()}
        else:
            fields[key] = value
    return json.dumps(fields, indent=2, ensure_ascii=False) + "\n"


def read_card(folder: str, pinned: str | None = None) -> Card:
    """The card of a bundle. With `pinned`, its sha256 must be that.

    Raises:
        InvalidModel: there is no `model.json`, or it is not a card that this version understands, or another one.
    """
    import json

    path = os.path.join(folder, CARD_FILE)
    data = card_bytes(folder)
    if pinned is not None:
        check_pinned(path, sha256(data), pinned)
    try:
        card = _card_from(json.loads(data, parse_constant=_no_number, object_pairs_hook=_object))
        check_ends(card.input, card.output)
    except RecursionError:
        raise InvalidModel(f"{path}: not a model card: nested too deeply") from None
    except InvalidModel as error:
        raise InvalidModel(f"{path}: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidModel(f"{path}: not a model card: {type(error).__name__}: {one_line(error)}") from None
    return card


def check_pinned(path: str, found: str, pinned: str) -> None:
    """Check the sha256 of a file against the one that the user named.

    Raises:
        InvalidModel: it is another one.
    """
    if found != pinned:
        raise InvalidModel(f"{path} has sha256 {found} instead of {pinned}, which --model-sha256 names")


def card_bytes(folder: str) -> bytes:
    """The file of a bundle's card.

    Raises:
        InvalidModel: it cannot be read, or is too large.
    """
    called = f"{folder}: not a model bundle: {CARD_FILE}"
    return read_file(os.path.join(folder, CARD_FILE), CARD_MAX_BYTES, "a card", called=called)


def sha256(data: ModelBytes) -> str:
    """64 hexadecimal digits; the GIL is released meanwhile. 3.5 MB take 2 ms with SHA instructions, 10 ms without."""
    return hashlib.sha256(data).hexdigest()


def problem(data: ModelBytes, fact: FileFact) -> str | None:
    """What is wrong with `data`, as the rest of a sentence about the file; None if nothing is."""
    if len(data) != fact.bytes:
        return f"has {log.counted(len(data), 'byte')} instead of {fact.bytes:,}"
    found = sha256(data)
    return None if found == fact.sha256 else f"has sha256 {found[:12]}… instead of {fact.sha256[:12]}…"


def look_in(folder: str, card: Card) -> tuple[dict[str, ModelBytes], dict[str, str]]:
    """The card's correct files in a folder, and what is wrong with each incorrect one."""
    files: dict[str, ModelBytes] = {}
    problems: dict[str, str] = {}
    for name, fact in card.files.items():
        try:
            data = read_bounded(os.path.join(folder, name), fact.bytes)
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            problems[name] = f"cannot be read ({reason(error)})"
            continue
        wrong = f"has more than {fact.bytes:,} bytes" if data is None else problem(data, fact)
        if data is None or wrong:
            problems[name] = wrong or ""
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
    facts = _mapping(fields["files"])
    if len(facts) > FILES_MAX:
        raise ValueError(f"`files` lists {log.counted(len(facts), 'file')}")
    for name in facts:
        if name != os.path.basename(name) or name in ("", ".", ".."):
            raise ValueError(f"`files` lists {_shown(name)}, which is not in the bundle's own folder")
    for name in (MODEL_FILES[format_], LABELS_FILE):
        if name not in facts:
            raise ValueError(f"`files` does not list {name}")
    files = {_string(name): _fact_from(fact, _largest(name)) for name, fact in facts.items()}
    return Card(
        name=_string(fields["name"]),
        format=format_,
        input=_tensor_from(_mapping(fields["input"])),
        output=_tensor_from(_mapping(fields["output"])),
        files=files,
        source=_string(fields["source"]),
        licence=_string(fields.get("licence", "")),
        quantization=_string(fields.get("quantization", "none")),
        made_with={_string(key): _string(value) for key, value in _mapping(fields.get("made_with", {})).items()},
        distance={_string(key): _number(value) for key, value in _mapping(fields.get("distance", {})).items()},
    )


def _tensor_from(fields: dict[str, object]) -> Tensor:
    shape, dtype = fields["shape"], fields["dtype"]
    if not (isinstance(shape, list) and 0 < len(shape) <= DIMENSIONS_MAX and all(map(_is_whole, shape))):
        raise ValueError(f"shape {_shown(shape)} is not a list of whole numbers")
    if dtype not in ("uint8", "int8", "float32"):
        raise ValueError(f"dtype {_shown(dtype)}")
    zero_point = fields["zero_point"]
    if not _is_whole(zero_point):
        raise TypeError(f"the zero point {_shown(zero_point)} is not a whole number")
    return Tensor(tuple(shape), dtype, _number(fields["scale"]), int(str(zero_point)))


def _fact_from(fields: object, max_bytes: int) -> FileFact:
    fact = _mapping(fields)
    size, digest = fact["bytes"], _string(fact["sha256"])
    if type(size) is not int or not 0 < size <= max_bytes or len(digest) != 64 or not HEX_DIGITS.issuperset(digest):
        raise ValueError(f"no bytes and sha256 in {_shown(fact)}")
    return FileFact(size, digest)


def _largest(name: str) -> int:
    """How many bytes a file of a bundle may have."""
    return MODEL_MAX_BYTES if name in MODEL_FILES.values() else LABELS_MAX_BYTES


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object of JSON, whose keys must differ: readers do not agree which of two counts."""
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a key appears twice")
    return fields


def _no_number(constant: str) -> float:
    """JSON has no NaN and no Infinity, though Python reads them."""
    raise ValueError(f"{constant} is not a number")


def _is_whole(value: object) -> bool:
    """Whether it is a whole number of a size that other programs can store."""
    return type(value) is int and abs(value) < 1 << 63


def _number(value: object) -> float:
    if type(value) not in (int, float) or not math.isfinite(number := float(str(value))):
        raise TypeError(f"{_shown(value)} is not a number")
    return number


def _mapping(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise TypeError(f"{_shown(value)} is not an object")
    return value


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{_shown(value)} is not a string")
    if len(value) > TEXT_MAX_CHARACTERS:
        raise ValueError(f"a text of {len(value):,} characters")
    if any(character < " " for character in value):
        raise ValueError(f"{_shown(value)} has control characters")
    value.encode()  # a ValueError for half a character, which no output can have
    return value


def _shown(value: object) -> str:
    """The beginning of a value, for a message."""
    return repr(value)[:60]
