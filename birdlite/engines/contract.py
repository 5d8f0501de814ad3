"""What an engine is, what it checks before it trusts a model, and how stored scores become probabilities.

Each runtime reads a model's two tensors in its own way and has them checked here, so one mistake gets one message.
"""

from __future__ import annotations

import math
import os
from typing import Literal, Protocol, TypeAlias

from birdlite import log
from birdlite.errors import EngineError, InvalidModel
from birdlite.models.card import STORED, Card, ModelBytes, Tensor, check_ends, spell

Pixels: TypeAlias = "bytes | bytearray | memoryview"
"""uint8 RGB, NHWC, contiguous: n * height * width * 3 bytes, as the model's card says."""

_DTYPES: dict[str, Literal["uint8", "int8", "float32"]] = {"uint8": "uint8", "int8": "int8", "float32": "float32"}

# Runtimes keep scales as 32-bit floats (6e-8 relative), cards as decimal text.
_SCALE_TOLERANCE = 1e-6


class Engine(Protocol):
    """A model ready to run. One thread at a time may use it."""

    @property
    def name(self) -> str:
        """`litert`, `tflite` or `onnx`, and how it runs where that differs: `litert (interpreter)`."""

    def run(self, pixels: Pixels, n: int = 1) -> list[list[float]]:
        """Classify `n` pictures: one list of scores each, in the order of the model's output.

        They lie in [0, 1] if the engine is `checked`.

        Raises:
            EngineError: the runtime refused, or `pixels` is not of the size that `n` pictures have.
            InvalidModel: the scores of this model are not probabilities (`checked`).
            PictureError: those of this picture are not numbers (`checked`).
        """

    def close(self) -> None:
        """Release every handle. The engine cannot be used afterwards; closing twice is harmless."""


class Runtime(Protocol):
    """A library that runs models."""

    def load(self, model: ModelBytes, card: Card, threads: int) -> Engine:
        """Make an engine of a model that is what its card says.

        Raises:
            InvalidModel: it is damaged, or its tensors are not those of the card.
            EngineError: the library cannot run it.
        """

    def describe(self, model: ModelBytes) -> tuple[Tensor, Tensor]:
        """Read the one input and the one output of a model.

        Raises:
            InvalidModel: it is damaged, or has not one of each.
            EngineError: the library cannot read it.
        """

    def identity(self) -> str:
        """Which library this is, down to its build."""


def build_of(path: str | None) -> str:
    """A file of a runtime, with what changes when another version is installed."""
    if path is None:
        return "built in"
    facts = os.stat(path)
    return f"{path} {facts.st_size} {facts.st_mtime_ns}"


def tensor(shape: tuple[int, ...], dtype: str, scale: float, zero_point: int, *, per_tensor: bool) -> Tensor:
    """A tensor as a runtime reports it. Scale and zero point of floats are ignored.

    Raises:
        InvalidModel: no card can describe it.
    """
    known = _DTYPES.get(dtype)
    if known is None:
        raise InvalidModel(f"the model takes or gives {dtype} {list(shape)}; only {', '.join(_DTYPES)} can be run")
    if known == "float32":
        return Tensor(shape, known)
    if not per_tensor:
        raise InvalidModel(
            f"the model takes or gives {dtype} {list(shape)} with a scale for each channel; only one can be"
        )
    return Tensor(shape, known, scale, zero_point)


def check_model(input_: Tensor, output: Tensor, card: Card) -> None:
    """Check that a model is what its card says and that an engine can run it: plain pixels in, scores out.

    Raises:
        InvalidModel: it is not; the message says what the model has and what it should have.
    """
    for does, found, wanted in (("takes", input_, card.input), ("gives", output, card.output)):
        if not _same(found, wanted):
            raise InvalidModel(f"the model {does} {spell(found)}, but its card says {spell(wanted)}")
    check_ends(input_, output)


def check_one_of_each(inputs: int, outputs: int, signatures: int) -> None:
    """Check that a model is one function with one input and one output.

    Raises:
        InvalidModel: it is not.
    """
    if signatures > 1:
        raise InvalidModel(f"the model has {signatures} signatures; a classifier has one")
    if (inputs, outputs) != (1, 1):
        has = f"{log.counted(inputs, 'input')} and {log.counted(outputs, 'output')}"
        raise InvalidModel(f"the model has {has}; a classifier has one of each")


def pictures(pixels: Pixels, n: int, side: int) -> list[memoryview]:
    """`pixels` cut into `n` pictures of side * side * 3 bytes, without a copy.

    Raises:
        EngineError: as for `whole`.
    """
    view = whole(pixels, n, side)
    size = side * side * 3
    return [view[start : start + size] for start in range(0, n * size, size)]


def whole(pixels: Pixels, n: int, side: int) -> memoryview:
    """`pixels` as bytes, for engines that run several pictures at once; not copied.

    Raises:
        EngineError: they are not those of `n` pictures, or not contiguous.
    """
    view = memoryview(pixels)
    size = side * side * 3
    if n < 1 or view.nbytes != n * size or not view.c_contiguous:
        raise EngineError(f"{n} pictures of {side}x{side} RGB are {n * size} contiguous bytes, not {view.nbytes}")
    return view.cast("B")


def score_table(output: Tensor) -> list[float]:
    """The score of each stored byte, 0..255; an int8 is looked up by its two's complement.

    256 numbers made once are quicker than a multiplication for each score, and need no NumPy.
    """
    signed = output.dtype == "int8"
    return [output.scale * ((byte - 256 if signed and byte > 127 else byte) - output.zero_point) for byte in range(256)]


def always_probabilities(output: Tensor) -> bool:
    """Whether each score that can be stored lies from 0 to 1."""
    if output.dtype == "float32":
        return False
    lowest, highest = STORED[output.dtype]
    return output.scale * (lowest - output.zero_point) >= 0.0 and output.scale * (highest - output.zero_point) <= 1.0


def floats(stored: bytes) -> list[float]:
    """Read 32-bit floats."""
    return [*memoryview(stored).cast("f")]


def _same(found: Tensor, wanted: Tensor) -> bool:
    return (
        found.dtype == wanted.dtype
        and _one_for_any(found.shape) == _one_for_any(wanted.shape)
        and math.isclose(found.scale, wanted.scale, rel_tol=_SCALE_TOLERANCE)
        and found.zero_point == wanted.zero_point
    )


def _one_for_any(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape, with a batch of one for a batch of any size: for us they are the same."""
    return (1, *shape[1:]) if shape[:1] == (-1,) else shape
