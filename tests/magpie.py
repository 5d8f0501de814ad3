"""A published model of three files, which tests serve and download. No runtime could run it."""

from __future__ import annotations

import hashlib
import random

from birdlite.models.card import Card, FileFact, Tensor
from birdlite.models.catalog import Entry, Source

MODEL = random.Random(1).randbytes(300_000)
LABELS = b"id,name\n1,background\n0,Pica ficta\n"
NAMES = b"Pica ficta (Invented Magpie)\nbackground\n"
CONTENTS = {"model.tflite": MODEL, "labels.csv": LABELS, "names.txt": NAMES}


def fact(data: bytes) -> FileFact:
    return FileFact(len(data), hashlib.sha256(data).hexdigest())


def entry_at(base: str) -> Entry:
    """A published model of three files, each at its name under `base`."""
    card = Card(
        name="magpie",
        format="tflite",
        input=Tensor((1, 8, 8, 3), "uint8"),
        output=Tensor((1, 2), "uint8", 1 / 256, 0),
        files={name: fact(data) for name, data in CONTENTS.items()},
        source="https://example.org/magpie",
    )
    return Entry(card, "a magpie", {name: (Source(f"{base}/{name}"),) for name in CONTENTS})
