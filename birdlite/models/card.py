"""The card of a model: what its tensors are, where it came from, which bytes it consists of.

A card is made by the catalogue for published models, read from `model.json` for bundles, and made of the
tensors of a bare model file. Engines check the model they load against it.
"""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

from birdlite.errors import InvalidModel
from birdlite.local_file import read_bounded, reason
from birdlite.namedtuple import NamedTuple

ModelFormat = Literal["tflite", "onnx"]

ModelBytes: TypeAlias = "bytes | bytearray | memoryview"
"""A whole model file in memory, checked against its sha256 already. Nobody changes them."""

MODEL_MAX_BYTES = (1 << 31) - 1
"""Neither a flatbuffer (.tflite) nor a protobuf message (.onnx) can be larger."""

MAX_SIDE = 2048  # px: each picture under way takes side * side * 3 bytes, here 12 MB
MAX_CLASSES = 1_000_000  # the scores of a picture take 32 bytes each

STORED = {"uint8": (0, 255), "int8": (-128, 127)}
"""The least and the largest whole number that a tensor stores."""

_ONE_OR_ANY = (1, -1)  # the batches that can be run: pictures go through one at a time


def read_file(path: str, most: int, what: str, *, called: str | None = None) -> bytes:
    """A file of a model, of at most `most` bytes: `what`, such as "a card". Errors name it by its path, or as `called`.

    Raises:
        InvalidModel: it cannot be read, or is too large.
    """
    try:
        data = read_bounded(path, most)
    except (OSError, ValueError) as error:
        raise InvalidModel(f"{called or path}: {reason(error)}") from None
    if data is None:
        raise InvalidModel(f"{path}: larger than {what} can be")
    return data


class Tensor(NamedTuple):
    """One end of a model: real value = scale * (stored value - zero point). Floats have scale 1, zero point 0."""

    shape: tuple[int, ...]  # -1 where any size goes
    dtype: Literal["uint8", "int8", "float32"]
    scale: float = 1.0
    zero_point: int = 0


class FileFact(NamedTuple):
    """What a file of a model must be, byte for byte."""

    bytes: int
    sha256: str  # 64 lower-case hexadecimal digits


class Card(NamedTuple):
    """Everything that is known of a model without running it."""

    name: str
    format: ModelFormat
    input: Tensor  # [n, height, width, 3], uint8: the plain pixels 0..255
    output: Tensor  # [n, classes]: probabilities
    files: dict[str, FileFact]  # by file name in the bundle
    source: str  # URL
    licence: str = ""
    quantization: str = "none"
    made_with: dict[str, str] = {}  # noqa: RUF012 - tool -> version; a NamedTuple default, never written to
    distance: dict[str, float] = {}  # noqa: RUF012 - how far its answers are from its source's

    @property
    def classes(self) -> int:
        """How many scores a picture gets."""
        return self.output.shape[-1]

    @property
    def side(self) -> int:
        """Height and width of the input, px."""
        return self.input.shape[1]


def check_ends(input_: Tensor, output: Tensor) -> None:
    """Check that an engine can run a model with these ends: plain pixels in, scores out, and neither is huge.

    Raises:
        InvalidModel: it cannot; the message says what the model has and what it should have.
    """
    shape, classes = input_.shape, output.shape[-1:]
    if input_.dtype != "uint8" or len(shape) != 4 or shape[1] != shape[2] or shape[1] < 1 or shape[3] != 3:
        raise InvalidModel(f"the model takes {spell(input_)}; only uint8 [1, side, side, 3] can be run")
    if shape[1] > MAX_SIDE:
        raise InvalidModel(f"the model takes {spell(input_)}; a side has at most {MAX_SIDE} px")
    if len(output.shape) != 2 or classes[0] < 1:
        raise InvalidModel(f"the model gives {spell(output)}; only [1, classes] can be read")
    if classes[0] > MAX_CLASSES:
        raise InvalidModel(f"the model gives {spell(output)}; at most {MAX_CLASSES} classes can be read")
    if shape[0] not in _ONE_OR_ANY or output.shape[0] not in _ONE_OR_ANY:
        batch = max(shape[0], output.shape[0])
        raise InvalidModel(f"the model takes {batch} pictures at once; only one at a time can be run")
    for end in (input_, output):
        low, high = STORED.get(end.dtype, (0, 0))
        if not (math.isfinite(end.scale) and end.scale > 0 and low <= end.zero_point <= high):
            raise InvalidModel(f"no tensor can be {spell(end)}")


def spell(tensor: Tensor) -> str:
    """A tensor in words, such as `uint8 [1, 224, 224, 3] (scale 0.0078125, zero point 128)`."""
    text = f"{tensor.dtype} {list(tensor.shape)}"
    if tensor.dtype == "float32":
        return text
    return f"{text} (scale {tensor.scale:.7g}, zero point {tensor.zero_point})"
