"""Scores into predictions: the top k of one picture, best first. The pipeline calls it after each inference."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import nlargest

from birdlite.models.labels import Labels
from birdlite.results import Prediction


def top_k(scores: Sequence[float], labels: Labels, k: int, min_score: float) -> tuple[Prediction, ...]:
    """At most `k` predictions of at least `min_score`. Equal scores come in the order of their ids.

    The uint8 model's scores are multiples of 1/256, so ties are common and need a rule that never changes.
    """
    best = nlargest(k, range(len(scores)), key=scores.__getitem__)  # stable: equal to sorted(reverse=True)[:k]
    return tuple(
        Prediction(rank, key, labels.names[key], scores[key], labels.common[key])
        for rank, key in enumerate(best, start=1)
        if scores[key] >= min_score
    )
