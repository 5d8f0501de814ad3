"""How far a conversion may be from its source: what its proof is held to, and `model verify` again later.

The birds model rounds at every layer, and such a network is chaotic: its published form, the same in floats and its
8-bit forms differ by some hundredths in a score where they are all right, and a dropped bias moves it by no more. So
there are two bounds: a wide one to the source as published, and a narrow one to the same network in floats, where a
fault shows. What is int8 is held to the second with the rounding of its activations taken out, on drawings too: a
network that has nothing to recognise shows a fault best.

All figures: the official model and the stand-in for the Hub's, six photographs; beside each, what the closest fault
does, which on photographs is the classifier's bias dropped.
"""

from __future__ import annotations

from birdlite.convert.compare import Bounds
from birdlite.convert.conversion import Quantize
from birdlite.models.card import Card

AS_PUBLISHED: dict[Quantize, Bounds] = {
    "none": Bounds(0.07, 0.07, 1.0),  # 0.066 and less
    "float16": Bounds(0.07, 0.07, 1.0),
    "int8": Bounds(0.1, 0.1, 0.9),  # 0.05
}

SAME_GRIDS = Bounds(0.1, 1 / 256, 0.9)
"""For the int8 of a `.tflite`, which rounds where its source does: on half of the pictures no score is a step off.

A sum halfway between two values moves the worst by 0.027.
"""

FLOATS: dict[Quantize, Bounds] = {
    "none": Bounds(1e-4, 1e-4, 1.0),  # 1e-6; 0.056 without the bias
    "float16": Bounds(2e-2, 2e-2, 1.0),  # 5e-4; 0.057
    "int8": Bounds(0.12, 0.12, 0.8),  # 0.033, and 0.07 on the demo's drawings; 0.2 without a clip, 0.6 without the bias
}

REQUANTISED = Bounds(0.1, 0.03, 0.9)
"""For a `.tflite` made int8 of one that was uint8: a few weights in a thousand are rounded anew, chaos does the rest.

0.027 and 0.012; on the same photographs in two other sizes 0.051 and 0.023. The source itself without its rounding is
as far from it. With biases left in the old steps, or weights rounded down, it is 0.039 and more on half of them.
"""

TWO_WAYS = Bounds(0.03, 0.03, 1.0)
"""For the floats of a `.tflite`, which has none itself: they are held to its int8 form without the rounding.

0.016 apart, and 0.056 without the bias.
"""


def bounds_of(card: Card) -> Bounds | None:
    """How far a converted model may be from its source as published; None for any other model."""
    if "source_sha256" not in card.made_with:
        return None
    if card.quantization == "int8" and card.made_with.get("source_format") == "tflite":
        return REQUANTISED if card.format == "tflite" else SAME_GRIDS
    for quantize, bounds in AS_PUBLISHED.items():
        if quantize == card.quantization:
            return bounds
    return None
