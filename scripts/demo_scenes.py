"""Where the demo's birds live: sky, leaves, water, meadow, and what stands about in them. Used by `demo_birds`.

The same scenes, without a bird but with fruit, stones and branches in a bird's colours, are the class `background`.
"""

from __future__ import annotations

import math
import random

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from scripts.demo_sketch import Colour, Placement, Point, Sketch, mix, shade, vary

SKIES: list[tuple[Colour, Colour]] = [
    ((122, 172, 222), (214, 230, 240)),
    ((168, 186, 204), (226, 226, 222)),
    ((92, 106, 150), (240, 178, 128)),
    ((240, 214, 176), (206, 220, 226)),
]
LEAVES: list[Colour] = [(74, 116, 58), (112, 148, 76), (48, 84, 56), (156, 166, 84), (172, 128, 60)]
WATERS: list[tuple[Colour, Colour]] = [
    ((124, 160, 176), (52, 92, 116)),
    ((150, 176, 160), (66, 98, 84)),
    ((196, 178, 160), (92, 100, 122)),
]
SOILS: list[Colour] = [(150, 132, 98), (116, 142, 80), (176, 164, 130), (92, 96, 84)]
BARK: list[Colour] = [(104, 82, 64), (78, 66, 60), (136, 116, 94)]
THINGS: list[Colour] = [  # what fruit, flowers and stones are painted with: near the colours of every bird
    (198, 66, 46),
    (34, 132, 142),
    (232, 188, 62),
    (62, 74, 96),
    (142, 102, 68),
    (72, 122, 74),
    (242, 230, 206),
    (230, 140, 52),
]


def scene(rng: random.Random, size: tuple[int, int]) -> Image.Image:
    """Paint an empty landscape of one of five kinds, `size` px."""
    kind = rng.choice(["sky", "leaves", "water", "meadow", "dim"])
    if kind == "sky":
        return _blobs(rng, _gradient(*rng.choice(SKIES), size), [(250, 250, 250)], rng.randint(0, 5), flat=0.35)
    if kind == "leaves":
        return _blobs(rng, _gradient(vary(rng, LEAVES[1]), vary(rng, LEAVES[2]), size), LEAVES, rng.randint(8, 26))
    if kind == "water":
        canvas = _gradient(*rng.choice(WATERS), size)
        return _blobs(rng, canvas, [(210, 222, 224), (70, 100, 110)], rng.randint(3, 10), flat=0.2)
    if kind == "meadow":
        horizon = rng.uniform(0.35, 0.8)
        canvas = _gradient(*rng.choice(SKIES), size)
        soil = vary(rng, rng.choice(SOILS))
        ground = _gradient(shade(soil, 1.1), shade(soil, 0.75), size)
        canvas.paste(ground, (0, round(size[1] * horizon)))
        return _blobs(rng, canvas, [soil, *LEAVES[:2]], rng.randint(4, 12), flat=0.5)
    return _blobs(rng, _gradient((70, 72, 78), (34, 36, 40), size), [*BARK, *LEAVES[:3]], rng.randint(4, 14))


def _gradient(top: Colour, bottom: Colour, size: tuple[int, int]) -> Image.Image:
    strip = Image.new("RGB", (1, 3))
    strip.putdata([top, mix(top, bottom, 0.5), bottom])
    return strip.resize(size, Image.Resampling.BICUBIC)


def _blobs(
    rng: random.Random, canvas: Image.Image, colours: list[Colour], count: int, *, flat: float = 1.0
) -> Image.Image:
    """Blurred spots out of focus, drawn at an eighth of the size and blown up, which is both fast and soft."""
    small = canvas.reduce(8)
    draw = ImageDraw.Draw(small, "RGBA")
    for _ in range(count):
        x, y = rng.uniform(0, small.width), rng.uniform(0, small.height)
        r = rng.uniform(0.04, 0.2) * small.height
        colour = (*vary(rng, rng.choice(colours)), rng.randint(50, 190))
        draw.ellipse([x - r, y - r * flat, x + r, y + r * flat], fill=colour)
    small = small.filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 2.5)))
    return small.resize(canvas.size, Image.Resampling.BICUBIC)


def branch(rng: random.Random, canvas: Image.Image, through: Point, thick: float) -> None:
    """Paint a branch, `thick` px, across the canvas, with twigs and leaves; its upper rim passes `through`."""
    w, h = canvas.size
    x0, y0 = through
    slope = rng.uniform(-0.22, 0.22)
    bark = vary(rng, rng.choice(BARK))
    bend = [rng.uniform(-0.5, 0.5) * thick for _ in range(2)]
    reach = w + h

    def rim(x: float) -> float:
        side = bend[0] if x < x0 else bend[1]
        return y0 + (x - x0) * slope + side * (1 - math.exp(-abs(x - x0) / (6 * thick)))

    start = x0 - reach if rng.random() < 0.7 else x0 - rng.uniform(2, 6) * thick
    xs = [start + (x0 + reach - start) * i / 24 for i in range(25)]
    sketch = Sketch()
    for _ in range(rng.randint(0, 4)):
        x = rng.uniform(max(0, start), w)
        tip = (x + rng.uniform(-6, 6) * thick, rim(x) + rng.choice([-1, 1]) * rng.uniform(2, 6) * thick)
        sketch.line([(x, rim(x) + thick / 2), ((x + tip[0]) / 2 + thick, (rim(x) + tip[1]) / 2), tip], bark, thick / 3)
        _leaf(rng, sketch, tip, thick * rng.uniform(1.5, 3))
    rims = [(x, rim(x)) for x in xs] + [(x, rim(x) + thick) for x in reversed(xs)]
    sketch.shape(rims, bark, soft=False)
    low = [(x, rim(x) + thick * 0.68) for x in xs]
    sketch.line(low, shade(bark, 0.8), thick * 0.3)
    sketch.paint(ImageDraw.Draw(canvas), Placement(1.0, 0.0, False, (0.0, 0.0)))


def _leaf(rng: random.Random, sketch: Sketch, at: Point, length: float) -> None:
    place = Placement(length, rng.uniform(0, 2 * math.pi), False, at)
    outline = [place.at(p) for p in [(0.0, 0.0), (0.35, -0.22), (1.0, 0.0), (0.35, 0.22)]]
    colour = vary(rng, rng.choice(LEAVES))
    sketch.shape(outline, colour)
    sketch.line([outline[0], place.at((0.8, 0.0))], shade(colour, 0.75), length * 0.03)


def shore(rng: random.Random, canvas: Image.Image, at: Point, reach: float) -> None:
    """Paint what a bird stands on: a soft shadow, or rings of water, around its feet and about `reach` px wide."""
    draw = ImageDraw.Draw(canvas, "RGBA")
    x, y = at
    wet = rng.random() < 0.5
    for ring in range(3):
        rx = reach * (0.35 + 0.3 * ring) * rng.uniform(0.8, 1.2)
        ry = rx * 0.2
        box = [x - rx, y - ry, x + rx, y + ry]
        if wet:
            draw.ellipse(box, outline=(240, 246, 248, 130 - 30 * ring), width=max(2, round(reach * 0.02)))
        else:
            draw.ellipse(box, fill=(40, 36, 30, 46))


def flood(rng: random.Random, canvas: Image.Image, line: float, centre: float, reach: float) -> None:
    """Pour water over everything below `line`, a broken mirror image of what stands above, and a wake of `reach` px."""
    w, h = canvas.size
    top, bottom = rng.choice(WATERS)
    level = min(max(round(line), 2), h - 2)
    depth = h - level
    above = canvas.crop((0, max(0, level - depth), w, level)).transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    mirrored = above.resize((w, depth)).filter(ImageFilter.GaussianBlur(5))
    water = _gradient(vary(rng, top, 10), vary(rng, bottom, 10), (w, depth))
    canvas.paste(Image.blend(water, mirrored, rng.uniform(0.15, 0.4)), (0, level))
    draw = ImageDraw.Draw(canvas, "RGBA")
    for _ in range(rng.randint(6, 16)):
        y = level + depth * rng.random() ** 1.5
        x, half = rng.uniform(0, w), rng.uniform(0.05, 0.2) * w
        draw.line([(x - half, y), (x + half, y)], fill=(235, 242, 244, rng.randint(30, 110)), width=rng.randint(2, 5))
    for step in range(3):
        half, y = reach * (0.62 + 0.2 * step), level + reach * 0.05 * step
        draw.arc([centre - half, y - half * 0.1, centre + half, y + half * 0.1], 0, 180, (246, 250, 250, 140), 4)


def clutter(rng: random.Random, canvas: Image.Image, count: int) -> None:
    """Strew fruit, stones, flowers, twigs and leaves about: round, long and pointed things that are no bird."""
    w, h = canvas.size
    sketch = Sketch()
    for _ in range(count):
        at = (rng.uniform(0, w), rng.uniform(0, h))
        size = rng.uniform(0.03, 0.16) * h
        colour = vary(rng, rng.choice(THINGS))
        kind = rng.choice(["fruit", "stone", "flower", "twig", "leaf", "leaf", "spots"])
        if kind == "fruit":
            sketch.oval(at, size, size * rng.uniform(0.8, 1.1), colour)
            sketch.oval((at[0] - size * 0.3, at[1] - size * 0.3), size * 0.2, size * 0.2, shade(colour, 1.35), edge=1.3)
        elif kind == "stone":
            sketch.oval(at, size * rng.uniform(1, 2.2), size, colour, turn=rng.uniform(-0.4, 0.4))
        elif kind == "flower":
            for petal in range(5):
                place = Placement(size, petal * 1.257, False, at)
                sketch.oval(place.at((0.7, 0.0)), size * 0.5, size * 0.3, colour, turn=petal * 1.257)
            sketch.oval(at, size * 0.3, size * 0.3, vary(rng, (232, 190, 70)))
        elif kind == "twig":
            ends = [(at[0] + rng.uniform(-6, 6) * size, at[1] + rng.uniform(-6, 6) * size) for _ in range(2)]
            sketch.line([ends[0], at, ends[1]], vary(rng, rng.choice([*BARK, colour])), size * rng.uniform(0.1, 0.4))
        elif kind == "leaf":
            _leaf(rng, sketch, at, size * 3)
        else:
            for _ in range(rng.randint(2, 5)):
                spot = (at[0] + rng.uniform(-2, 2) * size, at[1] + rng.uniform(-2, 2) * size)
                sketch.oval(spot, size * 0.35, size * 0.35, colour)
    sketch.paint(ImageDraw.Draw(canvas), Placement(1.0, 0.0, False, (0.0, 0.0)))


def expose(rng: random.Random, picture: Image.Image) -> Image.Image:
    """Apply light, colour cast, focus and grain of the camera that took the picture."""
    if rng.random() < 0.3:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.2)))
    light = rng.uniform(0.72, 1.2)
    lift = rng.uniform(0, 22)
    table: list[int] = []
    for _ in range(3):
        gain = light * rng.uniform(0.93, 1.07)
        table.extend(min(255, round(value * gain + lift)) for value in range(256))
    picture = picture.point(table)
    strength = rng.choice([0.0, 0.03, 0.06, 0.1])
    if strength:
        w, h = picture.size
        grain = Image.frombytes("L", (w, h), rng.randbytes(w * h)).point(lambda v: 128 + (v - 128) * strength)
        grains = Image.merge("RGB", (grain, grain, grain))
        picture = ImageChops.add(picture, grains, 1.0, -128)
    return picture
