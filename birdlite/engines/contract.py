"""What every engine checks before it trusts a model, and how stored scores become probabilities.

The engines read a model's two tensors in their own way and hand them here; so one mistake gets one message, whichever
runtime found it.
"""

from __future__ import annotations

import math
from typing import Literal

from birdlite.engines.base import ModelBytes, Pixels
from birdlite.errors import EngineError, InvalidModel
from birdlite.models.card import Card, Tensor

_DTYPES: dict[str, Literal["uint8", "int8", "float32"]] = {"uint8": "uint8", "int8": "int8", "float32": "float32"}
_ONE_OR_ANY = (1, -1)  # the batches that can be run: pictures go through one at a time

# Runtimes keep scales as 32-bit floats (6e-8 relative), cards as decimal text.
_SCALE_TOLERANCE = 1e-6

_SAID = 240  # characters of a runtime's own message that are passed on


def tensor(shape: tuple[int, ...], dtype: str, scale: float, zero_point: int, *, per_tensor: bool) -> Tensor:
    """Put down a tensor as a runtime reports it. For floats, scale and zero point mean nothing, whatever they are.

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


def check_not_empty(model: ModelBytes) -> None:
    """Make sure that there are bytes at all: the runtimes have nothing good to say about none.

    Raises:
        InvalidModel: there are none.
    """
    if memoryview(model).nbytes == 0:
        raise InvalidModel("the model file is empty")


def check_model(input_: Tensor, output: Tensor, card: Card) -> None:
    """Make sure that a model is what its card says and that an engine can run it: plain pixels in, scores out.

    Raises:
        InvalidModel: it is not; the message says what the model has and what it should have.
    """
    for does, found, wanted in (("takes", input_, card.input), ("gives", output, card.output)):
        if not _same(found, wanted):
            raise InvalidModel(f"the model {does} {spell(found)}, but its card says {spell(wanted)}")
    shape = input_.shape
    if input_.dtype != "uint8" or len(shape) != 4 or shape[1] != shape[2] or shape[1] < 1 or shape[3] != 3:
        raise InvalidModel(f"the model takes {spell(input_)}; only uint8 [1, side, side, 3] can be run")
    if len(output.shape) != 2 or output.shape[1] < 1:
        raise InvalidModel(f"the model gives {spell(output)}; only [1, classes] can be read")
    if shape[0] not in _ONE_OR_ANY or output.shape[0] not in _ONE_OR_ANY:
        batch = max(shape[0], output.shape[0])
        raise InvalidModel(f"the model takes {batch} pictures at once; only one at a time can be run")


def check_one_of_each(inputs: int, outputs: int, signatures: int) -> None:
    """Make sure that a model is one function with one input and one output.

    Raises:
        InvalidModel: it is not.
    """
    if signatures > 1:
        raise InvalidModel(f"the model has {signatures} signatures; a classifier has one")
    if (inputs, outputs) != (1, 1):
        raise InvalidModel(f"the model has {inputs} inputs and {outputs} outputs; a classifier has one of each")


def pictures(pixels: Pixels, n: int, side: int) -> list[memoryview]:
    """`pixels` cut into `n` pictures of side * side * 3 bytes, without a copy.

    Raises:
        EngineError: it has not that many bytes, or they are not contiguous.
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
    """List the score that each stored byte stands for; an int8 is looked up by its two's complement, 0..255.

    256 numbers made once are quicker than a multiplication for each score, and need no NumPy.
    """
    signed = output.dtype == "int8"
    return [output.scale * ((byte - 256 if signed and byte > 127 else byte) - output.zero_point) for byte in range(256)]


def floats(stored: bytes) -> list[float]:
    """Read 32-bit floats."""
    return [*memoryview(stored).cast("f")]


def one_line(said: object) -> str:
    """Put what a runtime said on one line, and not all of it where it said a great deal."""
    text = " ".join(str(said).split())
    return text if len(text) <= _SAID else text[:_SAID].rpartition(" ")[0] + " …"


def spell(tensor: Tensor) -> str:
    """Say a tensor in words, such as `uint8 [1, 224, 224, 3] (scale 0.0078125, zero point 128)`."""
    text = f"{tensor.dtype} {list(tensor.shape)}"
    if tensor.dtype == "float32":
        return text
    return f"{text} (scale {tensor.scale:.7g}, zero point {tensor.zero_point})"


def _same(found: Tensor, wanted: Tensor) -> bool:
    return (
        found.dtype == wanted.dtype
        and _same_shape(found.shape, wanted.shape)
        and math.isclose(found.scale, wanted.scale, rel_tol=_SCALE_TOLERANCE)
        and found.zero_point == wanted.zero_point
    )


def _same_shape(found: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Compare shapes, where a batch of one and a batch of any size are the same thing."""
    return _one_for_any(found) == _one_for_any(wanted)


def _one_for_any(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (1, *shape[1:]) if shape[:1] == (-1,) else shape
