"""The engine `tflite`: TensorFlow Lite models on a plain Python `Interpreter`.

It is for platforms where LiteRT's C library is not to be had, such as armv7 or an old Python. It takes tflite-runtime,
which is small, where that is installed, and the interpreter of LiteRT's wheel where it is not.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from birdlite import log
from birdlite.engines import contract, interpreter
from birdlite.engines.base import Engine, ModelBytes
from birdlite.errors import EngineMissing
from birdlite.models.card import Card, Tensor

if TYPE_CHECKING:
    from birdlite.engines.interpreter import Runtime

ENGINE = "tflite"
TFLITE_RUNTIME = "tflite-runtime"

_lock = threading.Lock()
_warned = False  # one process hears once that it has the slow kind of model


def describe(model: ModelBytes) -> tuple[Tensor, Tensor]:
    """Read input and output of a model that has no card. See `engines.describe`."""
    return interpreter.describe(_runtime(), model)


def load(model: ModelBytes, card: Card, threads: int) -> Engine:
    """Make an engine on the model. See `engines.load`."""
    runtime = _runtime()
    engine = interpreter.load(runtime, model, card, threads)
    # tflite-runtime 2.14, the last there is, gives XNNPACK, which has the fast kernels, networks of floats only. The
    # birds with one thread, in ms, beside LiteRT's: float 4.7 (3.3), int8 41 (1.5), uint8 63 (3.6).
    if runtime.title == TFLITE_RUNTIME and engine.works_in_integers:
        _warn(card)
    return engine


def _runtime() -> Runtime:
    """Find an interpreter.

    Raises:
        EngineMissing: there is none.
    """
    try:
        return _tflite_runtime()
    except ImportError as error:
        why = contract.one_line(error)
        try:
            runtime = interpreter.of_litert(f"{ENGINE} (ai-edge-litert)")
        except ImportError:
            raise EngineMissing(f"tflite-runtime cannot be used: pip install 'birdlite[tflite]' ({why})") from None
        log.debug("tflite-runtime cannot be used; the interpreter of ai-edge-litert takes over", reason=why)
        return runtime


def _tflite_runtime() -> Runtime:
    """Import tflite-runtime.

    Raises:
        ImportError: it is not installed, or was not built for the NumPy that is.
    """
    import numpy
    from tflite_runtime.interpreter import Interpreter

    if not numpy.__version__.startswith("1."):
        # Every tflite-runtime was built for NumPy 1. Under another it can be imported, and then fails at its first use.
        raise ImportError(f"it needs numpy<2, and {numpy.__version__} is installed")
    return interpreter.Runtime(ENGINE, TFLITE_RUNTIME, Interpreter)


def _warn(card: Card) -> None:
    global _warned
    with _lock:
        if _warned:
            return
        _warned = True
    log.warning(
        "tflite-runtime runs quantised models some 20 times slower than LiteRT does; prefer the engine litert, or a "
        "model in floats, such as `birdlite convert --to tflite` makes",
        model=card.name,
    )
