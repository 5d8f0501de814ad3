"""A model into another format, proven equal: read, convert, run both on the same pictures. For the CLI.

The proof is part of the result. Its figures go into the card; beyond a bound it says so, and nothing should be written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

from birdlite import __version__, engines, log
from birdlite.convert import tflite_to_onnx as converter
from birdlite.convert.compare import Bounds, Distance, beyond, compare
from birdlite.convert.optimised import optimised
from birdlite.convert.tflite_to_onnx import Quantize
from birdlite.convert.unrounded import unrounded
from birdlite.errors import InvalidModel
from birdlite.models.bundle import LABELS_FILE, MODEL_FILES, NAMES_FILE
from birdlite.models.card import Card, FileFact, ModelBytes, Tensor
from birdlite.models.labels import Labels
from birdlite.models.model import Model

# How far a result may be from its source. The source rounds at every layer, so the same network in floating point lies
# up to 0.066 away on photographs (measured on the official model). With the source's own ranges it rounds alike: half
# of the pictures agree to one step of the output, 1/256; a sum halfway between two values moves the worst by 0.027.
BOUNDS: dict[Quantize, Bounds] = {"none": Bounds(0.07, 0.07, 1.0), "int8": Bounds(0.1, 1 / 256, 0.9)}

# In floating point the distance to the source is too wide to show a dropped bias (0.069). So the result is also held
# against the same network made the other way, by taking the rounding out of the int8 one: 0.016 apart, and 0.056 with
# the bias gone.
FLOAT_BOUNDS = Bounds(0.03, 0.03, 1.0)


class Conversion(NamedTuple):
    """A converted model that has not been written yet, and how far it is from its source."""

    card: Card
    files: dict[str, ModelBytes]
    distance: Distance  # to the source
    float_distance: Distance | None  # of a floating-point result to the int8 one without its rounding
    problem: str | None  # in which way they are beyond the bounds, or None


def convert(model: Model, quantize: Quantize, pictures: Iterable[bytes]) -> Conversion:
    """Convert a TensorFlow Lite model to ONNX and compare the two on `pictures` (uint8 RGB, [side, side, 3]).

    Raises:
        InvalidModel: the model cannot be converted.
        EngineMissing: what converting or running ONNX takes is not installed.
    """
    if model.card.format != "tflite":
        raise InvalidModel(f"{model.card.name} is {model.card.format} already")
    log.info(f"converting {model.card.name} to ONNX ({_spell(quantize)})")
    data = optimised(converter.tflite_to_onnx(bytes(model.data), quantize=quantize))
    card, files = _bundle(model, data, quantize)
    log.info("comparing both on the same pictures")
    shown = list(pictures)
    distance = _distance((model.data, model.card), (data, card), shown)
    problem = beyond(distance, BOUNDS[quantize])
    float_distance = None
    if quantize == "none":
        other = unrounded(converter.tflite_to_onnx(bytes(model.data), quantize="int8"))
        float_distance = _distance((other, card), (data, card), shown)
        problem = problem or beyond(float_distance, FLOAT_BOUNDS)
    return Conversion(_with_distances(card, distance, float_distance), files, distance, float_distance, problem)


def distance_between(reference: Model, result: Model, pictures: Iterable[bytes]) -> Distance:
    """How far `result` is from `reference` on `pictures`: the proof of a conversion, repeated.

    Raises:
        InvalidModel: they do not have the same classes, or not the same size of picture.
        EngineError: one of them cannot be run.
    """
    if (reference.card.side, reference.labels.names) != (result.card.side, result.labels.names):
        raise InvalidModel(f"{result.card.name} and {reference.card.name} are models of different things")
    return _distance((reference.data, reference.card), (result.data, result.card), list(pictures))


def bounds_of(card: Card) -> Bounds | None:
    """What a converted model was held to when it was made; None for any other model."""
    if "source_sha256" not in card.made_with:
        return None
    return BOUNDS["int8" if card.quantization == "int8" else "none"]


def _distance(reference: tuple[ModelBytes, Card], result: tuple[ModelBytes, Card], pictures: list[bytes]) -> Distance:
    engine = engines.load(*reference)
    other = engines.load(*result)
    try:
        return compare(engine, other, pictures)
    finally:
        engine.close()
        other.close()


def _with_distances(card: Card, distance: Distance, float_distance: Distance | None) -> Card:
    figures = {key: round(float(value), 6) for key, value in distance._asdict().items()}
    if float_distance is not None:
        figures |= {f"float_{key}": round(float(value), 6) for key, value in float_distance._asdict().items()}
    return card._replace(distance=figures)


def _bundle(model: Model, data: bytes, quantize: Quantize) -> tuple[Card, dict[str, ModelBytes]]:
    """The card, still without a distance, and the files."""
    files: dict[str, ModelBytes] = {MODEL_FILES["onnx"]: data, LABELS_FILE: _label_map(model.labels)}
    if any(model.labels.common):
        files[NAMES_FILE] = _name_list(model.labels)
    source = model.card
    card = source._replace(
        name=f"{source.name}-onnx" + ("" if quantize == "none" else f"-{quantize}"),
        format="onnx",
        input=Tensor((-1, source.side, source.side, 3), "uint8"),
        output=Tensor((-1, source.classes), "float32"),
        files={name: FileFact(len(content), hashlib.sha256(content).hexdigest()) for name, content in files.items()},
        quantization=quantize,
        made_with={"birdlite": __version__, **_versions(), "source_sha256": model.sha256},
        distance={},
    )
    return card, files


def _label_map(labels: Labels) -> bytes:
    """A label map in the form that `read_labels` reads."""
    import csv
    import io

    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("id", "name"))
    rows.writerows(enumerate(labels.names))
    return text.getvalue().encode()


def _name_list(labels: Labels) -> bytes:
    lines = (f"{name} ({common})" if common else name for name, common in zip(labels.names, labels.common, strict=True))
    return "".join(f"{line}\n" for line in lines).encode()


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {package: version(package) for package in ("onnx", "onnxruntime", "tflite", "numpy")}


def _spell(quantize: Quantize) -> str:
    return "floating point" if quantize == "none" else quantize
