"""A model that is here, whole and verified: what the store, bundles and bare files all come to, and engines load."""

from __future__ import annotations

from typing import NamedTuple

from birdlite.models.bundle import MODEL_FILES
from birdlite.models.card import Card, ModelBytes
from birdlite.models.labels import Labels


class Model(NamedTuple):
    """A verified model, in memory or mapped."""

    card: Card
    data: ModelBytes
    labels: Labels
    folder: str | None  # its bundle on disk, or None for one that is in memory only

    @property
    def sha256(self) -> str:
        """Of the model file, 64 hexadecimal digits."""
        return self.card.files[MODEL_FILES[self.card.format]].sha256
