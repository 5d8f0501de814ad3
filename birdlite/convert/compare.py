"""Compares the answers of two models on the same pictures. This is the proof at the end of every conversion."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite
from typing import NamedTuple

from birdlite.engines.contract import Engine
from birdlite.errors import InvalidModel


class Distance(NamedTuple):
    """How far the answers of one model are from another's."""

    pictures: int
    max_difference: float  # of any score of any picture
    median_difference: float  # over the pictures, of the largest difference of each
    mean_difference: float  # of all scores of all pictures
    top1: float  # share of pictures with the same best class
    top3: float  # mean share of the three best classes that both have


class Bounds(NamedTuple):
    """The largest distance that a conversion may have."""

    max_difference: float
    median_difference: float
    top1: float


def compare(reference: Engine, result: Engine, pictures: Iterable[bytes]) -> Distance:
    """Run both on every picture (uint8 RGB, [side, side, 3]) and measure.

    Raises:
        EngineError: one of them refused to run.
        InvalidModel: one of them gives scores that are not finite.
        ValueError: there are no pictures.
    """
    scores = same_best = 0
    total = common = 0.0
    largest: list[float] = []  # difference of each picture
    for pixels in pictures:
        (expected,), (found,) = reference.run(pixels), result.run(pixels)
        differences = [abs(a - b) for a, b in zip(expected, found, strict=True)]
        if not all(map(isfinite, differences)):
            raise InvalidModel("one of the two models gives scores that are no numbers")
        largest.append(max(differences))
        scores, total = scores + len(differences), total + sum(differences)
        best, also = _best(expected), _best(found)
        same_best += best[0] == also[0]
        common += len(set(best) & set(also)) / len(best)
    count = len(largest)
    if not count:
        raise ValueError("nothing to compare on")
    return Distance(count, max(largest), sorted(largest)[count // 2], total / scores, same_best / count, common / count)


def spell(distance: Distance) -> str:
    """The distance in one line for a person."""
    return (
        f"on {distance.pictures} pictures: largest difference of a score {distance.max_difference:.2g}, on half of "
        f"them {distance.median_difference:.2g}, same best class {distance.top1:.0%}, "
        f"three best in common {distance.top3:.0%}"
    )


def beyond(distance: Distance, bounds: Bounds) -> str | None:
    """How the distance exceeds the bounds, as a clause for a sentence; None if it does not."""
    if distance.max_difference > bounds.max_difference:
        return f"a score differs by {distance.max_difference:.4f}, more than {bounds.max_difference:g}"
    if distance.median_difference > bounds.median_difference:
        return (
            f"on half of the pictures a score differs by {distance.median_difference:.4f} or more, "
            f"more than {bounds.median_difference:g}"
        )
    if distance.top1 < bounds.top1:
        return f"the best class is the same for {distance.top1:.0%} of the pictures, less than {bounds.top1:.0%}"
    return None


def _best(scores: list[float]) -> list[int]:
    return sorted(range(len(scores)), key=scores.__getitem__, reverse=True)[:3]
