"""The picture for PERF.md: drawings from real runs, below each other in one file that any browser shows."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from scripts.draw_waterfall import MARGIN, Run, main, picture

SVG = "{http://www.w3.org/2000/svg}"


def test_drawings_stand_below_each_other_on_paper_that_holds_them() -> None:
    drawing = '<svg class="waterfall" viewBox="0 0 960 {0}"><text>{0}</text></svg>'
    runs = [(f"Run {height}", Run(1.0, drawing.format(height), 960, height)) for height in (100, 200)]

    root = ElementTree.fromstring(picture(runs))

    first, second = root.findall(f"{SVG}svg")
    assert [text.text for text in root.findall(f"{SVG}text")] == ["Run 100", "Run 200"]
    assert float(first.attrib["y"]) + 100 < float(second.attrib["y"])
    assert float(second.attrib["y"]) + 200 + MARGIN == float(root.attrib["height"])
    assert float(first.attrib["x"]) + 960 + MARGIN == float(root.attrib["width"])
    assert (second.attrib["width"], second.attrib["height"]) == ("960", "200")


def test_it_is_drawn_with_one_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "waterfall.svg"

    main(["-o", str(out), "--birds", str(tmp_path), "--round-trip", "5", "--bandwidth", "0", "--rounds", "1"])

    said = capsys.readouterr().out
    assert re.fullmatch(r"Empty cache: [\d,]+ ms \(five URLs, .*\)\nWarm cache: [\d,]+ ms \(the same\)\n", said)
    empty, warm = ElementTree.fromstring(out.read_text()).findall(f"{SVG}svg")
    names = [{text.text for text in drawn.iter(f"{SVG}text")} for drawn in (empty, warm)]
    assert {"waited for", "crested-emberling.jpg", "image fetch"} <= names[0] & names[1]
    assert ["model fetch" in found for found in names] == [True, False]
