"""The engine `litert`: TensorFlow Lite models on Google's LiteRT, an installed dependency of birdlite.

LiteRT is called through its C library where that can be done, else through the wheel's Python interpreter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from birdlite import log
from birdlite.engines import contract, litert_capi
from birdlite.engines.base import Engine, ModelBytes
from birdlite.engines.litert_library import LibraryUnusable, library_file, open_library
from birdlite.errors import EngineMissing
from birdlite.models.card import Card, Tensor

if TYPE_CHECKING:
    from birdlite.engines.interpreter import Runtime


def preload() -> None:
    """Open the library, if there is one that can be used."""
    try:
        open_library(library_file())
    except LibraryUnusable:
        return  # `load` finds out too, and what to do about it


def describe(model: ModelBytes) -> tuple[Tensor, Tensor]:
    """Read input and output of a model that has no card: what they are, not always what an engine can run.

    Raises:
        InvalidModel: it is no model, or it has not one input and one output.
        EngineError: LiteRT cannot read it.
        EngineMissing: LiteRT is not installed.
    """
    try:
        library = open_library(library_file())
    except LibraryUnusable as why:
        runtime = _interpreter(why)
        from birdlite.engines import interpreter

        return interpreter.describe(runtime, model)
    return litert_capi.describe(library, model)


def load(model: ModelBytes, card: Card, threads: int) -> Engine:
    """Make an engine on the model. See `engines.load`."""
    try:
        library = open_library(library_file())
    except LibraryUnusable as why:
        runtime = _interpreter(why)
        from birdlite.engines import interpreter

        return interpreter.load(runtime, model, card, threads)
    return litert_capi.load(library, model, card, threads)


def _interpreter(why: LibraryUnusable) -> Runtime:
    """Find the interpreter of the wheel, the second choice.

    Raises:
        EngineMissing: the wheel is not installed.
    """
    log.debug("LiteRT's C library cannot be used; its Python interpreter takes over", reason=str(why))
    from birdlite.engines import interpreter

    try:
        return interpreter.of_litert("litert (interpreter)")
    except ImportError as error:
        reason = contract.one_line(error)
        raise EngineMissing(f"LiteRT is not installed: pip install ai-edge-litert ({reason})") from None
