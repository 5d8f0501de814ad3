"""The one shape of an engine: RGB pixels in, scores out. No HTTP, no labels, no cache of models.

The pipeline asks `engines.load` for one engine a worker; every engine is then used by one thread at a time.
"""

from __future__ import annotations

from typing import Protocol, TypeAlias

from birdlite.models.card import ModelBytes as ModelBytes

Pixels: TypeAlias = "bytes | bytearray | memoryview"
"""uint8 RGB, NHWC, contiguous: n * height * width * 3 bytes, as the model's card says."""


class Engine(Protocol):
    """A model made ready to run on one thread."""

    @property
    def name(self) -> str:
        """`litert`, `tflite` or `onnx`, and how it runs where that differs: `litert (interpreter)`."""

    def run(self, pixels: Pixels, n: int = 1) -> list[list[float]]:
        """Classify `n` pictures: one list of scores in [0, 1] each, in the order of the model's output.

        Raises:
            EngineError: the runtime refused, or `pixels` is not of the size that `n` pictures have.
        """

    def close(self) -> None:
        """Release every handle. The engine cannot be used after; closing twice is harmless."""
