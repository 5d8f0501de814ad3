"""A SavedModel to ONNX or TensorFlow Lite, proven equal. For `birdlite convert`, and for `model verify --against`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import NamedTuple

from birdlite import engines, log
from birdlite.convert import tensorflow_package, tflite_to_onnx
from birdlite.convert.bounds import AS_PUBLISHED, FLOATS
from birdlite.convert.compare import Distance, compare
from birdlite.convert.conversion import Conversion, Quantize, bundle, concluded, spell
from birdlite.convert.float16 import halved
from birdlite.convert.module import Module
from birdlite.convert.onnx_graph import require
from birdlite.convert.optimised import optimised
from birdlite.convert.pictures import Calibration, drawn_pictures
from birdlite.convert.static_quantization import quantized
from birdlite.convert.tensorflow_engine import TensorFlowEngine
from birdlite.convert.to_onnx import to_onnx
from birdlite.convert.to_tflite import to_tflite
from birdlite.convert.trained_ranges import with_trained_ranges
from birdlite.convert.unrounded import unrounded
from birdlite.errors import InvalidModel, UsageError
from birdlite.models.bundle import Model
from birdlite.models.card import ModelFormat


class Made(NamedTuple):
    """A result, and what its proof needs."""

    data: bytes
    smooth: bytes | None  # of int8: the same network in ONNX without the rounding of its activations, where possible
    packages: tuple[str, ...]  # that made it


def check(to: ModelFormat, quantize: Quantize, *, calibrated: bool) -> None:
    """Check before the download that everything needed is there.

    Raises:
        UsageError: int8 for TensorFlow Lite needs pictures to calibrate on.
        EngineMissing: a package is not installed.
    """
    if to == "tflite" and quantize == "int8" and not calibrated:
        raise UsageError("int8 for TensorFlow Lite takes its ranges from pictures: name some with --calibrate")
    tensorflow_package.require("tensorflow", *(["tf2onnx"] if to == "onnx" else []))
    if to == "onnx" or quantize == "int8":  # the proof of int8 is run in ONNX
        require(*tflite_to_onnx.PACKAGES, "onnxruntime")


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
    make = _tflite if to == "tflite" else _onnx
    data, smooth, packages = make(module, quantize, calibration)
    made = bundle(module.subject, data, to, quantize, packages)
    log.info(f"comparing on {len(pictures)} pictures")
    with closing(engines.load(data, made[0])) as result:
        with closing(TensorFlowEngine(module.published)) as published:
            distance = compare(published, result, pictures)
        with closing(TensorFlowEngine(module.plain.floats)) as floats:
            if smooth is None:
                float_distance = compare(floats, result, pictures)
            else:
                card, _ = bundle(module.subject, smooth, "onnx", quantize, packages)
                with closing(engines.load(smooth, card)) as same:
                    float_distance = compare(floats, same, [*pictures, *drawn_pictures(module.side)])
    narrow = FLOATS if quantize != "int8" or smooth is not None else AS_PUBLISHED
    return concluded(made, (distance, AS_PUBLISHED[quantize]), (float_distance, narrow[quantize]))


def distance_to(module: Module, result: Model, pictures: Sequence[bytes]) -> Distance:
    """How far `result` is from a module as published: the proof of a conversion, repeated.

    Raises:
        InvalidModel: they do not have the same classes, or not the same size of picture.
        EngineError: one of them cannot be run.
    """
    if (module.side, module.subject.labels.names) != (result.card.side, result.labels.names):
        raise InvalidModel(f"{result.card.name} and {module.subject.name} are models of different things")
    with (
        closing(TensorFlowEngine(module.published)) as source,
        closing(engines.load(result.data, result.card)) as other,
    ):
        return compare(source, other, pictures)


def _tflite(module: Module, quantize: Quantize, calibration: Calibration | None) -> Made:
    packages = ("tensorflow", "numpy")
    if quantize != "int8":
        return Made(to_tflite(module.plain.floats, quantize), None, packages)
    data = to_tflite(module.plain.floats, quantize, _views(calibration))
    return Made(data, _without_rounding(data), packages)


def _without_rounding(model: bytes) -> bytes | None:
    """An int8 `.tflite` in ONNX, its activations floats; None if `tflite_to_onnx` does not know an operator of it."""
    try:
        return tflite_to_onnx.tflite_to_onnx(model, quantize="none")
    except InvalidModel as unknown:
        log.info(f"the bounds of the proof are wide, because it cannot be compared without its rounding ({unknown})")
        return None


def _onnx(module: Module, quantize: Quantize, calibration: Calibration | None) -> Made:
    packages = ("tensorflow", "tf2onnx", "onnx", "onnxruntime", "numpy")
    plain = module.plain
    if quantize != "int8":
        small = optimised(to_onnx(plain.floats))
        return Made(halved(small) if quantize == "float16" else small, None, packages)
    if plain.ranged is not None:
        log.info("int8 takes the ranges that the source was trained with; no picture is needed to calibrate on")
        data = with_trained_ranges(to_onnx(plain.ranged))
    else:
        views = _views(calibration)
        data, _ = quantized(to_onnx(plain.floats), views)
    return Made(optimised(data), unrounded(data), packages)


def _views(calibration: Calibration | None) -> list[bytes]:
    if calibration is None:
        raise UsageError("int8 takes ranges from pictures, since its source has none: name some with --calibrate")
    log.info(f"calibrating on {calibration.pictures} pictures, {len(calibration.views)} views of them")
    return calibration.views
