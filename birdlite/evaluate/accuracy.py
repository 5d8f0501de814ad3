"""How often, and how surely, a model is right: counters over labelled results, and the figures that they make.

Only counters are kept, so memory grows with the species that are confused, not with the pictures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from birdlite.results import Prediction

TOP = 3  # predictions that a picture needs for `top3`
Z = 1.959964  # the normal distribution has 95 % within so many standard deviations of its mean
BINS = 10  # of equal width over the top score, as in Guo et al. 2017, "On Calibration of Modern Neural Networks"


class Figures(NamedTuple):
    """What a run over labelled pictures says. Rates are of the pictures that did not fail; None if all did."""

    pictures: int  # failed ones included
    failed: int  # could not be read, so they say nothing about the model
    top1: float | None  # share in [0, 1] whose best candidate is the true species
    top1_low: float | None  # the 95 % interval of `top1`, by `wilson_interval`
    top1_high: float | None
    top3: float | None  # share in [0, 1] with the true species among the best three
    mean_score: float | None  # of the best candidates
    calibration_error: float | None  # distance of score and accuracy, averaged over the bins by their pictures


def wilson_interval(right: int, pictures: int) -> tuple[float, float]:
    """Where the true share lies, in [0, 1], if `right` of `pictures` were right: low and high end of 95 %.

    This is the score interval of Wilson 1927, "Probable Inference, the Law of Succession, and Statistical Inference".
    Brown, Cai and DasGupta 2001, "Interval Estimation for a Binomial Proportion", recommend it for small numbers too:
    2 right ones of 2 give 0.34 to 1. The usual sqrt(p (1 - p) / n) would be 0 then, as if no picture could go wrong.
    The pictures count as independent of each other.
    """
    share = right / pictures
    of_z = Z * Z / pictures
    middle = (share + of_z / 2) / (1 + of_z)
    reach = math.sqrt(share * (1 - share) * of_z + of_z * of_z / 4) / (1 + of_z)
    return max(middle - reach, 0.0), min(middle + reach, 1.0)


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
            return Figures(self.failed, self.failed, None, None, None, None, None, None)
        right = sum(self._right)
        low, high = wilson_interval(right, n)
        gaps = (abs(hits - score) for hits, score in zip(self._right, self._scores, strict=True))
        return Figures(
            pictures=n + self.failed,
            failed=self.failed,
            top1=right / n,
            top1_low=low,
            top1_high=high,
            top3=self._in_top / n,
            mean_score=sum(self._scores) / n,
            calibration_error=sum(gaps) / n,  # pictures / n * |hits / pictures - scores / pictures|, shortened
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
