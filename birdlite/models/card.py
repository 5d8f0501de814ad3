"""The card of a model: what its tensors are, where it came from, which bytes it consists of.

A card is made by the catalogue for published models and read from `model.json` for bundles; engines check the model
they load against it.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from birdlite.namedtuple import NamedTuple

ModelFormat = Literal["tflite", "onnx"]

ModelBytes: TypeAlias = "bytes | bytearray | memoryview"
"""A whole model file in memory, checked against its sha256 already. A memoryview over a private mmap costs no copy."""


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
