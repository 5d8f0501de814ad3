"""A `.tflite` classifier to ONNX or to a faster `.tflite`, proven equal. For `birdlite convert`.

`birdlite model verify --against` repeats the proof.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing

from birdlite import engines, log
from birdlite.convert import tflite_to_onnx as converter
from birdlite.convert.bounds import AS_PUBLISHED, REQUANTISED, SAME_GRIDS, TWO_WAYS
from birdlite.convert.compare import Distance, compare
from birdlite.convert.conversion import Conversion, Quantize, Subject, bundle, concluded, spell
from birdlite.convert.float16 import halved
from birdlite.convert.onnx_graph import require
from birdlite.convert.optimised import optimised
from birdlite.convert.unrounded import unrounded
from birdlite.errors import InvalidModel
from birdlite.models.bundle import Model
from birdlite.tflite.requantize import tflite_to_int8

_PACKAGES = ("onnx", "onnxruntime", "numpy")


def check() -> None:
    """Check before the download that everything for ONNX is installed.

    Raises:
        EngineMissing: a package is not installed.
    """
    require(*converter.PACKAGES, "onnxruntime")


def convert_tflite(model: Model, quantize: Quantize, pictures: Sequence[bytes]) -> Conversion:
    """Convert a TensorFlow Lite model to ONNX and compare the two on `pictures` (uint8 RGB, [side, side, 3]).

    Raises:
        InvalidModel: the model cannot be converted.
        EngineMissing: a package for converting or running ONNX is not installed.
    """
    if model.card.format != "tflite":
        raise InvalidModel(f"{model.card.name} is {model.card.format} already")
    log.info(f"converting {model.card.name} to ONNX ({spell(quantize)})")
    source = bytes(model.data)
    data = optimised(converter.tflite_to_onnx(source, quantize="int8" if quantize == "int8" else "none"))
    if quantize == "float16":
        data = halved(data)
    made = bundle(_subject(model), data, "onnx", quantize, _PACKAGES)
    log.info(f"comparing on {len(pictures)} pictures")
    with closing(engines.load(data, made[0])) as result:
        with closing(engines.load(model.data, model.card)) as published:
            distance = compare(published, result, pictures)
        if quantize == "int8":
            return concluded(made, (distance, SAME_GRIDS), None)
        other = unrounded(converter.tflite_to_onnx(source, quantize="int8"))
        with closing(engines.load(other, made[0])) as floats:
            return concluded(made, (distance, AS_PUBLISHED[quantize]), (compare(floats, result, pictures), TWO_WAYS))


def requantise(model: Model, pictures: Sequence[bytes]) -> Conversion:
    """Make a TensorFlow Lite model that is uint8 throughout int8, and compare the two on `pictures`, as above.

    Raises:
        InvalidModel: the model cannot be converted.
        EngineError: LiteRT refuses the result.
    """
    if model.card.format != "tflite":
        raise InvalidModel(f"{model.card.name} is {model.card.format}; only a .tflite can be made an int8 .tflite")
    log.info(f"making {model.card.name} int8")
    made = tflite_to_int8(bytes(model.data))
    log.info(
        f"{made.exact:,} of {made.channels:,} channels of weights are as they were; the others are rounded anew, each "
        "with a scale of its own"
    )
    card, files = bundle(_subject(model), made.model, "tflite", "int8", ())
    log.info(f"comparing on {len(pictures)} pictures")
    with closing(engines.load(made.model, card)) as result, closing(engines.load(model.data, model.card)) as source:
        conversion = concluded((card, files), (compare(source, result, pictures), REQUANTISED), None)
    exact = {"exact_channels": round(made.exact / max(made.channels, 1), 6)}
    return conversion._replace(card=conversion.card._replace(distance=conversion.card.distance | exact))


def _subject(model: Model) -> Subject:
    card = model.card
    return Subject(card.name, model.labels, card.source, card.licence, model.sha256, card.format)


def distance_between(reference: Model, result: Model, pictures: Iterable[bytes]) -> Distance:
    """How far `result` is from `reference` on `pictures`: the proof of a conversion, repeated.

    Raises:
        InvalidModel: they do not have the same classes, or not the same size of picture.
        EngineError: one of them cannot be run.
    """
    if (reference.card.side, reference.labels.names) != (result.card.side, result.labels.names):
        raise InvalidModel(f"{result.card.name} and {reference.card.name} are models of different things")
    with (
        closing(engines.load(reference.data, reference.card)) as engine,
        closing(engines.load(result.data, result.card)) as other,
    ):
        return compare(engine, other, pictures)
