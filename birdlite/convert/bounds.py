"""How far a conversion may be from its source. The proof of a conversion and `model verify` use these bounds.

The birds model rounds at every layer, and such a network is chaotic. Its published form, the same network in floats and
its 8-bit forms differ by some hundredths in a score although they are all right. A dropped bias moves a score no more.
So there are two bounds: a wide one to the source as published, and a narrow one to the same network in floats, where a
fault shows. An int8 result is held to the narrow one with the rounding of its activations taken out, and on drawings
too, because a fault shows best where the network has nothing to recognise.

The figures in comments were measured with the official model and the stand-in for the Hub's model on six photographs.
Beside them is what the closest fault does; on photographs that is the classifier's bias dropped.
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
"""For int8 ONNX made of a `.tflite`. It rounds where its source does: on half of the pictures no score is a step off.

A sum halfway between two values moves the worst score by 0.027.
"""

FLOATS: dict[Quantize, Bounds] = {
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
    for quantize, bounds in AS_PUBLISHED.items():
        if quantize == card.quantization:
            return bounds
    return None
