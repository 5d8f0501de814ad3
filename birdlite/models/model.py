"""A model that is here, whole and verified: what the store, bundles and bare files all come to, and engines load."""

from __future__ import annotations

from birdlite.models.bundle import LABELS_FILE, MODEL_FILES, NAMES_FILE
from birdlite.models.card import Card, ModelBytes
from birdlite.models.labels import Labels, read_labels
from birdlite.namedtuple import NamedTuple


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


def model_of(card: Card, files: dict[str, ModelBytes], folder: str | None) -> Model:
    """The model that a card's files make; they are verified already.

    Raises:
        InvalidModel: its labels do not fit it.
    """
    return Model(card, files[MODEL_FILES[card.format]], labels_of(card, files), folder)


def labels_of(card: Card, files: dict[str, ModelBytes]) -> Labels:
    """The labels among a card's files.

    Raises:
        InvalidModel: they do not fit the model.
    """
    names = files.get(NAMES_FILE)
    return read_labels(bytes(files[LABELS_FILE]), None if names is None else bytes(names), card.classes)
