"""A SavedModel to ONNX or TensorFlow Lite, proven equal. For `birdlite convert`, and for `model verify --against`.

ONNX is made without TensorFlow wherever our own converter knows every operation; tf2onnx is for the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import NamedTuple

from birdlite import engines, log
from birdlite.convert.bounds import AS_PUBLISHED, FLOATS
from birdlite.convert.compare import Distance, compare
from birdlite.convert.conversion import Conversion, Quantize, bundle, concluded, spell
from birdlite.convert.float16 import halved
from birdlite.convert.module import Module, reference
from birdlite.convert.optimised import optimised
from birdlite.convert.pictures import Calibration
from birdlite.convert.saved_model.kernels import UnknownOperation
from birdlite.convert.saved_model.to_onnx import graph_to_onnx
from birdlite.convert.tflite_to_onnx import tflite_to_onnx
from birdlite.convert.unrounded import unrounded
from birdlite.errors import EngineMissing, InvalidModel, UsageError
from birdlite.models.card import ModelFormat
from birdlite.models.model import Model


class Made(NamedTuple):
    """A result, and what it takes to prove it."""

    data: bytes
    smooth: bytes | None  # of int8: the same network in ONNX, the rounding of its activations taken out
    packages: tuple[str, ...]  # that had a hand in it


def check(to: ModelFormat, quantize: Quantize, *, calibrated: bool) -> None:
    """Find out before the download whether what it takes is there.

    Raises:
        UsageError: int8 for TensorFlow Lite needs pictures to calibrate on.
        EngineMissing: TensorFlow is needed and not installed.
    """
    if to == "tflite":
        if quantize == "int8" and not calibrated:
            raise UsageError("int8 for TensorFlow Lite takes its ranges from pictures: name some with --calibrate")
        from birdlite.convert.with_tensorflow import require

        require()


def convert_module(
    module: Module, to: ModelFormat, quantize: Quantize, pictures: Sequence[bytes], calibration: Calibration | None
) -> Conversion:
    """Convert it and compare source and result on `pictures` (uint8 RGB, [side, side, 3]).

    Raises:
        UsageError: int8 needs pictures to calibrate on.
        InvalidModel: it cannot be converted.
        EngineMissing: what converting or running the result takes is not installed.
    """
    log.info(f"converting {module.subject.name} to {to} ({spell(quantize)})")
    make = _tflite if to == "tflite" else _onnx
    data, smooth, packages = make(module, quantize, calibration)
    made = bundle(module.subject, data, to, quantize, packages)
    log.info(f"comparing on {len(pictures)} pictures")
    with closing(engines.load(data, made[0])) as result:
        with closing(reference(module.published)) as published:
            distance = compare(published, result, pictures)
        with closing(reference(module.folded.graph)) as floats:
            if smooth is None:
                float_distance = compare(floats, result, pictures)
            else:
                card, _ = bundle(module.subject, smooth, "onnx", quantize, packages)
                with closing(engines.load(smooth, card)) as same:
                    float_distance = compare(floats, same, pictures)
    return concluded(made, (distance, AS_PUBLISHED[quantize]), (float_distance, FLOATS[quantize]))


def distance_to(module: Module, result: Model, pictures: Sequence[bytes]) -> Distance:
    """How far `result` is from a module as published: the proof of a conversion, repeated.

    Raises:
        InvalidModel: they do not have the same classes, or not the same size of picture.
        EngineError: one of them cannot be run.
    """
    if (module.side, module.subject.labels.names) != (result.card.side, result.labels.names):
        raise InvalidModel(f"{result.card.name} and {module.subject.name} are models of different things")
    with closing(reference(module.published)) as published, closing(engines.load(result.data, result.card)) as engine:
        return compare(published, engine, pictures)


def _tflite(module: Module, quantize: Quantize, calibration: Calibration | None) -> Made:
    from birdlite.convert.with_tensorflow.to_tflite import to_tflite

    packages = ("tensorflow", "numpy")
    if quantize != "int8":
        return Made(to_tflite(module.folded.graph, quantize), None, packages)
    data = to_tflite(module.folded.graph, quantize, _views(calibration))
    return Made(data, unrounded(tflite_to_onnx(data, quantize="int8")), packages)


def _onnx(module: Module, quantize: Quantize, calibration: Calibration | None) -> Made:
    packages: tuple[str, ...] = ("onnx", "onnxruntime", "numpy")
    own_ranges = quantize == "int8" and bool(module.folded.activations)
    try:
        data = graph_to_onnx(module.folded, quantize="int8" if own_ranges else "none")
    except UnknownOperation as unknown:
        own_ranges = False
        data = _by_tf2onnx(module, unknown)
        packages += ("tensorflow", "tf2onnx")
    if own_ranges:
        log.info("int8 takes the ranges that the source was trained with; no picture is needed to calibrate on")
    elif quantize == "int8":
        from birdlite.convert.static_quantization import quantized

        data = quantized(data, _views(calibration))[0]
    small = optimised(data)
    return Made(
        halved(small) if quantize == "float16" else small, unrounded(data) if quantize == "int8" else None, packages
    )


def _by_tf2onnx(module: Module, unknown: UnknownOperation) -> bytes:
    """ONNX of a graph with an operation that is not known here, which `unknown` names."""
    from birdlite.convert.with_tensorflow import to_onnx

    try:
        data = to_onnx.to_onnx(module.folded.graph)
    except EngineMissing:
        raise unknown from None
    log.info(f"{unknown.operation} is not known here; tf2onnx converted the graph")
    return data


def _views(calibration: Calibration | None) -> list[bytes]:
    if calibration is None:
        raise UsageError("int8 takes ranges from pictures, since its source has none: name some with --calibrate")
    log.info(f"calibrating on {calibration.pictures} pictures, {len(calibration.views)} views of them")
    return calibration.views
