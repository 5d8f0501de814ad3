"""`birdlite bench`: figures that are all there and fit together; how large they are is the machine's affair."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from birdlite.bench import peak_memory_bytes
from birdlite.models.catalog import DEMO_MODEL
from tests.command_line import Run
from tests.demo_world import PICTURES


@pytest.fixture
def run(run: Run, monkeypatch: pytest.MonkeyPatch, warm_cache: Path) -> Run:
    """Run `birdlite bench` on the demo model in a warm cache; gives exit code, standard output and error."""
    monkeypatch.setenv("BIRDLITE_MODEL", DEMO_MODEL)
    monkeypatch.setenv("BIRDLITE_CACHE_DIR", str(warm_cache))
    monkeypatch.setenv("BIRDLITE_ROUNDS", "1")

    return lambda *arguments: run("bench", *arguments)


def test_every_figure_is_measured_on_the_pictures_named(run: Run) -> None:
    code, out, err = run("--format", "json", "--threads", "3", *PICTURES[:2])

    assert (code, err) == (0, "")
    figures = json.loads(out)
    assert (figures["model"], figures["pictures"], figures["rounds"], figures["workers"]) == (DEMO_MODEL, 2, 1, 3)
    assert figures["bytes"] == sum(picture.stat().st_size for picture in PICTURES[:2])
    assert figures["engine"].startswith("litert")
    assert [one["threads"] for one in figures["inference"]] == [1, 2, 3]
    times = [figures[key] for key in ("load_ms", "first_inference_ms", "decode_ms", "images_per_second")]
    assert min(*times, *(one["ms"] for one in figures["inference"])) > 0
    assert figures["machine"]["processors"] >= 1


def test_without_pictures_the_demos_drawings_are_used_and_people_get_lines(run: Run) -> None:
    code, out, _ = run("--threads", "1")

    assert code == 0
    assert out.startswith(f"{DEMO_MODEL} on litert")
    assert f"{len(PICTURES)} pictures of " in out
    names = [line.strip().rsplit("  ", 1)[0].strip() for line in out.splitlines()[4:]]
    assert names == ["load", "first inference", "inference, 1 thread", "decode", "whole run", "peak memory"]


def test_the_peak_of_memory_is_that_of_this_process() -> None:
    before = peak_memory_bytes()
    ballast = bytearray(before + (64 << 20))
    ballast[::4096] = b"x" * len(ballast[::4096])  # touched, so really there

    assert peak_memory_bytes() >= len(ballast)


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (["absent.jpg"], 2, "absent.jpg: no such file"),
        (["notes.txt"], 2, "notes.txt: "),
        (["https://example.org/a.jpg"], 2, "name files"),
        (["--rounds", "0"], 2, "must be between 1 and 10000"),
        (["--model", "nosuch"], 3, "no model 'nosuch'"),
    ],
)
def test_what_cannot_be_measured_is_one_line(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, complaint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("no picture\n")

    result, out, err = run(*arguments)

    assert (result, out) == (code, "")
    assert complaint in err
    assert err.count("\n") == 1
