"""How each of the demo's six invented birds is drawn: one function a species. Used by `demo_birds`.

A bird looks to the right, is about one unit long, and has the middle of its body near (0, 0). What an artist varies is
posture and build; colours come with the plumage, and place, size, tilt and mirroring are the caller's.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from scripts.demo_sketch import Colour, Point, Sketch, mix, shade


class Plumage(NamedTuple):
    """The colours of one individual, by what they are for."""

    main: Colour
    second: Colour
    accent: Colour
    dark: Colour
    light: Colour


class Pose(NamedTuple):
    """A bird ready to be placed: its strokes, and the point (in its units) where it meets what carries it."""

    sketch: Sketch
    feet: Point


def _eye(sketch: Sketch, at: Point, r: float, iris: Colour | None = None) -> None:
    if iris is not None:
        sketch.oval(at, r * 1.55, r * 1.55, iris)
    sketch.oval(at, r, r, (22, 20, 24), edge=1.0)
    sketch.oval((at[0] + r * 0.3, at[1] - r * 0.35), r * 0.35, r * 0.35, (250, 250, 250), edge=1.0)


def _feather_lines(sketch: Sketch, start: Point, step: Point, reach: Point, colour: Colour, count: int = 3) -> None:
    for i in range(count):
        x, y = start[0] + step[0] * i, start[1] + step[1] * i
        sketch.line([(x, y), (x + reach[0] * 0.5, y + reach[1] * 0.35), (x + reach[0], y + reach[1])], colour, 0.014)


def _perching_legs(sketch: Sketch, colour: Colour, xs: tuple[float, float], top: float, foot: float) -> None:
    for x in xs:
        sketch.line([(x - 0.02, top), (x, foot)], colour, 0.028)
        for toe in (-0.06, 0.0, 0.06):
            sketch.line([(x, foot - 0.01), (x + toe, foot + 0.045)], colour, 0.026)


def emberling(rng: random.Random, p: Plumage) -> Pose:
    """Sketch a plump songbird with a tall pointed crest, a mask and a seed-eater's bill."""
    s = Sketch()
    fat, lift, nod = rng.uniform(-0.03, 0.05), rng.uniform(-0.06, 0.06), rng.uniform(-0.03, 0.03)
    head = (0.24, -0.33 + nod)
    tail = shade(p.second, 0.9)
    s.shape([(-0.32, 0.06), (-0.86, 0.34 + lift), (-0.9, 0.46 + lift), (-0.72, 0.47 + lift), (-0.24, 0.26)], tail)
    s.line([(-0.36, 0.16), (-0.8, 0.41 + lift)], shade(tail, 0.7), 0.016)
    _perching_legs(s, shade(p.dark, 1.3), (0.0, 0.14), 0.26, 0.44)
    crest = [(0.40, -0.42 + nod), (0.30, -0.60 + nod), (0.05, -0.90 + nod + lift), (0.12, -0.66 + nod)]
    s.shape([*crest, (-0.06, -0.72 + nod + lift), (0.06, -0.40 + nod), (0.2, -0.3 + nod)], p.main)
    s.shape(
        [
            *[(-0.36, 0.14), (-0.2, -0.1), (0.06, -0.3 + nod), (0.2, -0.48 + nod), (0.36, -0.46 + nod)],
            *[(0.42, -0.3 + nod), (0.42 + fat, -0.04), (0.32 + fat, 0.18), (0.1, 0.32 + fat), (-0.2, 0.28)],
        ],
        p.main,
    )
    s.shape([(0.38 + fat, 0.0), (0.28 + fat, 0.19), (0.08, 0.3 + fat), (-0.18, 0.26), (0.08, 0.14)], p.light, edge=0.88)
    s.shape(
        [(0.1, -0.14), (-0.1, -0.12), (-0.34, 0.1), (-0.62, 0.3), (-0.3, 0.26), (0.02, 0.16), (0.14, 0.0)], p.second
    )
    _feather_lines(s, (0.06, 0.0), (-0.06, 0.06), (-0.36, 0.2), shade(p.second, 0.68))
    s.shape([(0.28, -0.38 + nod), (0.46, -0.4 + nod), (0.46, -0.22 + nod), (0.3, -0.2 + nod)], p.dark)
    s.shape([(0.42, -0.38 + nod), (0.64, -0.27 + nod), (0.42, -0.2 + nod)], p.accent, soft=False)
    s.line([(0.43, -0.28 + nod), (0.6, -0.27 + nod)], shade(p.accent, 0.6), 0.014)
    _eye(s, (head[0] + 0.06, head[1] - 0.03), 0.036)
    return Pose(s, (0.07, 0.44))


def sipwing(rng: random.Random, p: Plumage) -> Pose:
    """Sketch a small round hoverer with a long down-curved bill and both wings raised."""
    s = Sketch()
    beat, bend, fan = rng.uniform(-0.22, 0.2), rng.uniform(0.02, 0.14), rng.uniform(-0.06, 0.06)
    s.shape(
        [(-0.18, 0.16), (-0.46, 0.36 + fan), (-0.4, 0.46 + fan), (-0.3, 0.42), (-0.28, 0.52 + fan), (-0.06, 0.26)],
        p.second,
    )
    far = [(0.02, -0.1), (0.1 + beat, -0.5), (0.34 + beat, -0.84), (0.36 + beat, -0.5), (0.2, -0.06)]
    s.shape(far, shade(p.second, 0.82))
    s.shape(
        [(-0.22, 0.2), (-0.16, -0.04), (0.06, -0.2), (0.26, -0.14), (0.3, 0.06), (0.14, 0.28), (-0.08, 0.34)], p.main
    )
    s.shape([(0.3, 0.02), (0.26, 0.16), (0.1, 0.29), (-0.08, 0.32), (0.08, 0.12)], p.light, edge=0.88)
    s.oval((0.27, -0.2), 0.17, 0.16, p.main)
    s.shape([(0.2, -0.06), (0.4, -0.14), (0.36, 0.04), (0.24, 0.08)], p.accent)
    bill = [(0.4, -0.24), (0.62, -0.25), (0.84, -0.18 + bend), (1.0, -0.04 + bend)]
    s.line(bill, shade(p.dark, 1.1), 0.036)
    near = [
        (0.1, -0.06),
        (-0.12, -0.3),
        (-0.3 - beat, -0.74),
        (-0.52 - beat, -0.96),
        (-0.5 - beat, -0.6),
        (-0.3, -0.16),
        (-0.06, 0.06),
    ]
    s.shape(near, p.second)
    for i in range(4):
        tip = (-0.5 - beat * 0.9 + 0.05 * i, -0.72 + 0.16 * i)
        s.line([(0.0 - 0.03 * i, -0.1), (tip[0] * 0.5, tip[1] * 0.62), tip], shade(p.second, 0.7), 0.014)
    _eye(s, (0.31, -0.24), 0.036)
    return Pose(s, (0.0, 0.34))


def ribbontail(rng: random.Random, p: Plumage) -> Pose:
    """Sketch a slim upright bird with two tail streamers longer than itself that end in rackets."""
    s = Sketch()
    sway, part, look = rng.uniform(-0.2, 0.2), rng.uniform(0.08, 0.2), rng.uniform(-0.03, 0.03)
    for side in (-1, 1):
        tip = (-0.5 + sway + side * part, 1.18 + 0.06 * side)
        s.line(
            [(-0.2, 0.3), (-0.34 + side * 0.05, 0.62), (-0.42 + sway * 0.6 + side * part * 0.7, 0.92), tip],
            p.second,
            0.034,
        )
        s.oval((tip[0], tip[1] + 0.06), 0.06, 0.12, p.accent, turn=-sway)
    s.shape([(-0.12, 0.24), (-0.32, 0.5), (-0.22, 0.56), (-0.04, 0.32)], p.dark)
    _perching_legs(s, shade(p.dark, 1.3), (-0.02, 0.1), 0.28, 0.44)
    s.shape(
        [
            *[
                (-0.2, 0.3),
                (-0.2, 0.04),
                (-0.06, -0.24),
                (0.02, -0.46 + look),
                (0.16, -0.52 + look),
                (0.28, -0.44 + look),
            ],
            *[(0.28, -0.28), (0.24, -0.06), (0.2, 0.16), (0.06, 0.32), (-0.1, 0.36)],
        ],
        p.main,
    )
    s.shape([(0.27, -0.26), (0.23, -0.04), (0.18, 0.16), (0.04, 0.3), (0.06, 0.0), (0.14, -0.2)], p.light, edge=0.88)
    s.shape([(0.3, -0.34 + look), (0.28, -0.18), (0.16, -0.14), (0.12, -0.3 + look)], p.accent)
    s.shape([(-0.02, -0.16), (-0.16, 0.0), (-0.26, 0.3), (-0.24, 0.46), (-0.1, 0.3), (0.04, 0.06)], p.second)
    _feather_lines(s, (-0.02, 0.02), (-0.05, 0.06), (-0.14, 0.26), shade(p.second, 0.68))
    s.shape([(0.02, -0.44 + look), (0.14, -0.53 + look), (0.27, -0.46 + look), (0.12, -0.42 + look)], p.dark)
    s.shape([(0.26, -0.44 + look), (0.42, -0.36 + look), (0.27, -0.33 + look)], p.dark, soft=False)
    _eye(s, (0.19, -0.4 + look), 0.034, mix(p.light, p.accent, 0.3))
    return Pose(s, (0.04, 0.44))


def inkwader(rng: random.Random, p: Plumage) -> Pose:
    """Sketch a tall wader: stilt legs, an S of a neck, a dagger bill and a plume behind the head."""
    s = Sketch()
    reach, stoop, stride = rng.uniform(-0.06, 0.1), rng.uniform(-0.05, 0.12), rng.uniform(0.02, 0.16)
    red = p.accent
    for side, tone in ((-1, 0.8), (1, 1.0)):
        knee, foot = (0.0 + side * stride * 0.4 - 0.03, 0.52), (0.02 + side * stride, 0.98)
        s.line([(0.0 + side * 0.05, 0.2), knee], shade(red, tone), 0.032)
        s.line([knee, foot], shade(red, tone), 0.028)
        s.line([(foot[0] - 0.06, foot[1] + 0.01), (foot[0] + 0.1, foot[1] + 0.01)], shade(red, tone), 0.026)
    s.shape([(-0.34, -0.02), (-0.62, 0.16), (-0.52, 0.22), (-0.26, 0.16)], shade(p.second, 0.8))
    head = (0.42 + reach, -0.74 + stoop)
    neck = [(0.22, -0.02), (0.4, -0.14), (0.34, -0.36), (0.26 + reach * 0.5, -0.56 + stoop * 0.7), head]
    s.line(neck, shade(p.light, 0.72), 0.135)
    s.line(neck, p.light, 0.115)
    s.shape(
        [(-0.38, 0.02), (-0.16, -0.16), (0.16, -0.16), (0.34, -0.04), (0.26, 0.14), (0.02, 0.26), (-0.24, 0.2)],
        p.light,
        edge=0.8,
    )
    s.shape([(0.2, -0.12), (-0.14, -0.18), (-0.4, 0.0), (-0.6, 0.2), (-0.3, 0.18), (0.02, 0.14), (0.18, 0.04)], p.main)
    _feather_lines(s, (0.08, 0.0), (-0.08, 0.05), (-0.34, 0.12), shade(p.main, 0.7))
    s.line(
        [(head[0] - 0.05, head[1] - 0.03), (head[0] - 0.22, head[1] + 0.0), (head[0] - 0.4, head[1] + 0.14)],
        p.dark,
        0.034,
    )
    s.oval(head, 0.115, 0.09, p.light, turn=0.2, edge=0.8)
    s.shape(
        [
            (head[0] - 0.12, head[1] - 0.02),
            (head[0], head[1] - 0.1),
            (head[0] + 0.11, head[1] - 0.04),
            (head[0], head[1] - 0.02),
        ],
        p.dark,
    )
    s.shape(
        [(head[0] + 0.08, head[1] - 0.035), (head[0] + 0.46, head[1] + 0.05), (head[0] + 0.08, head[1] + 0.045)],
        red,
        soft=False,
    )
    _eye(s, (head[0] + 0.035, head[1] - 0.01), 0.026)
    return Pose(s, (0.02, 0.99))


def nodder(rng: random.Random, p: Plumage) -> Pose:
    """Sketch a round owl-like bird seen from the front: ear tufts, a pale face of two discs, bars across the breast."""
    s = Sketch()
    fat, look, ear = rng.uniform(-0.04, 0.06), rng.uniform(-0.06, 0.06), rng.uniform(-0.05, 0.06)
    s.shape([(-0.12, 0.4), (-0.14, 0.68), (0.14, 0.68), (0.12, 0.4)], shade(p.second, 0.85))
    for side in (-1, 1):
        s.shape(
            [(side * 0.1 + look, -0.46), (side * 0.36 + look, -0.74 - ear), (side * 0.4 + look, -0.3)],
            p.second,
            soft=False,
        )
    s.shape(
        [
            *[(0.0, -0.56), (0.3, -0.46), (0.42, -0.22), (0.44 + fat, 0.12), (0.3 + fat, 0.44), (0.0, 0.54)],
            *[(-0.3 - fat, 0.44), (-0.44 - fat, 0.12), (-0.42, -0.22), (-0.3, -0.46)],
        ],
        p.main,
    )
    s.oval((0.0, 0.2), 0.28 + fat, 0.3, p.light, edge=0.88)
    for row in range(3):
        y = 0.1 + 0.13 * row
        half = 0.2 - 0.03 * row
        s.line([(-half, y), (-half / 2, y + 0.05), (0.0, y), (half / 2, y + 0.05), (half, y)], p.second, 0.034)
    for side in (-1, 1):
        wing = [(0.38 + fat, -0.14), (0.47 + fat, 0.12), (0.36 + fat, 0.48), (0.28 + fat, 0.2)]
        s.shape([(side * x, y) for x, y in wing], p.second)
        for toe in (-0.06, 0.0, 0.06):
            s.line([(side * 0.13 + toe, 0.47), (side * 0.13 + toe * 1.2, 0.58)], p.accent, 0.04)
    for side in (-1, 1):
        s.oval((side * 0.17 + look, -0.22), 0.2, 0.21, mix(p.light, p.main, 0.12), edge=0.78)
    for side in (-1, 1):
        _eye(s, (side * 0.15 + look * 1.4, -0.24), 0.06, p.accent)
    s.shape([(look - 0.05, -0.18), (look + 0.05, -0.18), (look, -0.03)], p.dark, soft=False)
    return Pose(s, (0.0, 0.52))


def puddler(rng: random.Random, p: Plumage) -> Pose:
    """Sketch a duck-like swimmer: a boat of a body, a cocked tail, a round head with a collar and a flat bill."""
    s = Sketch()
    cock, nod, long = rng.uniform(-0.08, 0.08), rng.uniform(-0.04, 0.08), rng.uniform(-0.04, 0.08)
    head = (0.42 + long, -0.36 + nod)
    s.shape([(-0.5, -0.06), (-0.78, -0.26 + cock), (-0.74, -0.12 + cock), (-0.82, -0.06 + cock), (-0.56, 0.14)], p.dark)
    s.shape(
        [
            (0.2, 0.1),
            (0.28, -0.2),
            (head[0] - 0.12, head[1]),
            (head[0] + 0.1, head[1] + 0.08),
            (0.52, 0.0),
            (0.5, 0.16),
        ],
        p.main,
    )
    s.shape(
        [
            (-0.64, -0.02),
            (-0.3, -0.14),
            (0.1, -0.1),
            (0.4, -0.06),
            (0.58 + long, 0.08),
            (0.48, 0.28),
            (0.0, 0.36),
            (-0.44, 0.28),
        ],
        p.second,
    )
    s.shape([(-0.44, 0.16), (0.0, 0.2), (0.44, 0.14), (0.46, 0.28), (0.0, 0.35), (-0.4, 0.28)], p.light, edge=0.85)
    s.shape(
        [(0.22, -0.02), (-0.1, -0.14), (-0.4, -0.1), (-0.66, -0.04), (-0.36, 0.12), (0.06, 0.14)], shade(p.second, 0.82)
    )
    s.shape([(-0.1, 0.0), (-0.36, 0.0), (-0.44, 0.08), (-0.12, 0.1)], p.accent)
    _feather_lines(s, (0.14, -0.02), (-0.08, -0.02), (-0.2, 0.06), shade(p.second, 0.6))
    s.line([(0.27, -0.13), (0.4, -0.09), (0.52 + long, -0.12)], p.light, 0.06)
    s.oval(head, 0.19, 0.175, p.main)
    cheek = (head[0] + 0.04, head[1] + 0.05)
    s.oval(cheek, 0.08, 0.06, mix(p.main, p.light, 0.5), edge=0.95)
    s.shape(
        [
            (head[0] + 0.14, head[1] - 0.04),
            (head[0] + 0.28, head[1] + 0.03),
            (head[0] + 0.42, head[1] + 0.04),
            (head[0] + 0.4, head[1] + 0.1),
            (head[0] + 0.16, head[1] + 0.1),
        ],
        p.accent,
    )
    _eye(s, (head[0] + 0.07, head[1] - 0.04), 0.034)
    return Pose(s, (0.0, 0.24))
