"""The proof at the end of every conversion: how far two models are apart, and how far they may be.

The birds model rounds at every layer, and such a network is chaotic. Its published form, the same network in floats and
its 8-bit forms differ by some hundredths in a score although they are all right. A dropped bias moves a score no more.
So there are two bounds: a wide one to the source as published, and a narrow one to the same network in floats, where a
fault shows. An int8 result is held to the narrow one with the rounding of its activations taken out, and on drawings
too, because a fault shows best where the network has nothing to recognise.

The figures in comments were measured with the official model and the stand-in for the Hub's model on six photographs.
Beside them is what the closest fault does; on photographs that is the classifier's bias dropped.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite
from typing import Literal, NamedTuple

from birdlite import log
from birdlite.engines.contract import Engine
from birdlite.errors import InvalidModel
from birdlite.models.card import Card

Quantize = Literal["none", "float16", "int8"]


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


AS_PUBLISHED: dict[str, Bounds] = {
    "none": Bounds(0.07, 0.07, 1.0),  # 0.066 and less
    "float16": Bounds(0.07, 0.07, 1.0),
    "int8": Bounds(0.1, 0.1, 0.9),  # 0.05
}

SAME_GRIDS = Bounds(0.1, 1 / 256, 0.9)
"""For int8 ONNX made of a `.tflite`. It rounds where its source does: on half of the pictures no score is a step off.

A sum halfway between two values moves the worst score by 0.027.
"""

FLOATS: dict[str, Bounds] = {
    "none": Bounds(1e-4, 1e-4, 1.0),  # 1e-6; 0.056 without the bias
    "float16": Bounds(2e-2, 2e-2, 1.0),  # 5e-4; 0.057
    "int8": Bounds(0.12, 0.12, 0.8),  # 0.033, and 0.07 on the demo's drawings; 0.2 without a clip, 0.6 without the bias
}

REQUANTISED = Bounds(0.1, 0.03, 0.9)
"""For an int8 `.tflite` made of a uint8 one: a few weights in a thousand are rounded anew, and the network is chaotic.

Measured: 0.027 and 0.012, and 0.051 and 0.023 on the same photographs in two other sizes. The source itself without its
rounding is as far away. With biases left in the old steps, or weights rounded down, half of them are 0.039 or more off.
"""

TWO_WAYS = Bounds(0.03, 0.03, 1.0)
"""For ONNX in floats made of a `.tflite`, which has no floats itself: it is held to its int8 form without rounding.

Measured: 0.016, and 0.056 without the bias.
"""


def bounds_of(card: Card) -> Bounds | None:
    """How far a converted model may be from its source as published; None for any other model."""
    if "source_sha256" not in card.made_with:
        return None
    if card.quantization == "int8" and card.made_with.get("source_format") == "tflite":
        return REQUANTISED if card.format == "tflite" else SAME_GRIDS
    return AS_PUBLISHED.get(card.quantization)


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
        f"on {log.counted(distance.pictures, 'picture')}: largest difference of a score {distance.max_difference:.2g},"
        f" on half of them {distance.median_difference:.2g}, same best class {distance.top1:.0%}, "
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
