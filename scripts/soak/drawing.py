"""The samples of a soak as a drawing in SVG: memory, descriptors and threads over the targets done."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from scripts.soak.watch import Sample

_WIDTH, _HEIGHT = 720, 110  # px of a curve
_LEFT, _TOP, _GAP = 70, 46, 50  # px around one
_STYLE = (
    "text{font:13px sans-serif;fill:#23282b}.line{fill:none;stroke:#1f6f54;stroke-width:1.5}"
    ".frame{fill:#fff;stroke:#d8d5cc}.small{font-size:11px;fill:#5c6468}"
)
_CURVES = (
    ("resident memory, MiB", "resident", 1 << 20),
    ("private memory, MiB", "private", 1 << 20),
    ("descriptors", "descriptors", 1),
    ("threads", "threads", 1),
)


def drawing(title: str, samples: Sequence[Sample]) -> str:
    """The drawing. Each curve begins at 0."""
    height = _TOP + len(_CURVES) * (_HEIGHT + _GAP)
    width = _LEFT + _WIDTH + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        f"<style>{_STYLE}</style>",
        f'<text x="{_LEFT}" y="18">{escape(title)}</text>',
    ]
    for number, (name, field, unit) in enumerate(_CURVES):
        values = [getattr(sample, field) / unit for sample in samples]
        parts += _curve(name, [sample.done for sample in samples], values, _TOP + number * (_HEIGHT + _GAP))
    return "\n".join([*parts, "</svg>", ""])


def _curve(name: str, done: Sequence[int], values: Sequence[float], top: int) -> list[str]:
    most, last = max(values, default=0) or 1, max(done, default=0) or 1
    bottom, right = top + _HEIGHT, _LEFT + _WIDTH
    points = " ".join(
        f"{_LEFT + _WIDTH * at / last:.1f},{bottom - _HEIGHT * value / most:.1f}"
        for at, value in zip(done, values, strict=True)
    )
    return [
        f'<text x="{_LEFT}" y="{top - 6}">{escape(name)}</text>',
        f'<rect class="frame" x="{_LEFT}" y="{top}" width="{_WIDTH}" height="{_HEIGHT}"/>',
        f'<polyline class="line" points="{points}"/>',
        f'<text class="small" x="{_LEFT - 6}" y="{top + 9}" text-anchor="end">{most:,.0f}</text>',
        f'<text class="small" x="{_LEFT - 6}" y="{bottom}" text-anchor="end">0</text>',
        f'<text class="small" x="{right}" y="{bottom + 14}" text-anchor="end">{last:,} done</text>',
    ]
