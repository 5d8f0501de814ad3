"""An engine whose scores are checked: they are numbers, and lie from 0 to 1.

`engines.checked` puts it around every engine whose model could give others: models that give floats, and whole numbers
with an odd scale. Scores beyond 0 to 1 are a fault of the model, which most likely lacks its softmax. Scores that are
not numbers are one too if a plain grey picture gets such scores. Otherwise they are the failure of that picture, and
the run goes on: which of the two it is must not depend on the order of the pictures.
"""

from __future__ import annotations

import math

from birdlite.engines.contract import Engine, Pixels
from birdlite.errors import InvalidModel, PictureError
from birdlite.models.card import Card

ROUNDING = 1e-3  # how far beyond 0 to 1 a softmax in half precision may lie; such scores become 0 or 1
GREY = b"\x80"


class CheckedEngine:
    """Implements `Engine`."""

    def __init__(self, engine: Engine, card: Card) -> None:
        self._engine = engine
        self._card = card

    @property
    def name(self) -> str:
        """See `Engine.name`."""
        return self._engine.name

    def run(self, pixels: Pixels, n: int = 1) -> list[list[float]]:
        """See `Engine.run`."""
        return [self._checked(scores) for scores in self._engine.run(pixels, n)]

    def close(self) -> None:
        """See `Engine.close`."""
        self._engine.close()

    def _checked(self, scores: list[float]) -> list[float]:
        if not math.isfinite(sum(scores)):
            raise self._not_numbers(next(score for score in scores if not math.isfinite(score)))
        lowest, highest = min(scores), max(scores)
        if lowest >= 0.0 and highest <= 1.0:
            return scores
        worst = lowest if lowest < -ROUNDING else highest
        if worst < -ROUNDING or worst > 1.0 + ROUNDING:
            raise InvalidModel(
                f"{self._card.name}: the model gives a score of {worst:.4g}, and scores lie from 0 to 1; "
                "it must end in a softmax or a sigmoid"
            )
        return [min(1.0, max(0.0, score)) for score in scores]

    def _not_numbers(self, example: float) -> InvalidModel | PictureError:
        grey = self._engine.run(GREY * (self._card.side**2 * 3))[0]
        if math.isfinite(sum(grey)):
            return PictureError("unsupported", f"{self._card.name} gives it scores that are not numbers ({example})")
        return InvalidModel(f"{self._card.name}: the model gives scores that are not numbers ({example})")
