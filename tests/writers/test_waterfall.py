"""The waterfall: its rows, bars, axis and legend."""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest

from birdlite.timing import STAGES, TRACED, Span, Stage, Trace
from birdlite.writers.page import COLOURS
from birdlite.writers.waterfall import END, LABELS, LANES, WIDTH, waterfall
from tests.page import Element, read

MAIN, HELPER, WORKER = 1, 2, 3

# A cold start: the picture is on its way while the model loads; then it is decoded and classified.
FETCHED = Span("image fetch", 100.1, 100.7, HELPER, 0)
LOADED = Span("model load", 100.1, 100.3, WORKER, None)
DECODED = Span("decode", 100.7, 100.9, WORKER, 0)
COLD = Trace(
    100.0,
    101.0,
    (Span("imports", 100.0, 100.1, MAIN, None), LOADED, FETCHED, DECODED),
    (Span("imports", 100.0, 100.1, MAIN, None), FETCHED, DECODED._replace(end=100.8)),
)


class Bar(NamedTuple):
    x: float  # share of the time, 0 to 1
    width: float  # the same
    y: float
    stage: Stage
    pale: bool
    title: str


def drawing(trace: Trace = COLD, names: dict[int, str] | None = None, pictures: int = 1) -> Element:
    return read(waterfall(trace, {0: "a.jpg"} if names is None else names, pictures)).one("svg")


def bars(svg: Element) -> list[Bar]:
    """The bars of spans, without the legend."""
    stages = {colour: stage for stage, colour in COLOURS.items()}
    scale = WIDTH - LABELS - END
    return [
        Bar(
            round((float(one["x"]) - LABELS) / scale, 2),
            round(float(one["width"]) / scale, 2),
            float(one["y"]),
            stages[one["fill"]],
            "fill-opacity" in one.attributes,
            one.one("title").text,
        )
        for one in svg.all("rect")
        if one.all("title")
    ]


def labels(svg: Element) -> list[str]:
    return [one.text for one in svg.all("text") if one.attributes.get("text-anchor") == "end"]


def test_rows_are_the_critical_path_then_the_stages_then_the_pictures() -> None:
    assert labels(drawing()) == ["waited for", "imports", "model load", "a.jpg"]


def test_bars_begin_at_their_time_and_have_its_length() -> None:
    (row,) = [bar for bar in bars(drawing()) if bar.stage == "image fetch" and bar.pale]

    assert (row.x, row.width, row.title) == (0.1, 0.6, "image fetch: 600 ms · a.jpg")


def test_a_download_is_drawn_beside_the_engine_that_loads_meanwhile() -> None:
    fetch, load = (
        [bar for bar in bars(drawing()) if bar.stage == stage][-1] for stage in ("image fetch", "model load")
    )

    assert fetch.y != load.y
    assert max(fetch.x, load.x) < min(fetch.x + fetch.width, load.x + load.width)


def test_the_critical_path_is_solid_in_its_rows_and_in_the_first_one() -> None:
    drawn = bars(drawing())
    first = min(bar.y for bar in drawn)

    assert [(bar.stage, bar.x, bar.width) for bar in drawn if bar.y == first] == [
        ("imports", 0.0, 0.1),
        ("image fetch", 0.1, 0.6),
        ("decode", 0.7, 0.1),
    ]
    solid = [(bar.stage, bar.x, bar.width) for bar in drawn if bar.y != first and not bar.pale]
    assert solid == [("imports", 0.0, 0.1), ("image fetch", 0.1, 0.6), ("decode", 0.7, 0.1)]
    assert [bar.stage for bar in drawn if bar.pale] == ["imports", "model load", "image fetch", "decode"]


def test_spans_of_a_stage_that_overlap_have_rows_of_their_own_up_to_a_bound() -> None:
    together = [Span("model fetch", 0.0, 1.0, thread, None) for thread in range(LANES + 3)]
    then = [Span("model fetch", 1.0, 2.0, 99, None)]

    svg = drawing(Trace(0.0, 2.0, (*together, *then), ()))

    heights = [bar.y for bar in bars(svg)]
    assert len(set(heights)) == LANES
    assert heights.count(min(heights)) == 2  # later spans use the free row
    assert labels(svg) == ["waited for", "model fetch"]


def test_only_the_first_pictures_are_drawn_and_the_drawing_says_so() -> None:
    many = tuple(Span("decode", index * 1e-3, (index + 1) * 1e-3, 1, index) for index in range(TRACED + 50))
    names = {index: f"{index}.jpg" for index in range(TRACED + 50)}

    svg = drawing(Trace(0.0, 5.0, many, many), names, 1234)

    assert labels(svg)[1:] == [f"{index}.jpg" for index in range(TRACED)]
    assert f"The first {TRACED} of 1,234 pictures, until 60.0 ms after the process began." in svg.text
    last = bars(svg)[-1]
    assert last.x + last.width == pytest.approx(1.0, abs=0.02)  # the axis ends where they do
    assert max(bar.x + bar.width for bar in bars(svg)) <= 1.02
    assert "The first" not in drawing(Trace(0.0, 5.0, many[:TRACED], ()), names, TRACED).text


def test_the_axis_is_in_round_milliseconds() -> None:
    def ticks(seconds: float) -> list[str]:
        svg = drawing(Trace(7.0, 7.0 + seconds, (), ()))
        return [one.text for one in svg.all("text") if one.attributes.get("text-anchor") == "middle"]

    assert ticks(1.0) == ["0 ms", "200", "400", "600", "800", "1,000"]
    assert ticks(0.37) == ["0 ms", "50", "100", "150", "200", "250", "300", "350"]
    assert ticks(0.0017) == ["0 ms", "0.2", "0.4", "0.6", "0.8", "1", "1.2", "1.4", "1.6"]
    assert len(ticks(86_400.0)) <= 10


def test_an_empty_run_can_be_drawn() -> None:
    assert labels(drawing(Trace(1.0, 1.0, (), ()), {}, 0)) == ["waited for"]


def test_the_legend_has_the_stages_in_use_and_how_bars_are_filled() -> None:
    legend = [one.text for one in drawing().all("text")[-5:]]

    assert legend == [
        "imports",
        "model load",
        "image fetch",
        "decode",
        "solid: the run waited for it; pale: done meanwhile",
    ]


def test_every_stage_has_a_colour_of_its_own() -> None:
    assert list(COLOURS) == list(STAGES)
    assert len(set(COLOURS.values())) == len(STAGES)


@pytest.mark.parametrize("paper", ["#ffffff", "#1c2124"])
def test_colours_stand_out_from_light_paper_and_from_dark(paper: str) -> None:
    for stage, colour in COLOURS.items():
        lighter, darker = sorted((luminance(paper), luminance(colour)), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) > 2.5, stage  # WCAG asks 3 of what has no label; each bar has one


def luminance(colour: str) -> float:
    """As WCAG 2 defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_names_are_shortened_and_escaped_and_complete_in_titles() -> None:
    name = "https://a.example/x/<script>" + "y" * 40 + ".jpg"

    svg = drawing(names={0: name})

    assert labels(svg)[-1] == "<script>yyy…yyyyyyy.jpg"
    assert svg.all("script") == []
    assert bars(svg)[-1].title == f"decode: 200 ms · {name}"


def test_a_picture_without_a_name_has_its_number() -> None:
    assert labels(drawing(names={}))[-1] == "picture 0"


def test_the_drawing_has_no_style_and_no_script() -> None:
    text = waterfall(COLD, {0: "a.jpg"}, 1)

    assert not re.search(r"style|script|href|url\(|onload", text)
