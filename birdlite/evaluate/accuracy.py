"""How often, and how surely, a model is right: counters over labelled results, and the figures that they make.

Only counters are kept, so memory grows with the species that are confused, not with the pictures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from birdlite.results import Prediction

TOP = 3  # predictions that a picture needs for `top3`
BINS = 10  # of equal width over the top score, as in Guo et al. 2017, "On Calibration of Modern Neural Networks"


class Figures(NamedTuple):
    """What a run over labelled pictures says. Rates are of the pictures that did not fail; None if all did."""

    pictures: int  # failed ones included
    failed: int  # could not be read, so they say nothing about the model
    top1: float | None  # share in [0, 1] whose best candidate is the true species
    top3: float | None  # share in [0, 1] with the true species among the best three
    top1_standard_error: float | None  # of `top1`, as for independent pictures: sqrt(p (1 - p) / n)
    mean_score: float | None  # of the best candidates
    calibration_error: float | None  # distance of score and accuracy, averaged over the bins by their pictures


class Confusion(NamedTuple):
    """Pictures of one species that were taken for another."""

    true: int  # id in the label map
    predicted: int
    pictures: int


class Bin(NamedTuple):
    """The pictures whose top score lies in [low, high), in the last bin in [low, high]."""

    low: float
    high: float
    pictures: int
    mean_score: float | None  # None without pictures
    accuracy: float | None  # share whose best candidate is the true species


class Tally:
    """Counts results as they come."""

    def __init__(self) -> None:
        self.failed = 0  # pictures that have no predictions
        self._in_top = 0
        self._pictures = [0] * BINS
        self._right = [0] * BINS
        self._scores = [0.0] * BINS
        self._confused: dict[tuple[int, int], int] = {}

    def add(self, true: int, predictions: Sequence[Prediction]) -> None:
        """Count a picture of species `true`; `predictions` are its candidates, best first, at least one."""
        best = predictions[0]
        at = min(int(best.score * BINS), BINS - 1)
        self._pictures[at] += 1
        self._scores[at] += best.score
        if best.id == true:
            self._right[at] += 1
        else:
            pair = (true, best.id)
            self._confused[pair] = self._confused.get(pair, 0) + 1
        self._in_top += any(prediction.id == true for prediction in predictions[:TOP])

    def add_failed(self) -> None:
        """Count a picture that has no predictions."""
        self.failed += 1

    def figures(self) -> Figures:
        """The rates."""
        n = sum(self._pictures)
        if n == 0:
            return Figures(self.failed, self.failed, None, None, None, None, None)
        top1 = sum(self._right) / n
        gaps = (abs(right - score) for right, score in zip(self._right, self._scores, strict=True))
        return Figures(
            pictures=n + self.failed,
            failed=self.failed,
            top1=top1,
            top3=self._in_top / n,
            top1_standard_error=math.sqrt(top1 * (1 - top1) / n),
            mean_score=sum(self._scores) / n,
            calibration_error=sum(gaps) / n,  # pictures / n * |right / pictures - scores / pictures|, shortened
        )

    def confusions(self, most: int) -> list[Confusion]:
        """The `most` frequent ones, most frequent first, then by id."""
        ranked = sorted(self._confused.items(), key=lambda item: (-item[1], item[0]))
        return [Confusion(*pair, count) for pair, count in ranked[:most]]

    def calibration(self) -> list[Bin]:
        """All bins, from low scores to high ones."""
        return [
            Bin(
                at / BINS,
                (at + 1) / BINS,
                pictures,
                self._scores[at] / pictures if pictures else None,
                self._right[at] / pictures if pictures else None,
            )
            for at, pictures in enumerate(self._pictures)
        ]
