"""Engines: pixels in, scores out. The pipeline asks here for one engine a worker.

Importing this costs nothing; the runtime is imported by the first `load` or `describe`.
"""

from __future__ import annotations

from typing import Literal

from birdlite.engines.base import Engine, ModelBytes
from birdlite.errors import EngineError
from birdlite.models.card import Card, Tensor

EngineChoice = Literal["auto", "litert"]


def load(
    model: ModelBytes,
    card: Card,
    *,
    engine: EngineChoice = "auto",
    threads: int = 1,
    weight_cache: str | None = None,
) -> Engine:
    """Make a model ready to run. May be called from several threads at once.

    `auto` is the fastest engine for the card's format. `threads` are those inside one engine, for one picture.
    `weight_cache` is a folder in which LiteRT's packed weights are kept between runs, or None; it is made if it is
    missing, and a folder that cannot be used costs nothing but the time that it would have saved. The engine reads
    `model` where it is: keep it unchanged until `close`.

    Raises:
        InvalidModel: the model is damaged, or its tensors are not those of the card.
        EngineError: the engine cannot run this model.
        EngineMissing: the engine's runtime is not installed; the message names what to install.
    """
    if card.format != "tflite":
        name = "litert" if engine == "auto" else engine
        raise EngineError(f"{card.name}: the engine {name} runs tflite models, not {card.format}")
    from birdlite.engines import litert

    return litert.load(model, card, threads, weight_cache)


def describe(model: ModelBytes) -> tuple[Tensor, Tensor]:
    """Read input and output of a tflite model that comes without a card.

    Raises:
        InvalidModel: it is no such model, or it has not one input and one output.
        EngineError: the runtime cannot read it.
        EngineMissing: the runtime is not installed.
    """
    from birdlite.engines import litert

    return litert.describe(model)
