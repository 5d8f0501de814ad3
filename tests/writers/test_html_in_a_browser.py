"""The report in Chromium: it is seen as it is meant, whatever the screen and the colours."""

from __future__ import annotations

from pathlib import Path

import pytest

from birdlite.models.catalog import DEMO_MODEL
from tests.browser import Browser
from tests.command_line import Run
from tests.demo_world import PICTURES


@pytest.fixture
def report(run: Run, warm_cache: Path, tmp_path: Path) -> Path:
    """Of two pictures, one of them damaged."""
    (tmp_path / "damaged.jpg").write_bytes(PICTURES[0].read_bytes()[:-3000])
    pictures = [str(PICTURES[0]), str(tmp_path / "damaged.jpg")]
    made = tmp_path / "report.html"
    run("classify", "--model", DEMO_MODEL, "--cache-dir", str(warm_cache), "--report", str(made), *pictures)
    return made


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [360, 1100])
def test_everything_in_the_report_can_be_read_and_fits(browser: Browser, report: Path, width: int, dark: bool) -> None:
    browser.open(report.as_uri(), width=width, dark=dark)

    contrasts = browser.contrasts()
    assert {"Crested Emberling", "Demoavis cristata", "damaged.jpg"} <= contrasts.keys()
    assert [(text, contrast) for text, contrast in contrasts.items() if contrast < 4.5] == []  # WCAG AA
    assert browser.overhang() == 0
    assert browser.complaints() == []
    assert browser.elsewhere() == []
