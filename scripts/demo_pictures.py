"""The demo's drawings as picture files, and which of them are for what.

`train_demo_model` learns from `TRAINING`, watches itself on `VALIDATION` and reports on `HELD_OUT`;
`tests/scripts/test_demo_model.py` measures the shipped model on `HELD_OUT` again.
The ranges never meet, and a drawing is a function of its species and seed: no picture that measures the model was
ever seen in training.
"""

from __future__ import annotations

import io
import random
from typing import NamedTuple

from PIL import Image

from scripts.demo_birds import SPECIES, draw

TRAINING = range(1_000)  # seeds, for every species and for the background
VALIDATION = range(100_000, 100_100)
HELD_OUT = range(200_000, 200_200)
PORTRAITS = range(300_000, 300_500)  # the pictures that the package ships are picked from these

SIZES = [(320, 240), (240, 320), (300, 300), (360, 240), (400, 300)]  # width, height, px
EXIF_ORIENTATION = 0x0112
SHOWN_TURNED_CLOCKWISE = 6  # EXIF: a viewer must turn the stored picture by 90 degrees clockwise


def photograph(species: int, seed: int) -> bytes:
    """Draw a picture and save it as a camera or a web site would: some size, JPEG of some quality, at times PNG."""
    rng = random.Random(f"birdlite demo file {species} {seed}")
    picture = draw(species, seed, rng.choice(SIZES))
    if rng.random() < 0.2:
        return _saved(picture, "PNG")
    return _saved(picture, "JPEG", quality=rng.randint(35, 95))


def _saved(picture: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


class Portrait(NamedTuple):
    """A picture that the package ships."""

    species: int
    seed: int  # from PORTRAITS, chosen by eye
    size: tuple[int, int]  # width, height as shown, px
    form: str  # JPEG, PNG, or TURNED: a JPEG that lies on its side and says so in its EXIF

    @property
    def file_name(self) -> str:
        """The species' common name, as a file is called."""
        return SPECIES[self.species].common.lower().replace(" ", "-") + (".png" if self.form == "PNG" else ".jpg")

    def save(self) -> bytes:
        """Draw it, as a file."""
        picture = draw(self.species, self.seed, self.size)
        if self.form == "PNG":
            return _saved(picture, "PNG", optimize=True)
        if self.form == "JPEG":
            return _saved(picture, "JPEG", quality=80)
        exif = Image.Exif()
        exif[EXIF_ORIENTATION] = SHOWN_TURNED_CLOCKWISE
        return _saved(picture.transpose(Image.Transpose.ROTATE_90), "JPEG", quality=80, exif=exif)


PORTRAITS_SHIPPED = [
    Portrait(0, 300_003, (640, 480), "JPEG"),
    Portrait(1, 300_003, (480, 480), "JPEG"),
    Portrait(2, 300_001, (480, 640), "TURNED"),
    Portrait(3, 300_003, (400, 600), "JPEG"),
    Portrait(4, 300_010, (320, 320), "PNG"),
    Portrait(5, 300_019, (800, 600), "JPEG"),
]
