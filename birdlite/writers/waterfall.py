"""A run's spans as a picture: plain SVG without script, for the report and for `scripts/draw_waterfall`.

The first row shows what the run was waiting for. Below it are the rows of the stages that serve the whole run, with
one more row where spans overlap, and then a row for each picture. A bar is solid where the run waited for it, and pale
where it did not. So a reader sees what ran at the same time, for example downloads while the engine loads.

Text has the colour of the surrounding page. There are no style attributes, which the report's policy forbids.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from birdlite.namedtuple import NamedTuple
from birdlite.timing import STAGES, TRACED, Span, Stage, Trace
from birdlite.writers.page import COLOURS, last_part, text
from birdlite.writers.terminal import Terminal, columns

WIDTH = 960  # user units, about px
LABELS = 190  # the column of names
END = 12  # free at the right, for half of a number
ROW, BAR = 19, 12
TOP = 30  # above the first row: the axis
REST = TOP + ROW + 7  # where the other rows begin
LANES = 6  # rows for one stage at most; further spans are drawn over others
NAME = 23  # columns of a picture's name
TICKS = 9  # at most
LEGEND_ROW = 20
LETTER = 6.4  # units: the average width of a letter, for the layout of the legend

_Lane = list[Span]


class _Row(NamedTuple):
    label: str
    lane: _Lane
    title: str  # the whole name, shown for the bar under the pointer


class _Scale(NamedTuple):
    """From the clock to the drawing."""

    start: float  # s
    length: float  # s; never 0, so that an empty run can be drawn

    def x(self, time: float) -> float:
        share = min(max((time - self.start) / self.length, 0.0), 1.0)
        return LABELS + share * (WIDTH - LABELS - END)


def waterfall(trace: Trace, names: Mapping[int, str], pictures: int) -> str:
    """Draw the beginning of a run.

    Args:
        trace: its spans.
        names: of the pictures, by the index that spans have.
        pictures: the number in the whole run; if it is more than `TRACED`, the drawing says so.
    """
    rows, left_out = _rows(trace.spans, names), max(pictures - TRACED, 0)
    end = max((span.end for row in rows for span in row.lane), default=trace.end) if left_out else trace.end
    scale = _Scale(trace.start, max(end - trace.start, 1e-6))
    bottom = REST + len(rows) * ROW
    parts = [*_axis(scale, bottom), _label("waited for", TOP, bold=True)]
    parts += [_bar(scale, piece, TOP, _title(piece, "waited for ")) for piece in trace.path if piece.start < end]
    for number, row in enumerate(rows):
        parts += _row(scale, row, REST + number * ROW, trace.path)
    legend, height = _legend({span.stage for row in rows for span in row.lane}, bottom + 14)
    parts += legend
    if left_out:
        words = f"The first {TRACED} of {pictures:,} pictures, until {_ms(scale.length)} ms after the process began."
        parts.append(f'<text x="0" y="{height + 8}">{words}</text>')
        height += LEGEND_ROW
    label = f"Timeline of {_ms(scale.length)} ms, {len(rows)} rows of spans, by stage and by picture"
    return (
        f'<svg class="waterfall" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{label}"'
        f' font-size="12" font-family="system-ui, sans-serif" fill="currentColor">\n{chr(10).join(parts)}\n</svg>'
    )


def _rows(spans: Iterable[Span], names: Mapping[int, str]) -> list[_Row]:
    """First the stages that serve the whole run, then the pictures."""
    shared: dict[Stage, list[Span]] = {}
    pictures: dict[int, list[Span]] = {}
    for span in sorted(spans, key=lambda span: span.start):
        if span.picture is None:
            shared.setdefault(span.stage, []).append(span)
        else:
            pictures.setdefault(span.picture, []).append(span)
    rows = [
        _Row(stage if number == 0 else "", lane, "")
        for stage in STAGES
        for number, lane in enumerate(_lanes(shared.get(stage, ())))
    ]
    for index in sorted(pictures):
        name = names.get(index, f"picture {index}")
        rows.append(_Row(Terminal().cut_middle(last_part(name), NAME), pictures[index], name))
    return rows


def _lanes(spans: Iterable[Span]) -> list[_Lane]:
    """Put spans that overlap into rows of their own."""
    lanes: list[_Lane] = []
    for span in spans:
        free = next((lane for lane in lanes if lane[-1].end <= span.start), None)
        if free is not None:
            free.append(span)
        elif len(lanes) < LANES:
            lanes.append([span])
        else:
            lanes[-1].append(span)
    return lanes


def _axis(scale: _Scale, bottom: int) -> Iterable[str]:
    step = _step(scale.length * 1e3)
    for tick in range(TICKS + 1):
        ms = tick * step
        if ms > scale.length * 1e3:
            break
        x = _units(scale.x(scale.start + ms / 1e3))
        yield f'<path d="M{x} {TOP - 6}V{bottom}" stroke="currentColor" stroke-opacity=".16"/>'
        number, unit = f"{ms:,.0f}" if ms >= 10 else f"{ms:.3g}", "" if tick else " ms"
        yield f'<text x="{x}" y="{TOP - 12}" text-anchor="middle" fill-opacity=".75">{number}{unit}</text>'


def _step(length_ms: float) -> float:
    """The smallest of 1, 2, 5, 10, … ms (or 0.1, 0.2, …) that needs at most `TICKS` steps."""
    step = 1e-3
    while True:
        for times in (1, 2, 5):
            if length_ms <= step * times * TICKS:
                return step * times
        step *= 10


def _row(scale: _Scale, row: _Row, y: int, path: Sequence[Span]) -> Iterable[str]:
    """The spans, pale; on top of them, solid, the parts that the run waited for."""
    if row.label:
        yield _label(row.label, y)
    for span in row.lane:
        title = _title(span, "", row.title)
        yield _bar(scale, span, y, title, pale=True)
        for piece in path:
            if _is_part(piece, span):
                yield _bar(scale, piece, y, title)


def _is_part(piece: Span, span: Span) -> bool:
    return piece[3:] == span[3:] and piece.stage == span.stage and span.start <= piece.start and piece.end <= span.end


def _title(span: Span, before: str, name: str = "") -> str:
    ms = _ms(span.end - span.start)
    return f"{before}{span.stage}: {ms} ms{f' · {text(name)}' if name else ''}"


def _bar(scale: _Scale, span: Span, y: int, title: str, *, pale: bool = False) -> str:
    left, right = scale.x(span.start), scale.x(span.end)
    width = max(right - left, 0.8)  # short spans must be visible too
    opacity = ' fill-opacity=".33"' if pale else ""
    return (
        f'<rect x="{_units(left)}" y="{y + (ROW - BAR) // 2}" width="{_units(width)}" height="{BAR}" rx="1.5"'
        f' fill="{COLOURS[span.stage]}"{opacity}><title>{title}</title></rect>'
    )


def _label(label: str, y: int, *, bold: bool = False) -> str:
    weight = ' font-weight="600"' if bold else ""
    return f'<text x="{LABELS - 10}" y="{y + ROW - 6}" text-anchor="end"{weight}>{text(label)}</text>'


def _legend(stages: set[Stage], y: int) -> tuple[list[str], int]:
    """The legend of colours and fillings, and the y at which the drawing ends."""
    parts: list[str] = []
    x = 0.0
    entries: list[tuple[str, str, str]] = [(stage, COLOURS[stage], "") for stage in STAGES if stage in stages]
    entries.append(("solid: the run waited for it; pale: done meanwhile", "currentColor", ' fill-opacity=".33"'))
    for label, colour, opacity in entries:
        width = 17 + columns(label) * LETTER + 14
        if x and x + width > WIDTH:
            x, y = 0.0, y + LEGEND_ROW
        parts.append(f'<rect x="{_units(x)}" y="{y}" width="12" height="12" rx="2" fill="{colour}"{opacity}/>')
        parts.append(f'<text x="{_units(x + 17)}" y="{y + 10}">{label}</text>')
        x += width
    return parts, y + LEGEND_ROW


def _units(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _ms(seconds: float) -> str:
    ms = seconds * 1e3
    return f"{ms:,.0f}" if ms >= 100 else f"{ms:.1f}" if ms >= 1 else f"{ms:.2f}"
