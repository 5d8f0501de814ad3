"""Which species of a model a label means. Called by `Comparison`.

A label is the scientific or the common name, in any case, with spaces, underscores or hyphens between its words:
folders are seldom called as a label map spells it.
"""

from __future__ import annotations

from collections.abc import Iterable

from birdlite.errors import UsageError
from birdlite.evaluate.labelled import Label
from birdlite.models.labels import Labels

NEAREST = 3  # names proposed for an unknown label
MOST_UNKNOWN = 6  # unknown labels looked for before the user is told

_SAME = str.maketrans({"_": " ", "-": " ", "\u2019": "'", "×": "x"})  # a typographic apostrophe, the sign of a hybrid


class Species:
    """The names of one model's outputs, to be looked up."""

    def __init__(self, model: str, labels: Labels) -> None:
        """Index the labels of the model called `model`."""
        self._model = model
        self._labels = labels
        self._scientific: dict[str, list[int]] = {}
        self._common: dict[str, list[int]] = {}
        for key, (name, common) in enumerate(zip(labels.names, labels.common, strict=True)):
            self._scientific.setdefault(_plain(name), []).append(key)
            if common:
                self._common.setdefault(_plain(common), []).append(key)

    def find(self, label: Label) -> int:
        """The id of the species. A scientific name counts before a common one that is spelt the same.

        Raises:
            UsageError: no species has this name, or several have.
        """
        ids = self._ids(label)
        if not ids:
            raise UsageError(self._unknown(label))
        if len(ids) > 1:
            which = ", ".join(f"{self._labels.names[key]} ({key})" for key in ids)
            raise UsageError(f"{label.place}: {label.text!r} is the name of several species of {self._model}: {which}")
        return ids[0]

    def check(self, labels: Iterable[Label]) -> None:
        """Look up every label, so that a wrong one is known before any picture is classified.

        Raises:
            UsageError: no species has one of these names, or several have.
        """
        unknown: dict[str, Label] = {}
        for label in labels:
            if self._ids(label):
                self.find(label)
            elif len(unknown) < MOST_UNKNOWN:
                unknown.setdefault(label.text, label)
            else:
                break
        if unknown:
            first, *others = unknown.values()
            more = f"; unknown too: {', '.join(repr(label.text) for label in others)}" if others else ""
            raise UsageError(self._unknown(first) + more)

    def _ids(self, label: Label) -> list[int]:
        key = _plain(label.text)
        return self._scientific.get(key) or self._common.get(key) or []

    def _unknown(self, label: Label) -> str:
        from difflib import get_close_matches

        near = get_close_matches(_plain(label.text), [*self._scientific, *self._common], NEAREST)
        names = (
            self._labels.names[key] if plain in self._scientific else f"{self._labels.common[key]}"
            for plain in near
            for key in (self._scientific.get(plain) or self._common[plain])[:1]
        )
        nearest = f"; nearest: {', '.join(names)}" if near else ", and none with a similar name"
        return f"{label.place}: {self._model} knows no species {label.text!r}{nearest}"


def _plain(name: str) -> str:
    if not name.isascii():
        from unicodedata import normalize

        name = normalize("NFC", name)  # macOS gives names of files with their accents apart
    return " ".join(name.translate(_SAME).casefold().split())
