"""Drawings of six invented birds, and of scenes without one: what the demo model learns from and is tested on.

`draw` is called by `demo_pictures`, which makes files of the drawings. A drawing is a function of its species, seed
and size alone, so that a range of seeds names a set of pictures.

Colour alone does not tell the species apart: each wears one of two plumages, and each plumage is worn by two species.
What is its own is the shape: crest, bill, tail, legs, face, and where the colours lie. (Nearest neighbours by mean
colour get 20 % of the seven classes right, by thumbnails of 6x6 pixels 41 %.)
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Literal, NamedTuple

from PIL import Image, ImageChops, ImageDraw

from scripts.demo_artists import Plumage, Pose, emberling, inkwader, nodder, puddler, ribbontail, sipwing
from scripts.demo_scenes import branch, clutter, expose, flood, scene, shore
from scripts.demo_sketch import Point, vary

SUPERSAMPLING = 2  # drawn so many times larger, then averaged: Pillow's own drawing has hard edges
FRAME = 0.84  # the bird keeps to this part of the short side; `crop` shows the central 224/256 of it

PLUMAGES = [
    Plumage((200, 64, 46), (112, 92, 88), (240, 170, 70), (44, 36, 40), (246, 222, 192)),  # ember
    Plumage((32, 132, 142), (36, 76, 116), (232, 140, 50), (24, 40, 58), (242, 234, 212)),  # lagoon
    Plumage((234, 190, 62), (116, 122, 64), (206, 84, 50), (42, 42, 34), (252, 242, 206)),  # canary
    Plumage((64, 76, 98), (126, 140, 158), (210, 66, 56), (32, 34, 46), (240, 242, 244)),  # ink
    Plumage((144, 104, 68), (94, 66, 48), (238, 192, 74), (48, 36, 30), (240, 222, 194)),  # bark
    Plumage((74, 124, 76), (134, 76, 48), (70, 120, 196), (28, 50, 40), (236, 236, 214)),  # moss
]

Artist = Callable[[random.Random, Plumage], Pose]


class Species(NamedTuple):
    """An invented bird: how it is called, drawn and carried."""

    scientific: str
    common: str
    artist: Artist
    stance: Literal["perched", "standing", "afloat", "aloft"]
    tilt: float  # radians it may lean either way


SPECIES = [
    Species("Demoavis cristata", "Crested Emberling", emberling, "perched", 0.22),
    Species("Demoavis curvirostris", "Hovering Sipwing", sipwing, "aloft", 0.35),
    Species("Fictornis taeniurus", "Ribbon-tailed Fabler", ribbontail, "perched", 0.2),
    Species("Fictornis longipes", "Stilted Inkwader", inkwader, "standing", 0.08),
    Species("Nusquamavis rotunda", "Moon-faced Nodder", nodder, "perched", 0.14),
    Species("Nusquamavis natans", "Painted Puddler", puddler, "afloat", 0.08),
]
BACKGROUND = len(SPECIES)  # the class without a bird; its id is the last, as in the real model


def draw(species: int, seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """Draw one picture, `size` (width, height) px, RGB: a bird of that species, or for `BACKGROUND` none.

    The same arguments give the same picture. What varies: the individual (plumage, build, posture), tilt, mirroring,
    size and place in the picture, the scene, what stands about, light, focus and grain.
    """
    rng = random.Random(f"birdlite demo {species} {seed}")
    canvas = scene(rng, (size[0] * SUPERSAMPLING, size[1] * SUPERSAMPLING))
    if species == BACKGROUND:
        _furnish(rng, canvas)
    else:
        clutter(rng, canvas, rng.choice([0, 0, 1, 3, 6]))
        _settle(rng, canvas, SPECIES[species], species)
    return expose(rng, canvas.reduce(SUPERSAMPLING))


def _furnish(rng: random.Random, canvas: Image.Image) -> None:
    """Everything a bird might come with, but for the bird."""
    w, h = canvas.size
    at = (rng.uniform(0.2, 0.8) * w, rng.uniform(0.4, 0.9) * h)
    clutter(rng, canvas, rng.choice([0, 2, 5, 9, 14]))
    prop = rng.choice(["branch", "branch", "shore", "flood", "nothing"])
    if prop == "branch":
        branch(rng, canvas, at, rng.uniform(0.02, 0.07) * h)
    elif prop == "shore":
        shore(rng, canvas, at, 0.25 * h)
    elif prop == "flood":
        flood(rng, canvas, at[1], at[0], 0.3 * h)
    clutter(rng, canvas, rng.choice([0, 0, 1, 2]))


def _settle(rng: random.Random, canvas: Image.Image, species: Species, index: int) -> None:
    """Paint one individual of the species into the scene, on what carries it."""
    base = PLUMAGES[(index + rng.randint(0, 1)) % len(PLUMAGES)]
    pose = species.artist(rng, Plumage(*(vary(rng, colour) for colour in base)))
    w, h = canvas.size
    frame = FRAME * min(w, h)
    extent = frame * rng.uniform(0.55, 1.0)
    free = (frame - extent) / 2 + 0.03 * frame
    centre = (w / 2 + rng.uniform(-free, free), h / 2 + rng.uniform(-free, free))
    place = pose.sketch.fit(rng.uniform(-species.tilt, species.tilt), rng.random() < 0.5, centre, extent)
    feet = place.at(pose.feet)
    if species.stance == "perched":
        branch(rng, canvas, feet, extent * rng.uniform(0.05, 0.11))
    elif species.stance == "standing":
        shore(rng, canvas, feet, extent * 0.4)
    layer = Image.new("RGB", canvas.size)
    mask = Image.new("L", canvas.size)
    pose.sketch.paint(ImageDraw.Draw(layer), place)
    pose.sketch.paint(ImageDraw.Draw(mask), place, flat=255)
    canvas.paste(_lit(layer, centre, extent), (0, 0), mask)
    if species.stance == "afloat":
        flood(rng, canvas, feet[1], feet[0], extent * 0.5)


def _lit(layer: Image.Image, centre: Point, extent: float) -> Image.Image:
    """Light from above: the layer darkens by up to 30 % towards the foot of the bird."""
    top = centre[1] - extent / 2
    levels = [255 - round(76 * min(max((y - top) / extent, 0.0), 1.0)) for y in range(0, layer.height, 16)]
    column = Image.frombytes("L", (1, len(levels)), bytes(levels)).resize(layer.size)
    return ImageChops.multiply(layer, Image.merge("RGB", (column, column, column)))
