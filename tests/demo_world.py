"""The demo's model and pictures as tests use them: real files, a real interpreter, invented birds."""

from __future__ import annotations

from pathlib import Path

from birdlite.demo import FOLDER, PICTURES_FOLDER

MODEL = Path(FOLDER) / "model.tflite"
LABELS = Path(FOLDER) / "labels.csv"
PICTURES = sorted(Path(PICTURES_FOLDER).iterdir())


def species_of(picture: Path | str) -> str:
    """The slug of the species in a demo picture: `crested-emberling` for `.../crested-emberling.jpg`."""
    return Path(picture).stem


def slug(common_name: str | None) -> str:
    """A common name as the demo's file names spell it."""
    return (common_name or "").lower().replace(" ", "-")
