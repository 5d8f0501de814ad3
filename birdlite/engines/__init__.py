"""Engines: pixels in, scores out. The pipeline makes one engine a worker with `load`.

Importing this package costs nothing; a runtime is imported by the first call that needs it.
"""

from __future__ import annotations

from birdlite import log
from birdlite.engines.contract import Engine, Runtime, always_probabilities
from birdlite.errors import EngineError, InvalidModel
from birdlite.models.card import Card, ModelBytes, ModelFormat, Tensor
from birdlite.settings import EngineChoice

# What each engine runs, the faster one of a format first.
_RUNS: dict[EngineChoice, ModelFormat] = {"litert": "tflite", "tflite": "tflite", "onnx": "onnx"}


def preload(format: ModelFormat, engine: EngineChoice = "auto") -> None:  # noqa: A002 - as in `Card`
    """Import what runs models of that format, so that `load` takes no time for it.

    Raises:
        EngineMissing: it is not installed; the message names what to install.
    """
    _runtime(format, engine)


def load(model: ModelBytes, card: Card, *, engine: EngineChoice = "auto", threads: int = 1) -> Engine:
    """Make a model ready to run. May be called from several threads at once.

    `auto` is the fastest installed engine for the card's format. `threads` work inside the engine on one picture.
    The engine reads `model` where it is: keep it unchanged until `close`.

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
    runtime = _runtime(card.format, engine)
    try:
        _check_not_empty(model)
        return runtime.load(model, card, threads)
    except (InvalidModel, EngineError) as error:
        raise type(error)(f"{card.name}: {error}") from None


def checked(engine: Engine, card: Card) -> Engine:
    """The engine, with its scores checked where its model could give others than probabilities."""
    if always_probabilities(card.output):
        return engine
    from birdlite.engines.checked_engine import CheckedEngine  # the official model gives nothing to check

    return CheckedEngine(engine, card)


def describe(model: ModelBytes, format: ModelFormat = "tflite") -> tuple[Tensor, Tensor]:  # noqa: A002 - as in `Card`
    """Read input and output of a model that comes without a card. A dimension without a fixed size is -1.

    Raises:
        InvalidModel: it is not such a model, or it has not one input and one output.
        EngineError: the runtime cannot read it.
        EngineMissing: the runtime is not installed.
    """
    runtime = _runtime(format, "auto")
    _check_not_empty(model)
    return runtime.describe(model)


def identity(format: ModelFormat, engine: EngineChoice = "auto") -> str:  # noqa: A002 - as in `Card`
    """What runs models of that format here, down to its build: another build may run what this one does not.

    Raises:
        EngineMissing: it is not installed.
    """
    return _runtime(format, engine).identity()


def _runtime(format_: ModelFormat, engine: EngineChoice) -> Runtime:
    """The runtime of an engine. `auto` takes LiteRT's C library, else LiteRT's interpreter, else tflite-runtime."""
    if format_ == "onnx":
        from birdlite.engines import onnx_engine

        onnx_engine.runtime()
        return onnx_engine
    if engine != "tflite":
        from birdlite.engines import litert, litert_library

        try:
            return litert.CLibrary(litert_library.open_library())
        except litert_library.LibraryUnusable as why:
            log.debug("LiteRT's C library cannot be used; its Python interpreter takes over", reason=str(why))
    from birdlite.engines import interpreter

    return interpreter.find(engine)


def _check_not_empty(model: ModelBytes) -> None:
    if memoryview(model).nbytes == 0:  # the runtimes give no useful message
        raise InvalidModel("the model file is empty")
