"""A picture that kills the process cannot stop a part: it is found, tried alone, and given up after two deaths."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from birdlite.batch.suspects import NAME, LocalNotes, Suspects
from birdlite.cli import main
from birdlite.targets import BadTarget, Target
from tests.batch_runs import WITH_DEMO_MODEL, make_album, records_of
from tests.object_store import Bucket, Gate

ROOT = Path(__file__).parents[2]

# A real process whose decoder kills it at pictures that hold this text, as the kernel does if memory runs out.
DEADLY = b"deadly picture"
KILLING = f"""
import os, signal, sys
from birdlite.images import picture

plan = picture.plan
def deadly(data, **how):
    found = plan(data, **how)
    if {DEADLY!r} in data:
        found.decode = lambda: os.kill(os.getpid(), signal.SIGKILL)
    return found
picture.plan = deadly
from birdlite.cli import main
sys.exit(main(sys.argv[1:]))
"""


def start(output: object, *arguments: object, threads: int = 2) -> subprocess.CompletedProcess[str]:
    """One start of a run with --resume on the demo model, to its end."""
    options = ("classify", *WITH_DEMO_MODEL, "--resume", "--threads", threads, "-o", output, *arguments)
    return subprocess.run(
        [sys.executable, "-c", KILLING, *map(str, options)], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.fixture
def album(tmp_path: Path) -> Path:
    return make_album(tmp_path / "album", 12)


def make_deadly(album: Path, number: int) -> str:
    """Let one picture of the album kill whoever decodes it; gives its path."""
    (picture,) = album.glob(f"{number:04d}.*")
    data = picture.read_bytes() + DEADLY
    picture.unlink()
    picture.write_bytes(data)
    return str(picture)


def failures(records: list[dict[str, Any]]) -> dict[int, dict[str, str]]:
    return {record["index"]: record["error"] for record in records if record["status"] == "error"}


def killed(run: subprocess.CompletedProcess[str]) -> bool:
    return run.returncode == -signal.SIGKILL


def test_a_picture_that_kills_the_process_is_given_up_after_two_deaths_alone(album: Path, tmp_path: Path) -> None:
    deadly = make_deadly(album, 5)
    part = tmp_path / "part.jsonl"

    deaths = [killed(start(part, album)) for _ in range(3)]
    last = start(part, album)

    assert (deaths, last.returncode) == ([True] * 3, 1)
    message = f"{deadly}: the process was killed twice while it decoded this picture alone"
    assert failures(records_of(part)) == {5: {"kind": "decode", "message": message}}
    assert [record["index"] for record in records_of(part)] == list(range(12))
    assert {path.name for path in tmp_path.iterdir()} - {"xdg-cache"} == {"album", "part.jsonl"}  # no notes are left


def test_its_neighbours_are_tried_alone_before_and_not_blamed(album: Path, tmp_path: Path) -> None:
    deadly = make_deadly(album, 3)
    part = tmp_path / "part.jsonl"
    assert killed(start(part, album, threads=4))
    suspects = json.loads(Path(f"{part}{NAME}").read_text())["working"]
    assert 3 in suspects

    second = start(part, album, threads=4)

    assert killed(second)
    assert f"birdlite: {deadly}: decoded alone, because a run was killed while it was under way\n" in second.stderr
    note = json.loads(Path(f"{part}{NAME}").read_text())
    assert (note["trial"], note["working"]) == ([[3, deadly]], [])


def test_several_such_pictures_are_found_one_after_the_other(album: Path, tmp_path: Path) -> None:
    for number in (2, 7):
        make_deadly(album, number)
    part = tmp_path / "part.jsonl"

    codes = [start(part, album, threads=1).returncode for _ in range(7)]

    assert codes == [-signal.SIGKILL] * 6 + [1]
    assert list(failures(records_of(part))) == [2, 7]


def test_a_suspect_that_kills_nothing_gets_its_birds(album: Path, tmp_path: Path) -> None:
    part = tmp_path / "part.jsonl"
    Path(f"{part}{NAME}").write_text('{"trial": [], "working": [0, 1], "left": [4], "ranges": [], "deaths": []}')

    run = start(part, album, "-q")

    assert run.returncode == 0
    assert failures(records_of(part)) == {}
    assert not Path(f"{part}{NAME}").exists()


def test_a_start_that_is_killed_before_it_tries_anything_does_not_count(tmp_path: Path) -> None:
    note = tmp_path / f"part.jsonl{NAME}"
    note.write_text('{"trial": [[4, "a.jpg"]], "working": [], "left": [], "ranges": [], "deaths": []}')
    bird = Target("a.jpg", "file", "a.jpg", 4)

    for _ in range(5):
        found = Suspects(LocalNotes(str(tmp_path / "part.jsonl")), 1).admit(bird)

        assert found == bird
    assert json.loads(note.read_text())["deaths"] == [[4, "a.jpg", 1]]


def test_a_picture_of_another_name_at_the_same_place_is_not_blamed(tmp_path: Path) -> None:
    note = tmp_path / f"part.jsonl{NAME}"
    note.write_text('{"trial": [], "working": [], "left": [], "ranges": [], "deaths": [[4, "a.jpg", 2]]}')
    suspects = Suspects(LocalNotes(str(tmp_path / "part.jsonl")), 1)

    assert isinstance(suspects.admit(Target("a.jpg", "file", "a.jpg", 4)), BadTarget)
    assert isinstance(suspects.admit(Target("b.jpg", "file", "b.jpg", 4)), Target)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"trial": 1}', '{"trial": [[1]], "working": []}', "null", '{"trial": [], "working": [1e999]}'],
)
def test_a_damaged_note_says_nothing(album: Path, tmp_path: Path, text: str) -> None:
    part = tmp_path / "part.jsonl"
    Path(f"{part}{NAME}").write_text(text)

    assert start(part, album).returncode == 0


def test_an_interrupted_run_leaves_no_suspects_of_its_own(tmp_path: Path) -> None:
    part = str(tmp_path / "part.jsonl")
    suspects = Suspects(LocalNotes(part), 1)
    with suspects.alone_or_noted(Target("a.jpg", "file", "a.jpg", 4)):
        assert json.loads(Path(f"{part}{NAME}").read_text())["working"] == [4]
        suspects.close(in_order=True)

    assert not Path(f"{part}{NAME}").exists()


def test_an_interrupted_trial_is_not_a_death_and_is_made_again(tmp_path: Path) -> None:
    note = tmp_path / f"part.jsonl{NAME}"
    note.write_text('{"trial": [], "working": [4], "left": [], "ranges": [], "deaths": []}')
    suspects = Suspects(LocalNotes(str(tmp_path / "part.jsonl")), 1)
    with suspects.alone_or_noted(Target("a.jpg", "file", "a.jpg", 4)):
        assert json.loads(note.read_text())["trial"] == [[4, "a.jpg"]]
        suspects.close(in_order=True)

    left = json.loads(note.read_text())
    assert (left["trial"], left["left"], left["deaths"]) == ([], [4], [])


def test_in_object_storage_nothing_but_the_note_survives_and_it_is_enough(
    bucket: Bucket, album: Path, tmp_path: Path
) -> None:
    deadly = make_deadly(album, 5)
    codes = []
    for number in range(4):  # each start is a new pod, with an empty scratch folder
        run = start(bucket.url("part.jsonl"), "--scratch", tmp_path / f"scratch-{number}", album)
        codes.append(run.returncode)

    assert codes == [-signal.SIGKILL] * 3 + [1]
    records = [json.loads(line) for line in bucket.get("part.jsonl").splitlines()[1:]]
    message = f"{deadly}: the process was killed twice while it decoded this picture alone"
    assert failures(records) == {5: {"kind": "decode", "message": message}}
    assert bucket.keys() == ["part.jsonl"]


def test_a_store_that_forbids_the_note_is_reported_once_and_the_run_goes_on(
    bucket: Bucket, gate: Gate, album: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gate.rule = lambda asked: 403 if asked.method == "PUT" and NAME in asked.path else None

    code = main(["classify", *WITH_DEMO_MODEL, "--resume", "-o", bucket.url("part.jsonl"), str(album)])

    assert code == 0
    url = bucket.url(f"part.jsonl{NAME}")
    words = "not written, so a picture that kills birdlite would stop this part: permission denied (Broken)"
    assert capsys.readouterr().err.count(f"birdlite: warning: {url}: {words}\n") == 1
    assert bucket.keys() == ["part.jsonl"]


def test_a_run_without_resume_notes_nothing(album: Path, tmp_path: Path) -> None:
    make_deadly(album, 5)
    (tmp_path / f"part.jsonl{NAME}").write_text("of an earlier run")
    command = [sys.executable, "-c", KILLING, "classify", *WITH_DEMO_MODEL, "--shard", "0/1", "-o", "part.jsonl"]

    assert subprocess.run([*command, str(album)], cwd=tmp_path, check=False).returncode != 0
    assert not (tmp_path / f"part.jsonl{NAME}").exists()
