"""Engines: pixels in, scores out. The pipeline asks here for one engine a worker.

Importing this costs nothing; the runtime is imported by the first `load` or `describe`.
"""

from __future__ import annotations

from birdlite.engines.base import Engine, ModelBytes
from birdlite.errors import EngineError, EngineMissing, InvalidModel
from birdlite.models.card import Card, ModelFormat, Tensor
from birdlite.settings import EngineChoice

# What each engine runs, the faster one of a format first.
_RUNS: dict[EngineChoice, ModelFormat] = {"litert": "tflite", "tflite": "tflite", "onnx": "onnx"}


def preload(format: ModelFormat) -> None:  # noqa: A002 - as in `Card`
    """Import what models of that format run on, for a caller that times loading without it, or does it beforehand.

    Raises:
        EngineMissing: ONNX Runtime is not installed. (What runs tflite models is found out by `load`.)
    """
    if format == "onnx":
        from birdlite.engines import onnx_engine

        onnx_engine.runtime()
    else:
        from birdlite.engines import litert

        litert.preload()


def load(
    model: ModelBytes,
    card: Card,
    *,
    engine: EngineChoice = "auto",
    threads: int = 1,
) -> Engine:
    """Make a model ready to run. May be called from several threads at once.

    `auto` is the fastest engine for the card's format that is installed. `threads` are those inside one engine, for
    one picture. The engine reads `model` where it is: keep it unchanged until `close`.

    Raises:
        InvalidModel: the model is damaged, or its tensors are not those of the card.
        EngineError: the engine cannot run this model.
        EngineMissing: the engine's runtime is not installed; the message names what to install.
    """
    if engine != "auto" and _RUNS[engine] != card.format:
        able = " or ".join(name for name, format_ in _RUNS.items() if format_ == card.format)
        raise EngineError(
            f"{card.name}: the engine {engine} runs {_RUNS[engine]} models, not {card.format}: use {able}"
        )
    try:
        return _load(model, card, engine, threads)
    except EngineMissing:
        raise
    except (InvalidModel, EngineError) as error:
        raise type(error)(f"{card.name}: {error}") from None


def describe(model: ModelBytes, format: ModelFormat = "tflite") -> tuple[Tensor, Tensor]:  # noqa: A002 - as in `Card`
    """Read input and output of a model that comes without a card.

    Raises:
        InvalidModel: it is no such model, or it has not one input and one output.
        EngineError: the runtime cannot read it.
        EngineMissing: the runtime is not installed.
    """
    if format == "onnx":
        from birdlite.engines import onnx_engine

        return onnx_engine.describe(model)
    from birdlite.engines import litert

    try:
        return litert.describe(model)
    except EngineMissing as missing:
        from birdlite.engines import tflite_engine

        try:
            return tflite_engine.describe(model)
        except EngineMissing:
            raise missing from None


def _load(model: ModelBytes, card: Card, engine: EngineChoice, threads: int) -> Engine:
    if card.format == "onnx":
        from birdlite.engines import onnx_engine

        return onnx_engine.load(model, card, threads)
    if engine == "tflite":
        from birdlite.engines import tflite_engine

        return tflite_engine.load(model, card, threads)
    from birdlite.engines import litert

    try:
        return litert.load(model, card, threads)
    except EngineMissing as missing:
        if engine == "litert":
            raise
        from birdlite.engines import tflite_engine

        try:
            return tflite_engine.load(model, card, threads)
        except EngineMissing:
            raise missing from None
