"""The bombs of scripts/try_bombs, at small sizes: birdlite survives all of them, and the script would notice if not."""

from __future__ import annotations

import re
import sys

import pytest

from scripts import try_bombs

M = 1 << 20


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["try_bombs", *arguments])
    return try_bombs.main()


@pytest.mark.parametrize("only", ["TIFF, one huge tile", "PNG, surplus", "JPEG, scans", "WebP, 40 bytes", "GIF with"])
def test_a_small_bomb_does_no_harm(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], only: str
) -> None:
    assert run(monkeypatch, "--small", "--memory", "256M", "--only", only) == 0

    assert f"| {only}" in capsys.readouterr().out


def test_a_picture_that_needs_more_than_there_is_gets_its_record(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(try_bombs, "MANY", ())
    monkeypatch.setattr(try_bombs, "KINDS", {"WebP": try_bombs.Kind("Mpx", try_bombs.webp, (60.0,))})

    assert run(monkeypatch, "--memory", "300M") == 0

    said = capsys.readouterr().out
    assert re.search(r"too_large: decoding it takes 9\d\dM of memory; --memory 300M leaves \d+M", said), said


def test_what_takes_too_long_or_too_much_or_kills_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    well = try_bombs.Tried(1.0, 1.0, 100 * M, "ok")

    assert try_bombs.report("a", 1, well, 200 * M)
    assert not try_bombs.report("a", 1, well, 99 * M)
    assert not try_bombs.report("a", 1, well._replace(seconds=11.0, cpu_seconds=11.0), 200 * M)
    assert not try_bombs.report("a", 1, well._replace(records="died: -9"), 200 * M)
    assert capsys.readouterr().out.count("TOO MUCH") == 3
