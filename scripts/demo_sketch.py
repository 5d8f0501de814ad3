"""Paper and pencil for the demo's drawings: smooth outlines, placed and painted.

A `Sketch` is recorded in its own units first and painted later, when it is known how large it came out and where it
shall stand.
"""

from __future__ import annotations

import math
import random
from typing import NamedTuple, TypeAlias

from PIL import ImageDraw

Point: TypeAlias = tuple[float, float]
Colour: TypeAlias = tuple[int, int, int]


def smooth(points: list[Point], *, closed: bool = True, steps: int = 5) -> list[Point]:
    """Draw a curve through all `points` (Catmull-Rom), `steps` short lines for each gap."""
    n = len(points)
    curve: list[Point] = []
    for i in range(n if closed else n - 1):
        if closed:
            a, b, c, d = (points[(i + k) % n] for k in (-1, 0, 1, 2))
        else:
            a, b, c, d = (points[min(max(i + k, 0), n - 1)] for k in (-1, 0, 1, 2))
        for step in range(steps):
            t = step / steps
            weights = (-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2)
            x = sum(w * p[0] for w, p in zip(weights, (a, b, c, d), strict=True)) / 2
            y = sum(w * p[1] for w, p in zip(weights, (a, b, c, d), strict=True)) / 2
            curve.append((x, y))
    if not closed:
        curve.append(points[-1])
    return curve


def shade(colour: Colour, factor: float) -> Colour:
    """Make the same hue, darker below 1 and lighter above."""
    r, g, b = (min(255, max(0, round(channel * factor))) for channel in colour)
    return r, g, b


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """Put `share` of the second colour in the first; 0 is the first, 1 the second."""
    r, g, b = (round(a + (c - a) * share) for a, c in zip(first, second, strict=True))
    return r, g, b


def vary(rng: random.Random, colour: Colour, spread: float = 18) -> Colour:
    """Colour another individual: every channel off by up to `spread` of 255, the lightness by up to 12 %."""
    light = rng.uniform(0.88, 1.12)
    r, g, b = (min(255, max(0, round(channel * light + rng.uniform(-spread, spread)))) for channel in colour)
    return r, g, b


class Stroke(NamedTuple):
    """One outline or line of a sketch, in the sketch's units."""

    points: list[Point]
    fill: Colour | None  # None: a line, not a surface
    edge: Colour
    width: float


class Placement(NamedTuple):
    """Where a sketch goes on the canvas: turn, mirror, stretch, then move."""

    scale: float  # canvas px a unit
    turn: float  # radians, clockwise as y points down
    mirrored: bool
    shift: Point  # canvas px

    def at(self, point: Point) -> Point:
        """Give the canvas position of a point of the sketch."""
        x, y = point
        x, y = x * math.cos(self.turn) - y * math.sin(self.turn), x * math.sin(self.turn) + y * math.cos(self.turn)
        return (-x if self.mirrored else x) * self.scale + self.shift[0], y * self.scale + self.shift[1]


class Sketch:
    """Strokes in the order of painting; x points to where the bird looks, y points down."""

    def __init__(self) -> None:
        self.strokes: list[Stroke] = []

    def shape(self, points: list[Point], fill: Colour, *, soft: bool = True, edge: float = 0.72) -> None:
        """Add a surface with a rim of its own colour times `edge`; `soft` rounds the corners."""
        outline = smooth(points) if soft else points
        self.strokes.append(Stroke(outline, fill, shade(fill, edge), 0.012))

    def oval(self, centre: Point, rx: float, ry: float, fill: Colour, *, turn: float = 0.0, edge: float = 0.72) -> None:
        """Add an ellipse, turned by `turn` radians."""
        place = Placement(1.0, turn, False, centre)
        steps = [2 * math.pi * i / 28 for i in range(28)]
        self.shape([place.at((rx * math.cos(t), ry * math.sin(t))) for t in steps], fill, soft=False, edge=edge)

    def line(self, points: list[Point], colour: Colour, width: float) -> None:
        """Add a smooth line through the points, `width` units wide."""
        self.strokes.append(Stroke(smooth(points, closed=False), None, colour, width))

    def fit(self, turn: float, mirrored: bool, centre: Point, extent: float) -> Placement:
        """Find the placement that puts the middle of the turned sketch at `centre`, and makes it `extent` px long."""
        turned = Placement(1.0, turn, mirrored, (0.0, 0.0))
        points = [turned.at(point) for stroke in self.strokes for point in stroke.points]
        left, right = min(x for x, _ in points), max(x for x, _ in points)
        top, bottom = min(y for _, y in points), max(y for _, y in points)
        scale = extent / max(right - left, bottom - top)
        shift = (centre[0] - scale * (left + right) / 2, centre[1] - scale * (top + bottom) / 2)
        return Placement(scale, turn, mirrored, shift)

    def paint(self, draw: ImageDraw.ImageDraw, place: Placement, *, flat: int | None = None) -> None:
        """Paint every stroke, in order; with `flat`, all in that one grey: the silhouette."""
        for stroke in self.strokes:
            points = [place.at(point) for point in stroke.points]
            width = max(1, round(stroke.width * place.scale))
            if stroke.fill is not None:
                draw.polygon(points, fill=stroke.fill if flat is None else flat)
                points.append(points[0])
            draw.line(points, fill=stroke.edge if flat is None else flat, width=width, joint="curve")
