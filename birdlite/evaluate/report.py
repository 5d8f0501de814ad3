"""Evaluations side by side: a table for people, or JSON. Called by `birdlite evaluate`.

In the JSON, rates and scores are in [0, 1]; the table shows rates in per cent.
"""

from __future__ import annotations

from collections.abc import Sequence

from birdlite.evaluate import Evaluation
from birdlite.printable import BOLD
from birdlite.writers.record import rounded, to_json
from birdlite.writers.terminal import GAP, Terminal, aligned

INDENT = "  "
NARROWEST_NAME = 12  # columns that a model's name keeps on a narrow terminal
NOTHING = "-"  # for a rate of no pictures

_HEADER = (
    "model",
    "resize",
    "pictures",
    "failed",
    "top-1 %",
    "95 % interval",
    "top-3 %",
    "mean score",
    "calibration error",
)


def as_json(source: str, evaluations: Sequence[Evaluation], confusions: int, *, interrupted: bool) -> str:
    """One document, with a line for each evaluation and up to that many confusions in each."""
    records = ",\n".join(to_json(_record(one, confusions)) for one in evaluations)
    return f'{{"source": {to_json(source)},\n"evaluations": [\n{records}\n],\n"interrupted": {to_json(interrupted)}}}\n'


def as_text(evaluations: Sequence[Evaluation], confusions: int, terminal: Terminal) -> str:
    """The table, then for each evaluation up to that many confusions, and the calibration of its scores."""
    parts = [_summary(evaluations, terminal)]
    for one in evaluations:
        heading = terminal.paint(terminal.text(f"{one.settings.model}, {one.settings.resize}"), BOLD)
        parts.append(f"{heading}\n{_confusions(one, confusions, terminal)}\n{_calibration(one)}")
    return "\n".join(parts)


def _record(one: Evaluation, confusions: int) -> dict[str, object]:
    given, tally = one.settings, one.tally
    return {
        "model": {"given": given.model, "name": one.card_name, "sha256": one.sha256, "engine": one.engine},
        "resize": given.resize,
        **rounded(tally.figures()._asdict(), 6),
        "confusions": [
            {"true": _species(one, pair.true), "predicted": _species(one, pair.predicted), "count": pair.pictures}
            for pair in tally.confusions(confusions)
        ],
        "calibration": [rounded(row._asdict(), 6) for row in tally.calibration()],
    }


def _species(one: Evaluation, key: int) -> dict[str, object]:
    return {"id": key, "name": one.labels.names[key], "common_name": one.labels.common[key]}


def _summary(evaluations: Sequence[Evaluation], terminal: Terminal) -> str:
    names = [terminal.text(one.settings.model) for one in evaluations]
    rows = [_HEADER, *((name, *_cells(one)) for name, one in zip(names, evaluations, strict=True))]
    if terminal.width is not None:
        others = sum(max(len(row[at]) for row in rows) + len(GAP) for at in range(1, len(_HEADER)))
        room = max(terminal.width - others, NARROWEST_NAME)
        rows = [(terminal.cut_middle(row[0], room), *row[1:]) for row in rows]
    lines = aligned(rows, "<<>>>>>>>")
    return "\n".join((terminal.paint(lines[0], BOLD), *lines[1:])) + "\n"


def _cells(one: Evaluation) -> tuple[str, ...]:
    figures = one.tally.figures()
    return (
        one.settings.resize,
        str(figures.pictures),
        str(figures.failed),
        _percent(figures.top1),
        NOTHING if figures.top1 is None else f"{_percent(figures.top1_low)}-{_percent(figures.top1_high)}",
        _percent(figures.top3),
        _three_digits(figures.mean_score),
        _three_digits(figures.calibration_error),
    )


def _confusions(one: Evaluation, most: int, terminal: Terminal) -> str:
    confusions = one.tally.confusions(most)
    if not confusions:
        return f"{INDENT}no confusions\n"

    def name(key: int) -> str:
        common = one.labels.common[key]
        return terminal.text(f"{one.labels.names[key]} ({common})" if common else one.labels.names[key])

    rows = [("count", "true", "predicted")]
    rows += [(str(pair.pictures), name(pair.true), name(pair.predicted)) for pair in confusions]
    return "".join(f"{INDENT}{line}\n" for line in aligned(rows, "><<"))


def _calibration(one: Evaluation) -> str:
    rows = [("score", "pictures", "mean score", "accuracy %")]
    for row in one.tally.calibration():
        if row.pictures:
            span = f"{row.low:.1f}-{row.high:.1f}"
            rows.append((span, str(row.pictures), _three_digits(row.mean_score), _percent(row.accuracy)))
    return "".join(f"{INDENT}{line}\n" for line in aligned(rows, "<>>>"))


def _percent(rate: float | None) -> str:
    return NOTHING if rate is None else f"{rate * 100:.1f}"


def _three_digits(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3f}"
