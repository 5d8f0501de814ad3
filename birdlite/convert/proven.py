"""A SavedModel or a `.tflite` classifier becomes ONNX or TensorFlow Lite, proven equal. For `birdlite convert`.

`birdlite model verify --against` repeats the proof.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import closing

from birdlite import engines, log
from birdlite.convert import tensorflow_package, tflite_to_onnx
from birdlite.convert.conversion import Conversion, Subject, bundle, concluded, spell
from birdlite.convert.graph import TensorFlowEngine
from birdlite.convert.module import Module
from birdlite.convert.onnx_forms import halved, optimised, quantized, unrounded
from birdlite.convert.onnx_graph import require_onnx
from birdlite.convert.pictures import Calibration, drawn_pictures
from birdlite.convert.proof import (
    AS_PUBLISHED,
    FLOATS,
    REQUANTISED,
    SAME_GRIDS,
    TWO_WAYS,
    Distance,
    Quantize,
    compare,
)
from birdlite.convert.to_onnx import to_onnx, with_trained_ranges
from birdlite.convert.to_tflite import to_tflite
from birdlite.engines.contract import Engine
from birdlite.errors import InvalidModel, UsageError
from birdlite.models.bundle import Model, read_card
from birdlite.models.card import Card, ModelBytes, ModelFormat
from birdlite.tflite.requantize import tflite_to_int8

_MADE_WITH = {
    "onnx": ("tensorflow", "tf2onnx", "onnx", "onnxruntime", "numpy"),
    "tflite": ("tensorflow", "numpy"),
}


def check_module(to: ModelFormat, quantize: Quantize, *, calibrated: bool) -> None:
    """Check before the download that everything is there that a SavedModel needs.

    Raises:
        UsageError: int8 for TensorFlow Lite needs pictures to calibrate on.
        EngineMissing: a package is not installed.
    """
    if to == "tflite" and quantize == "int8" and not calibrated:
        raise UsageError("int8 for TensorFlow Lite takes its ranges from pictures: name some with --calibrate")
    tensorflow_package.require("tensorflow", *(["tf2onnx"] if to == "onnx" else []))
    if to == "onnx" or quantize == "int8":  # the proof of int8 is run in ONNX
        require_onnx()


def convert_module(
    module: Module, to: ModelFormat, quantize: Quantize, pictures: Sequence[bytes], calibration: Calibration | None
) -> Conversion:
    """Convert it and compare source and result on `pictures` (uint8 RGB, [side, side, 3]).

    Raises:
        UsageError: int8 needs pictures to calibrate on.
        InvalidModel: it cannot be converted.
        EngineMissing: a package that converts or runs the result is not installed.
    """
    log.info(f"converting {module.subject.name} to {to} ({spell(quantize)})")
    data, smooth = (_tflite if to == "tflite" else _onnx)(module, quantize, calibration)
    made = bundle(module.subject, data, to, quantize, _MADE_WITH[to])
    log.info(f"comparing on {log.counted(len(pictures), 'picture')}")
    distance = _apart(TensorFlowEngine(module.published), data, made[0], pictures)
    narrow = FLOATS if quantize != "int8" else AS_PUBLISHED
    like, card = data, made[0]
    if smooth is not None:
        narrow, like = FLOATS, smooth
        card, _ = bundle(module.subject, smooth, "onnx", quantize, _MADE_WITH[to])
        pictures = [*pictures, *drawn_pictures(module.side)]
    float_distance = _apart(TensorFlowEngine(module.plain.floats), like, card, pictures)
    return concluded(made, (distance, AS_PUBLISHED[quantize]), (float_distance, narrow[quantize]))


def _tflite(module: Module, quantize: Quantize, calibration: Calibration | None) -> tuple[bytes, bytes | None]:
    """A result. Of int8, also the same network in ONNX without the rounding of its activations, where possible."""
    if quantize != "int8":
        return to_tflite(module.plain.floats, quantize), None
    data = to_tflite(module.plain.floats, quantize, _views(calibration))
    try:
        return data, tflite_to_onnx.tflite_to_onnx(data, quantize="none")
    except InvalidModel as unknown:
        log.info(f"the bounds of the proof are wide, because it cannot be compared without its rounding ({unknown})")
        return data, None


def _onnx(module: Module, quantize: Quantize, calibration: Calibration | None) -> tuple[bytes, bytes | None]:
    """The same as ONNX."""
    plain = module.plain
    if quantize != "int8":
        small = optimised(to_onnx(plain.floats))
        return halved(small) if quantize == "float16" else small, None
    if plain.ranged is not None:
        log.info("int8 takes the ranges that the source was trained with; no picture is needed to calibrate on")
        data = with_trained_ranges(to_onnx(plain.ranged))
    else:
        views = _views(calibration)
        data = quantized(to_onnx(plain.floats), views)
    return optimised(data), unrounded(data)


def _views(calibration: Calibration | None) -> list[bytes]:
    if calibration is None:
        raise UsageError("int8 takes ranges from pictures, since its source has none: name some with --calibrate")
    log.info(f"calibrating on {log.counted(calibration.pictures, 'picture')} in {len(calibration.views)} views")
    return calibration.views


def check_tflite(source: str) -> None:
    """Check that a model file, a folder with a card, or a name is not an ONNX model. That needs no package.

    Raises:
        InvalidModel: it is, or the card cannot be read.
    """
    if os.path.isdir(source):
        is_onnx = read_card(source).format == "onnx"
    else:
        is_onnx = source.endswith(".onnx") and os.path.exists(source)
    if is_onnx:
        raise InvalidModel(f"{source} is an ONNX model; only a SavedModel or a .tflite can be converted")


def convert_tflite(model: Model, quantize: Quantize, pictures: Sequence[bytes]) -> Conversion:
    """Convert a TensorFlow Lite model to ONNX and compare the two on `pictures` (uint8 RGB, [side, side, 3]).

    Raises:
        InvalidModel: the model cannot be converted.
        EngineMissing: a package for converting or running ONNX is not installed.
    """
    log.info(f"converting {model.card.name} to ONNX ({spell(quantize)})")
    source = bytes(model.data)
    data = optimised(tflite_to_onnx.tflite_to_onnx(source, quantize="int8" if quantize == "int8" else "none"))
    if quantize == "float16":
        data = halved(data)
    made = bundle(_subject(model), data, "onnx", quantize, ("onnx", "onnxruntime", "numpy"))
    log.info(f"comparing on {log.counted(len(pictures), 'picture')}")
    distance = _apart(engines.load(model.data, model.card), data, made[0], pictures)
    if quantize == "int8":
        return concluded(made, (distance, SAME_GRIDS), None)
    other = engines.load(unrounded(tflite_to_onnx.tflite_to_onnx(source, quantize="int8")), made[0])
    floats = _apart(other, data, made[0], pictures)
    return concluded(made, (distance, AS_PUBLISHED[quantize]), (floats, TWO_WAYS))


def requantise(model: Model, pictures: Sequence[bytes]) -> Conversion:
    """Make a TensorFlow Lite model that is uint8 throughout int8, and compare the two on `pictures`, as above.

    Raises:
        InvalidModel: the model cannot be converted.
        EngineError: LiteRT refuses the result.
    """
    log.info(f"making {model.card.name} int8")
    made = tflite_to_int8(bytes(model.data))
    log.info(
        f"{made.exact:,} of {made.channels:,} channels of weights are as they were; the others are rounded anew, each "
        "with a scale of its own"
    )
    card, files = bundle(_subject(model), made.model, "tflite", "int8", ())
    log.info(f"comparing on {log.counted(len(pictures), 'picture')}")
    distance = _apart(engines.load(model.data, model.card), made.model, card, pictures)
    conversion = concluded((card, files), (distance, REQUANTISED), None)
    exact = {"exact_channels": round(made.exact / max(made.channels, 1), 6)}
    return conversion._replace(card=conversion.card._replace(distance=conversion.card.distance | exact))


def _subject(model: Model) -> Subject:
    card = model.card
    return Subject(card.name, model.labels, card.source, card.licence, model.sha256, card.format)


def distance_to(reference: Module | Model, result: Model, pictures: Iterable[bytes]) -> Distance:
    """How far `result` is from a module as published, or from another model: the proof of a conversion, repeated.

    Raises:
        InvalidModel: they do not have the same classes, or not the same size of picture.
        EngineError: one of them cannot be run.
    """
    if isinstance(reference, Module):
        subject, side = reference.subject, reference.side
    else:
        subject, side = _subject(reference), reference.card.side
    if (side, subject.labels.names) != (result.card.side, result.labels.names):
        raise InvalidModel(f"{result.card.name} and {subject.name} are models of different things")
    return _apart(_engine(reference), result.data, result.card, pictures)


def _apart(reference: Engine, model: ModelBytes, card: Card, pictures: Iterable[bytes]) -> Distance:
    """Load the model and compare it; closes both engines."""
    with closing(reference), closing(engines.load(model, card)) as result:
        return compare(reference, result, pictures)


def _engine(reference: Module | Model) -> Engine:
    if isinstance(reference, Module):
        return TensorFlowEngine(reference.published)
    return engines.load(reference.data, reference.card)
